"""What the tests ask of a laboratory: send, read, offsets, and single requests as they are."""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest

from processor.runtime import clients
from tests.simulation.conformance.laboratories import Laboratory, eventually


async def new_producer(lab: Laboratory, partition: int = 0) -> Any:
    producer = clients.transactional_producer(lab.config, partition)
    await producer.start()
    lab.producers.append(producer)
    return producer


async def send_one(lab: Laboratory, producer: Any, value: bytes, topic: str | None = None) -> int:
    """Send one record in the open transaction; returns its offset."""
    batch = producer.create_batch()
    batch.append(key=b"k", value=value, timestamp=None, headers=[])
    delivery = await producer.send_batch(batch, topic or lab.config.output, partition=0)
    return int((await delivery).offset)


async def ends_of(lab: Laboratory) -> tuple[int, int]:
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


async def read_all(
    lab: Laboratory, *, committed: bool = True
) -> tuple[list[tuple[int, bytes]], int]:
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


async def group_offset(lab: Laboratory) -> int:
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


def naming(lab: Laboratory, producer: Any, epoch: int | None = None) -> dict[str, Any]:
    manager = producer._txn_manager
    return {
        "transactional_id": lab.config.transactional_id(0),
        "producer_id": manager.producer_id,
        "producer_epoch": manager.producer_epoch if epoch is None else epoch,
    }


async def end_raw(lab: Laboratory, producer: Any, result: bool) -> int:
    request = EndTxnRequest(**naming(lab, producer), transaction_result=result)
    answer = await lab.ask(producer, request)
    return int(answer.error_code)


def first_error(answer: Any) -> int:
    return int(answer.errors[0][1][0][1])


async def produce_raw(lab: Laboratory, producer: Any, value: bytes, *, sequence: int) -> int:
    builder = BatchBuilder(
        16_384, 0, is_transactional=True, key_serializer=None, value_serializer=None
    )
    builder.append(key=b"k", value=value, timestamp=None, headers=[])
    manager = producer._txn_manager
    builder._set_producer_state(manager.producer_id, manager.producer_epoch, sequence)
    topics = [(lab.config.output, [(0, bytes(builder._build()))])]
    request = ProduceRequest(lab.config.transactional_id(0), -1, 5_000, topics)
    return int((await lab.ask(producer, request)).topics[0][1][0][1])
