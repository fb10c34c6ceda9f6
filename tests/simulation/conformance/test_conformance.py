"""What the runtime relies on of Kafka: each law holds for Apache Kafka and for the model of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from processor.runtime import clients
from processor.runtime.assignor import CopartitionAssignor
from tests.simulation.conformance.laboratories import (
    PARTITIONS,
    Laboratory,
    Model,
    RealKafka,
    eventually,
)

COMMIT, ABORT = True, False
FENCED, WRONG_STATE, CONCURRENT = 47, 48, 51
ILLEGAL_GENERATION, UNKNOWN_MEMBER = 22, 25

Body = Callable[[Laboratory], Awaitable[None]]


@pytest.fixture(
    params=["model", pytest.param("kafka", marks=pytest.mark.broker)],
)
def laboratory(request: pytest.FixtureRequest, topic_prefix: str) -> Laboratory:
    if request.param == "model":
        return Model()
    return RealKafka(request.getfixturevalue("kafka").bootstrap_servers, topic_prefix)


async def _producer(lab: Laboratory, partition: int = 0) -> Any:
    producer = clients.transactional_producer(lab.config, partition)
    await producer.start()
    return producer


async def _send(lab: Laboratory, producer: Any, value: bytes, topic: str | None = None) -> int:
    """Send one record in the open transaction; returns its offset."""
    batch = producer.create_batch()
    batch.append(key=b"k", value=value, timestamp=None, headers=[])
    delivery = await producer.send_batch(batch, topic or lab.config.output, partition=0)
    return int((await delivery).offset)


async def _ends(lab: Laboratory) -> tuple[int, int]:
    """Return the last stable offset and the high watermark of the output."""
    at = TopicPartition(lab.config.output, 0)
    found = []
    for committed in (True, False):
        reader = clients.reader(lab.config, committed=committed)
        await reader.start()
        reader.assign([at])
        found.append((await reader.end_offsets([at]))[at])
        await reader.stop()
    return found[0], found[1]


async def _read(lab: Laboratory, *, committed: bool = True) -> tuple[list[tuple[int, bytes]], int]:
    """Return offset and value of all records of the output, and the position after them."""
    at = TopicPartition(lab.config.output, 0)
    reader = clients.reader(lab.config, committed=committed)
    await reader.start()
    reader.assign([at])
    end = (await reader.end_offsets([at]))[at]
    await reader.seek_to_beginning(at)
    found = []
    while await reader.position(at) < end:
        for records in (await reader.getmany(timeout_ms=50)).values():
            found += [(record.offset, record.value) for record in records]
    position = await reader.position(at)
    await reader.stop()
    return found, position


async def _group_offset(lab: Laboratory) -> int:
    at = TopicPartition(lab.config.inputs[0], 0)
    admin = clients.admin(lab.config)
    await admin.start()
    found: dict[Any, Any] = {}

    async def answered() -> bool:
        try:
            found.update(
                await admin.list_consumer_group_offsets(lab.config.group_id, partitions=[at])
            )
        except KafkaError:
            return False  # No coordinator yet.
        return True

    await eventually(answered)
    await admin.close()
    return int(found[at].offset) if at in found else -1


def _named(lab: Laboratory, producer: Any, epoch: int | None = None) -> dict[str, Any]:
    manager = producer._txn_manager
    return {
        "transactional_id": lab.config.transactional_id(0),
        "producer_id": manager.producer_id,
        "producer_epoch": manager.producer_epoch if epoch is None else epoch,
    }


async def _end_raw(lab: Laboratory, producer: Any, result: bool) -> int:
    request = EndTxnRequest(**_named(lab, producer), transaction_result=result)
    answer = await lab.ask(producer, request)
    return int(answer.error_code)


def _first_error(answer: Any) -> int:
    return int(answer.errors[0][1][0][1])


def test_a_new_producer_of_an_id_fences_the_old_one(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await _producer(lab)
        await old.begin_transaction()
        await _send(lab, old, b"of the old one")
        new = await _producer(lab)
        with pytest.raises(KafkaError):
            await old.commit_transaction()
        await new.begin_transaction()
        await _send(lab, new, b"of the new one")
        await new.commit_transaction()

        async def seen() -> bool:
            return [value for _, value in (await _read(lab))[0]] == [b"of the new one"]

        await eventually(seen)
        await new.stop()

    laboratory.run(body)


def test_the_fence_aborts_and_its_marker_takes_an_offset(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await _producer(lab)
        await old.begin_transaction()
        assert await _send(lab, old, b"lost") == 0
        new = await _producer(lab)
        assert await _ends(lab) == (2, 2)
        assert await _read(lab) == ([], 2)
        assert await _read(lab, committed=False) == ([(0, b"lost")], 2)
        await new.stop()

    laboratory.run(body)


def test_an_open_transaction_holds_back_read_committed(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        assert await _ends(lab) == (0, 1)
        await producer.commit_transaction()

        async def stable() -> bool:
            return await _ends(lab) == (2, 2)

        await eventually(stable)
        await producer.stop()

    laboratory.run(body)


def test_markers_take_offsets_between_transactions(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        for value, commit in ((b"a", True), (b"b", False), (b"c", True)):
            await producer.begin_transaction()
            await _send(lab, producer, value)
            await (producer.commit_transaction() if commit else producer.abort_transaction())

        async def complete() -> bool:
            return await _ends(lab) == (6, 6)

        await eventually(complete)
        assert await _read(lab) == ([(0, b"a"), (4, b"c")], 6)
        await producer.stop()

    laboratory.run(body)


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_count_with_their_transaction(laboratory: Laboratory, commit: bool) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        at = TopicPartition(lab.config.inputs[0], 0)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        await producer.send_offsets_to_transaction({at: 7}, lab.config.group_id)
        assert await _group_offset(lab) == -1
        await (producer.commit_transaction() if commit else producer.abort_transaction())

        async def settled() -> bool:
            return await _ends(lab) == (2, 2) and await _group_offset(lab) == (7 if commit else -1)

        await eventually(settled)
        await producer.stop()

    laboratory.run(body)


def test_an_old_epoch_is_refused_everywhere(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await _producer(lab)
        new = await _producer(lab)
        named, config = _named(lab, old), lab.config
        ask = lab.ask
        added = await ask(old, AddPartitionsToTxnRequest(**named, topics=[(config.output, [0])]))
        assert _first_error(added) == FENCED
        with_offsets = await ask(old, AddOffsetsToTxnRequest(**named, group_id=config.group_id))
        assert with_offsets.error_code == FENCED
        offsets = [(config.inputs[0], [(0, 3, "")])]
        committed = await ask(
            old, TxnOffsetCommitRequest(**named, group_id=config.group_id, topics=offsets)
        )
        assert _first_error(committed) == FENCED
        assert await _end_raw(lab, old, COMMIT) == FENCED
        assert await _group_offset(lab) == -1
        await new.stop()

    laboratory.run(body)


def test_offsets_need_a_transaction_that_has_the_group(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        answer = await lab.ask(
            producer,
            TxnOffsetCommitRequest(
                **_named(lab, producer),
                group_id=lab.config.group_id,
                topics=[(lab.config.inputs[0], [(0, 3, "")])],
            ),
        )
        assert _first_error(answer) == WRONG_STATE
        await producer.abort_transaction()
        await producer.stop()

    laboratory.run(body)


def test_a_repeated_end_is_taken_for_an_answered_one(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        await producer.commit_transaction()

        async def complete() -> bool:
            return await _end_raw(lab, producer, COMMIT) == 0

        await eventually(complete)
        assert await _end_raw(lab, producer, ABORT) == WRONG_STATE
        await producer.stop()

    laboratory.run(body)


def test_a_late_end_ends_the_next_transaction(laboratory: Laboratory) -> None:
    """Show the hazard that makes the runtime never repeat such a question."""

    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        await producer.commit_transaction()
        await producer.begin_transaction()
        await _send(lab, producer, b"half of the next one")
        assert await _end_raw(lab, producer, COMMIT) == 0

        async def torn() -> bool:
            return [v for _, v in (await _read(lab))[0]] == [b"a", b"half of the next one"]

        await eventually(torn)
        await producer.client.close()

    laboratory.run(body)


def test_the_first_init_of_an_open_transaction_is_told_to_wait(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        request = InitProducerIdRequest(lab.config.transactional_id(0), 10_000)
        assert (await lab.ask(producer, request)).error_code == CONCURRENT
        answers: list[Any] = []

        async def granted() -> bool:
            answers.append(await lab.ask(producer, request))
            assert answers[-1].error_code in (0, CONCURRENT)
            return bool(answers[-1].error_code == 0)

        await eventually(granted)
        assert answers[-1].producer_id == producer._txn_manager.producer_id
        assert answers[-1].producer_epoch > producer._txn_manager.producer_epoch
        await producer.client.close()

    laboratory.run(body)


def test_a_late_batch_is_refused_after_the_fence(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await _producer(lab)
        await old.begin_transaction()
        await _send(lab, old, b"in time")
        new = await _producer(lab)
        assert await _produce_raw(lab, old, b"late", sequence=1) == FENCED
        assert [v for _, v in (await _read(lab, committed=False))[0]] == [b"in time"]
        await new.stop()

    laboratory.run(body)


def test_a_batch_needs_its_partition_in_the_transaction(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        assert await _produce_raw(lab, producer, b"without", sequence=0) == WRONG_STATE
        assert await _ends(lab) == (0, 0)
        await producer.stop()

    laboratory.run(body)


def test_a_repeated_batch_is_recognised(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"once")
        assert await _produce_raw(lab, producer, b"once", sequence=0) == 0
        await producer.commit_transaction()

        async def complete() -> bool:
            return await _ends(lab) == (2, 2)

        await eventually(complete)
        assert [v for _, v in (await _read(lab))[0]] == [b"once"]
        await producer.stop()

    laboratory.run(body)


async def _produce_raw(lab: Laboratory, producer: Any, value: bytes, *, sequence: int) -> int:
    builder = BatchBuilder(
        16_384, 0, is_transactional=True, key_serializer=None, value_serializer=None
    )
    builder.append(key=b"k", value=value, timestamp=None, headers=[])
    manager = producer._txn_manager
    builder._set_producer_state(manager.producer_id, manager.producer_epoch, sequence)
    topics = [(lab.config.output, [(0, bytes(builder._build()))])]
    request = ProduceRequest(lab.config.transactional_id(0), -1, 5_000, topics)
    return int((await lab.ask(producer, request)).topics[0][1][0][1])


class _Listener:
    """Remembers what a member owns, and how often it had to give up."""

    def __init__(self) -> None:
        self.owned: set[tuple[str, int]] = set()
        self.revocations = 0

    async def on_partitions_revoked(self, revoked: Any) -> None:
        self.revocations += 1
        self.owned = set()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        self.owned = {(tp.topic, tp.partition) for tp in assigned}


def _listener() -> Any:
    from aiokafka import ConsumerRebalanceListener

    return type("Listener", (_Listener, ConsumerRebalanceListener), {})()


def _assignor(listener: _Listener) -> CopartitionAssignor:
    return CopartitionAssignor(lambda: [number for _, number in listener.owned])


def test_members_share_and_take_over(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        everything = {(t, p) for t in lab.config.inputs for p in range(PARTITIONS)}
        first, second = _listener(), _listener()
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
        producer = await _producer(lab)
        await producer.begin_transaction()
        await _send(lab, producer, b"a")
        await producer.commit_transaction()
        found = await waiting
        assert [record.value for record in found[at]] == [b"a"]
        reader.seek(at, 0)
        again = await reader.getmany(timeout_ms=10_000)
        assert [record.offset for record in again[at]] == [0]
        await producer.stop()
        await reader.stop()

    laboratory.run(body)
