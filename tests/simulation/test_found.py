"""What the simulator has found in the runtime, each once more by hand."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest
from aiokafka import TopicPartition

from processor.runtime import failstop, recovery
from processor.runtime.partition import Partition
from processor.runtime.protocol import Observer
from processor.runtime.transaction import PartitionWriter
from processor.runtime.window import Told, Work
from schemas.private import Run
from tests.runtime.toymachine import ToyMachine
from tests.simulation.conformance.laboratories import Laboratory, Model


class Stopped(Exception):
    """What a fail-stop is here."""


def _work(lab: Laboratory, number: int, offset: int) -> Work:
    topic = lab.config.inputs[0]
    return Work(
        number=number,
        rows=[("counts", b"k", b"%d" % number)],
        emissions=[],
        rejected=[],
        runs=[Run(topic, offset - 1, offset)],
        quarantined=[],
        offsets={topic: offset},
        checkpoint=b"1",
        quarantine=[],
        told=Told(),
        report=None,
    )


async def _keep_alive() -> None:
    """Nobody waits for a sign of life here."""


def test_a_commit_of_the_next_owner_during_a_recovery_is_no_reason_to_refuse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: who is fenced while it recovers stops for a restart; it does not suspect the state.

    It had read its rows, and then the offsets that the next owner had committed since: exit 78, "one
    of them was changed", after which no supervisor starts it again.
    """
    stops: list[str] = []

    def stop(what: str, **_: Any) -> NoReturn:
        stops.append(what)
        raise Stopped

    monkeypatch.setattr(failstop, "stop", stop)
    lab = Model()
    lab.broker.create_topics([lab.config.journal, lab.config.rejected])

    async def body(_: Any) -> None:
        lab.broker.append(lab.config.inputs[0], 0, [(0, b"k", b"a", ()), (0, b"k", b"b", ())])  # type: ignore[list-item]
        first = PartitionWriter(lab.config, 0)
        await first.open()
        await first.commit(_work(lab, 1, 1))
        load = recovery._Recovery._load

        async def load_and_lose(self: Any, ends: Any) -> None:
            await load(self, ends)
            other = PartitionWriter(lab.config, 0)
            await other.open()
            await other.commit(_work(lab, 2, 2))
            await asyncio.sleep(2.0)

        monkeypatch.setattr(recovery._Recovery, "_load", load_and_lose)
        partition = Partition(
            0,
            ToyMachine(0),
            PartitionWriter(lab.config, 0),
            lab.config,
            Observer(),
            set_paused=lambda *_: None,
            rejected_limit_bytes=1 << 20,
        )
        with pytest.raises(Stopped):
            await recovery.recover(lab.config, [partition], Observer(), _keep_alive)

    lab.run(body)
    assert stops == ["partitions [0] were taken over while they were recovered"]
    assert TopicPartition(lab.config.positions, 0) in lab.broker.logs
