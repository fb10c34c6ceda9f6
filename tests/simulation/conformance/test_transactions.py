"""What the runtime relies on of transactions holds for Apache Kafka, and for the model of it."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from tests.simulation.conformance.asking import (
    end_raw,
    ends_of,
    first_error,
    group_offset,
    naming,
    new_producer,
    produce_raw,
    read_all,
    send_one,
)
from tests.simulation.conformance.laboratories import Laboratory, eventually

COMMIT, ABORT = True, False
FENCED, WRONG_STATE, CONCURRENT = 47, 48, 51


def test_a_new_producer_of_an_id_fences_the_old_one(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await new_producer(lab)
        await old.begin_transaction()
        await send_one(lab, old, b"of the old one")
        new = await new_producer(lab)
        with pytest.raises(KafkaError):
            await old.commit_transaction()
        await new.begin_transaction()
        await send_one(lab, new, b"of the new one")
        await new.commit_transaction()

        async def seen() -> bool:
            return [value for _, value in (await read_all(lab))[0]] == [b"of the new one"]

        await eventually(seen)
        await new.stop()

    laboratory.run(body)


def test_the_fence_aborts_and_its_marker_takes_an_offset(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await new_producer(lab)
        await old.begin_transaction()
        assert await send_one(lab, old, b"lost") == 0
        new = await new_producer(lab)
        assert await ends_of(lab) == (2, 2)
        assert await read_all(lab) == ([], 2)
        assert await read_all(lab, committed=False) == ([(0, b"lost")], 2)
        await new.stop()

    laboratory.run(body)


def test_an_open_transaction_holds_back_read_committed(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        assert await ends_of(lab) == (0, 1)
        await producer.commit_transaction()

        async def stable() -> bool:
            return await ends_of(lab) == (2, 2)

        await eventually(stable)
        await producer.stop()

    laboratory.run(body)


def test_markers_take_offsets_between_transactions(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        for value, commit in ((b"a", True), (b"b", False), (b"c", True)):
            await producer.begin_transaction()
            await send_one(lab, producer, value)
            await (producer.commit_transaction() if commit else producer.abort_transaction())

        async def complete() -> bool:
            return await ends_of(lab) == (6, 6)

        await eventually(complete)
        assert await read_all(lab) == ([(0, b"a"), (4, b"c")], 6)
        await producer.stop()

    laboratory.run(body)


@pytest.mark.parametrize("commit", [True, False])
def test_offsets_count_with_their_transaction(laboratory: Laboratory, commit: bool) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        at = TopicPartition(lab.config.inputs[0], 0)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        await producer.send_offsets_to_transaction({at: 7}, lab.config.group_id)
        assert await group_offset(lab) == -1
        await (producer.commit_transaction() if commit else producer.abort_transaction())

        async def settled() -> bool:
            return await ends_of(lab) == (2, 2) and await group_offset(lab) == (7 if commit else -1)

        await eventually(settled)
        await producer.stop()

    laboratory.run(body)


def test_an_old_epoch_is_refused_everywhere(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await new_producer(lab)
        new = await new_producer(lab)
        named, config = naming(lab, old), lab.config
        ask = lab.ask
        added = await ask(old, AddPartitionsToTxnRequest(**named, topics=[(config.output, [0])]))
        assert first_error(added) == FENCED
        with_offsets = await ask(old, AddOffsetsToTxnRequest(**named, group_id=config.group_id))
        assert with_offsets.error_code == FENCED
        offsets = [(config.inputs[0], [(0, 3, "")])]
        committed = await ask(
            old, TxnOffsetCommitRequest(**named, group_id=config.group_id, topics=offsets)
        )
        assert first_error(committed) == FENCED
        assert await end_raw(lab, old, COMMIT) == FENCED
        assert await group_offset(lab) == -1
        await new.stop()

    laboratory.run(body)


def test_offsets_need_a_transaction_that_has_the_group(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        answer = await lab.ask(
            producer,
            TxnOffsetCommitRequest(
                **naming(lab, producer),
                group_id=lab.config.group_id,
                topics=[(lab.config.inputs[0], [(0, 3, "")])],
            ),
        )
        assert first_error(answer) == WRONG_STATE
        await producer.abort_transaction()
        await producer.stop()

    laboratory.run(body)


def test_a_repeated_end_is_taken_for_an_answered_one(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        await producer.commit_transaction()

        async def complete() -> bool:
            return await end_raw(lab, producer, COMMIT) == 0

        await eventually(complete)
        assert await end_raw(lab, producer, ABORT) == WRONG_STATE
        await producer.stop()

    laboratory.run(body)


def test_a_late_end_ends_the_next_transaction(laboratory: Laboratory) -> None:
    """Show the hazard that makes the runtime never repeat such a question."""

    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
        await producer.commit_transaction()
        await producer.begin_transaction()
        await send_one(lab, producer, b"half of the next one")
        assert await end_raw(lab, producer, COMMIT) == 0

        async def torn() -> bool:
            return [v for _, v in (await read_all(lab))[0]] == [b"a", b"half of the next one"]

        await eventually(torn)

    laboratory.run(body)


def test_the_first_init_of_an_open_transaction_is_told_to_wait(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"a")
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

    laboratory.run(body)


def test_a_late_batch_is_refused_after_the_fence(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        old = await new_producer(lab)
        await old.begin_transaction()
        await send_one(lab, old, b"in time")
        new = await new_producer(lab)
        assert await produce_raw(lab, old, b"late", sequence=1) == FENCED
        assert [v for _, v in (await read_all(lab, committed=False))[0]] == [b"in time"]
        await new.stop()

    laboratory.run(body)


def test_a_batch_needs_its_partition_in_the_transaction(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        assert await produce_raw(lab, producer, b"without", sequence=0) == WRONG_STATE
        assert await ends_of(lab) == (0, 0)
        await producer.stop()

    laboratory.run(body)


def test_a_repeated_batch_is_recognised(laboratory: Laboratory) -> None:
    async def body(lab: Laboratory) -> None:
        producer = await new_producer(lab)
        await producer.begin_transaction()
        await send_one(lab, producer, b"once")
        assert await produce_raw(lab, producer, b"once", sequence=0) == 0
        await producer.commit_transaction()

        async def complete() -> bool:
            return await ends_of(lab) == (2, 2)

        await eventually(complete)
        assert [v for _, v in (await read_all(lab))[0]] == [b"once"]
        await producer.stop()

    laboratory.run(body)
