"""Who cannot be reached is named with its reason, and the log is left as it was."""

from __future__ import annotations

import asyncio
import logging

import pytest

from processor.config import load
from processor.connection import client_options, connected
from processor.deployment import runtime_config
from processor.localkafka import free_port
from processor.runtime import clients
from processor.runtime.failstop import KafkaUnavailable

USER, PASSWORD = "me", "not-a-secret"


async def try_to_connect(port: int) -> str:
    settings = load(bootstrap_servers=f"127.0.0.1:{port}")
    with pytest.raises(KafkaUnavailable) as error:
        async with connected(settings, clients.reader(runtime_config(settings))):
            raise AssertionError("nobody listens there")
    return str(error.value)


@pytest.mark.parametrize("level", [logging.NOTSET, logging.CRITICAL])
def test_several_that_fail_at_a_time_leave_the_log_as_it_was(
    level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And say why also where the library's log is silenced, as `tail` does it."""
    logger = logging.getLogger("aiokafka")
    monkeypatch.setattr(logger, "level", level)
    before = logger.propagate, logger.level, list(logger.handlers)
    ports = [free_port() for _ in range(3)]

    async def all_at_once() -> list[str]:
        return list(await asyncio.gather(*map(try_to_connect, ports)))

    for port, said in zip(ports, asyncio.run(all_at_once()), strict=True):
        assert said.startswith(f"Kafka cannot be reached at 127.0.0.1:{port}: ")
        assert "Connect call failed" in said
        assert "security_protocol" not in said, "where nobody listens, that is not the reason"
    assert (logger.propagate, logger.level, list(logger.handlers)) == before


def test_without_settings_for_it_nothing_is_said_of_security() -> None:
    assert client_options(load()) == {}


def test_the_login_goes_to_the_clients_in_the_clear_and_nowhere_else() -> None:
    settings = load(security_protocol="SASL_PLAINTEXT", sasl_username=USER, sasl_password=PASSWORD)
    assert client_options(settings) == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": USER,
        "sasl_plain_password": PASSWORD,
    }
    assert PASSWORD not in repr(runtime_config(settings))
