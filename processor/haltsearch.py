"""Find what was last said of an order on `order-halted`.

The topic is partitioned by studio and keyed by order, so nothing finds a key in it but reading. The
search goes backwards in growing steps: what was said lately is found at once, and in the worst case
the partition is read once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from processor.config import Settings
from processor.connection import connected
from processor.deployment import runtime_config
from processor.replica import Progress
from processor.runtime import clients
from processor.runtime.reading import polls
from processor.verify.sequences import sequence_of

_FIRST_STEP_OFFSETS: Final = 2_000
_STEP_GROWTH: Final = 4


@dataclass(frozen=True, slots=True)
class Place:
    """One record of `order-halted`."""

    topic: str
    partition: int
    offset: int
    value: bytes


async def find_last(
    settings: Settings,
    partition: int,
    order_key: str,
    progress: Progress | None = None,
    *,
    sequence: int | None = None,
) -> Place | None:
    """Give the last record of an order; None where there is none, or a tombstone has ended them.

    `sequence`: that record and no other, which may have been compacted away.
    """
    config = runtime_config(settings)
    async with connected(settings, clients.reader(config)) as consumer:
        place = TopicPartition(config.output, partition)
        consumer.assign([place])
        start = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        before, step = end, _FIRST_STEP_OFFSETS
        while before > start:
            after = max(start, before - step)
            found = await _last_within(consumer, place, order_key.encode(), sequence, after, before)
            if found is not None:
                return None if found.value is None else _place(found)
            before, step = after, step * _STEP_GROWTH
            if progress is not None:
                progress(end - before, end - start)
    return None


def _is_wanted(record: Any, key: bytes, sequence: int | None) -> bool:
    if record.key != key:
        return False
    if sequence is None:
        return True
    return record.value is not None and sequence_of(record.value) == sequence


async def _last_within(
    consumer: Any, place: TopicPartition, key: bytes, sequence: int | None, first: int, end: int
) -> Any | None:
    """Give the last record that is wanted with `first` <= offset < `end`."""
    consumer.seek(place, first)
    found = None
    async for poll in polls(consumer, {place: end}):
        for record in poll.get(place, ()):
            if record.offset < end and _is_wanted(record, key, sequence):
                found = record
    return found


def _place(record: Any) -> Place:
    return Place(record.topic, record.partition, record.offset, record.value)
