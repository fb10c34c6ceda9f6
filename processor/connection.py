"""Connect to Kafka: how every client does, and why it could not be reached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError

from processor import tls
from processor.config import Settings, reveal
from processor.runtime.failstop import KafkaUnavailable

_SECURITY_HINT: Final = (
    "If the address is right, security_protocol, certificates, user name or password are not: "
    "`orderhalt config` shows what they are and where they come from."
)


def client_options(settings: Settings) -> dict[str, Any]:
    """Give what every aiokafka client takes besides its servers: TLS and SASL."""
    protocol = settings.security_protocol
    if protocol == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = tls.context(
            settings.ssl_ca_file,
            settings.ssl_certificate_file,
            settings.ssl_key_file,
            reveal(settings.ssl_key_password),
        )
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = reveal(settings.sasl_password)
    return options


@asynccontextmanager
async def connected(settings: Settings, client: Any) -> AsyncIterator[Any]:
    """Start a client, and stop it at the end; raises KafkaUnavailable, which says why."""
    stop = getattr(client, "stop", None) or client.close
    with _EAR.listen() as said:
        try:
            await client.start()
        except (KafkaConnectionError, OSError) as error:
            await stop()
            raise KafkaUnavailable(_unavailable(settings, said, error)) from error
        except BaseException:
            await stop()
            raise
    try:
        # Its tasks must have begun before they can be ended in good order.
        await asyncio.sleep(0)
        yield client
    finally:
        await stop()


def _unavailable(settings: Settings, said: list[str], error: BaseException) -> str:
    why = "; ".join(dict.fromkeys(said)) or str(error)
    message = f"Kafka cannot be reached at {settings.bootstrap_servers}: {why}"
    nobody_listens = "Connect call failed" in why or isinstance(error, OSError)
    return message if nobody_listens else f"{message}\n{_SECURITY_HINT}"


class _Ear(logging.Handler):
    """Hears what aiokafka would log while clients start: it says why there, and raises without."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._listening: list[list[str]] = []
        self._logger = logging.getLogger("aiokafka")
        self._before = True, logging.NOTSET
        """Whether it propagated, and its level."""

    def emit(self, record: logging.LogRecord) -> None:
        for said in self._listening:
            said.append(record.getMessage())

    @contextmanager
    def listen(self) -> Iterator[list[str]]:
        """Collect messages, and keep them from the log; several may listen at a time."""
        said: list[str] = []
        if not self._listening:
            self._before = self._logger.propagate, self._logger.level
            self._logger.propagate = False
            # Whoever has silenced it for good still wants to know why there is no connection.
            self._logger.setLevel(logging.WARNING)
            self._logger.addHandler(self)
        self._listening.append(said)
        try:
            yield said
        finally:
            # By identity: two that have heard the same are equal.
            self._listening = [other for other in self._listening if other is not said]
            if not self._listening:
                self._logger.removeHandler(self)
                self._logger.propagate, level = self._before
                self._logger.setLevel(level)


_EAR: Final = _Ear()


def refusal(error: KafkaError) -> str:
    """Say what Kafka answered, in a line."""
    return f"Kafka refused: {str(error).strip() or type(error).__name__}"
