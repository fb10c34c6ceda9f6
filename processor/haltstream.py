"""Follow `order-halted` as any consumer does: committed records, every partition, no group.

    async for halt in follow(settings, wanted, ...):     # a Halt per record that is wanted

A broker that is away is waited for; what was committed meanwhile comes when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processor import topicadmin
from processor.config import Settings
from processor.connection import connected
from processor.deployment import runtime_config
from processor.replica import partitions_of
from processor.runtime import clients
from schemas import topics

_POLL_MS: Final = 250
_LOOK_EVERY_SECONDS: Final = 2.0
_ANSWERS_WITHIN_SECONDS: Final = 5.0

#: Told once when Kafka does not answer any more (False), and once when it does again (True).
Answers = Callable[[bool], None]


class _Code(msgspec.Struct):
    code: str


class Halted(msgspec.Struct):
    """What is looked at in a record; codes are text, because their sets are open."""

    studio_id: str
    order_id: str
    status: str
    occurred_at: str
    primary_reason: str | None
    reasons: tuple[_Code, ...] = ()
    ended_reasons: tuple[_Code, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; an empty set wants all."""

    studios: frozenset[str] = field(default_factory=frozenset)
    orders: frozenset[str] = field(default_factory=frozenset)
    reasons: frozenset[str] = field(default_factory=frozenset)
    """Codes that are active now, or were until this record."""
    statuses: frozenset[str] = field(default_factory=frozenset)

    def matches(self, halted: Halted) -> bool:
        """Tell whether a record is wanted."""
        codes = {reason.code for reason in (*halted.reasons, *halted.ended_reasons)}
        return (
            (not self.studios or halted.studio_id in self.studios)
            and (not self.orders or halted.order_id in self.orders)
            and (not self.reasons or not self.reasons.isdisjoint(codes))
            and (not self.statuses or halted.status in self.statuses)
        )


@dataclass(frozen=True, slots=True)
class Halt:
    """One record: its bytes, and what is looked at."""

    value: bytes
    halted: Halted


_decode: Final = msgspec.json.Decoder(Halted).decode


async def follow(
    settings: Settings,
    wanted: Wanted,
    *,
    from_beginning: bool,
    to_end: bool = False,
    answers: Answers = lambda _: None,
) -> AsyncIterator[Halt]:
    """Give the records that are wanted as they are committed; tombstones are left out.

    `to_end`: only up to where the topic ends now. Raises TopicsMissing, KafkaUnavailable.
    """
    count = await topicadmin.partition_count(settings, topics.ORDER_HALTED)
    config = runtime_config(settings)
    numbers = {p for studio in wanted.studios for p in partitions_of(settings, studio, count)}
    places = [TopicPartition(config.output, p) for p in sorted(numbers or range(count))]
    async with connected(settings, clients.reader(config)) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        if from_beginning:
            await consumer.seek_to_beginning(*places)
        else:
            # Settled here: a position that is looked up later would be that of a later end.
            for place in places:
                consumer.seek(place, ends[place])
        watch = _Watch(consumer, places[0], answers)
        while not to_end or await _before(consumer, ends):
            poll = await consumer.getmany(timeout_ms=_POLL_MS)
            for record in (record for records in poll.values() for record in records):
                if record.value is None:
                    continue
                halted = _decode(record.value)
                if wanted.matches(halted):
                    yield Halt(record.value, halted)
            if not poll:
                await watch.look()


async def _before(consumer: Any, ends: dict[TopicPartition, int]) -> bool:
    return any([await consumer.position(place) < end for place, end in ends.items()])


class _Watch:
    """Asks now and then whether Kafka answers, while nothing comes."""

    def __init__(self, consumer: Any, place: TopicPartition, answers: Answers) -> None:
        self._consumer = consumer
        self._place = place
        self._tell = answers
        self._answered = True
        self._next_at = time.monotonic() + _LOOK_EVERY_SECONDS

    async def look(self) -> None:
        """Ask, if it is time, and tell what has changed."""
        if time.monotonic() < self._next_at:
            return
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
                await self._consumer.end_offsets([self._place])
        except (KafkaError, OSError):
            answered = False
        else:
            answered = True
        self._next_at = time.monotonic() + _LOOK_EVERY_SECONDS
        if answered != self._answered:
            self._answered = answered
            self._tell(answered)
