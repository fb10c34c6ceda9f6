"""Read assigned partitions up to an end: by position, not by records, for control records take offsets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aiokafka import TopicPartition

POLL_MS: Final = 50

Offsets = Mapping[TopicPartition, int]
Poll = Mapping[TopicPartition, list[Any]]
"""What one poll brought: partition → its records, in their order."""


async def polls(consumer: Any, ends: Offsets) -> AsyncIterator[Poll]:
    """Poll until every partition of `ends` has been read up to there.

    A poll may bring nothing, and may bring more than was asked for.
    """
    waiting = set(ends)
    while True:
        waiting = {tp for tp in waiting if await consumer.position(tp) < ends[tp]}
        if not waiting:
            return
        yield await consumer.getmany(timeout_ms=POLL_MS)
