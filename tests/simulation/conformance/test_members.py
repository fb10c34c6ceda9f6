"""What the runtime relies on of groups and readers holds for Apache Kafka, and for the model."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition

from processor.runtime import clients
from processor.runtime.assignor import CopartitionAssignor
from tests.simulation.conformance.asking import new_producer, send_one
from tests.simulation.conformance.laboratories import PARTITIONS, Laboratory, eventually

ILLEGAL_GENERATION, UNKNOWN_MEMBER = 22, 25


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers what a member owns, and how often it had to give up."""

    def __init__(self) -> None:
        self.owned: set[tuple[str, int]] = set()
        self.revocations = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.revocations += 1
        self.owned = set()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.owned = {(tp.topic, tp.partition) for tp in assigned}


def _assignor(listener: _Listener) -> CopartitionAssignor:
    return CopartitionAssignor(lambda: [number for _, number in listener.owned])


def test_members_share_and_take_over(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        everything = {(t, p) for t in lab.config.inputs for p in range(PARTITIONS)}
        first, second = _Listener(), _Listener()
        one = await lab.member(_assignor(first), first)

        async def alone() -> bool:
            return bool(first.owned == everything)

        await eventually(alone)
        generation, revocations = one.generation, first.revocations
        other = await lab.member(_assignor(second), second)

        async def shared() -> bool:
            return bool(
                first.owned
                and second.owned
                and first.owned | second.owned == everything
                and not first.owned & second.owned
                and one.generation == other.generation
                and await lab.heartbeat(one, one.generation, one.name) == 0
            )

        await eventually(shared)
        assert first.revocations > revocations
        assert one.generation > generation
        assert await lab.heartbeat(one, generation, one.name) == ILLEGAL_GENERATION
        assert await lab.heartbeat(one, one.generation, "nobody") == UNKNOWN_MEMBER
        await other.leave()
        await eventually(alone)
        await one.leave()

    laboratory.run(body)


def test_readers_wait_at_the_end_for_what_comes(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        at = TopicPartition(lab.config.output, 0)
        reader = clients.reader(lab.config)
        await reader.start()
        reader.assign([at])
        await reader.seek_to_beginning(at)
        waiting = asyncio.ensure_future(reader.getmany(timeout_ms=10_000))
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        await producer.commit_transaction()
        found = await waiting
        assert [record.value for record in found[at]] == [b"a"]
        reader.seek(at, 0)
        again = await reader.getmany(timeout_ms=10_000)
        assert [record.offset for record in again[at]] == [0]
        await producer.stop()
        await reader.stop()

    laboratory.run(body)
