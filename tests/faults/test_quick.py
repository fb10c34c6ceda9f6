"""The campaign's most telling rows in short, each judged by both; `make faults` is the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processor.localkafka import LocalKafka
from tests.faults.brokers import proxied_kafka
from tests.faults.proxy import Api, Fault, Harm, Proxy
from tests.faults.rows import answers, remedies
from tests.faults.stage import Result, Stage, under_load

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture(scope="module")
def proxied() -> Iterator[tuple[LocalKafka, Proxy]]:
    """A broker whose workers come through a proxy."""
    with proxied_kafka() as pair:
        yield pair


@pytest.fixture
def stage(tmp_path: Path, topic_prefix: str) -> Stage:
    said: list[str] = []
    return Stage(tmp_path, Result("quick", 1, quick=True), said.append, topic_prefix)


def test_late_and_lost_ends_of_transactions_tear_nothing(
    stage: Stage, proxied: tuple[LocalKafka, Proxy]
) -> None:
    """An EndTxn that comes in the midst of the next transaction is fenced; so is one without answer."""
    kafka, proxy = proxied
    with under_load(stage, kafka.bootstrap_servers, worker_servers=proxy.address) as act:
        fault = answers.late_end(act, proxy)
        assert fault.error_code in answers.FENCED
        act.catch_up()
        answers.suffer(act, proxy, Fault(Api.END_TXN, Harm.ANSWER_CUT))
    assert stage.result.problems == []
    assert stage.result.halts > 0


def test_a_worker_dies_again_and_again_in_its_recovery_and_another_sleeps(
    stage: Stage, kafka: Any
) -> None:
    with under_load(stage, kafka.bootstrap_servers) as act:
        for _ in range(3):
            act.fleet.die_at({"w0": "in_load@1"})
        act.catch_up()
        act.fleet.freeze("w1")
        act.catch_up()
    assert stage.result.problems == []
    assert stage.result.deaths["fail point in_load"] == 3
    assert stage.result.halts > 0


def test_a_state_that_was_lost_is_refused_and_built_again(stage: Stage, kafka: Any) -> None:
    """By the commands that the last words name."""
    servers, what = kafka.bootstrap_servers, "the positions deleted"
    remedies.play(stage, servers, stage.prefix, stage.directory, what, remedies.DAMAGES[what])
    assert stage.result.problems == []
