"""The dead-letter topic: find rejected records, and send repaired ones to where they belong.

What the headers say is of contract.md §6. A record goes again with its key and its own headers, without
ours, to its topic and the partition of its key; so it is a new record there, which is judged anew.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition

from processor import topicadmin
from processor.config import Settings
from processor.connection import connected
from processor.deployment import runtime_config
from processor.replica import Progress
from processor.runtime import clients
from processor.runtime.reading import polls
from schemas import topics
from schemas.door import decode
from schemas.errors import Rejection
from schemas.partitioning import default_partition

_OURS: Final = "orderhalt_"
_FIND_WITHIN_OFFSETS: Final = 1

Header = tuple[str, bytes]


class NotSent(Exception):
    """A record was not sent; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record of the dead-letter topic."""

    partition: int
    offset: int
    timestamp_ms: int
    """When it was rejected."""
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    """Those of the record as it came, in their order."""
    notes: dict[str, str]
    """What our headers say: `error_code`, `error`, `topic`, `partition`, `offset`, `timestamp`."""

    @property
    def id(self) -> str:
        """Name it for the other commands: its place in the dead-letter topic."""
        return f"{self.partition}:{self.offset}"

    @property
    def code(self) -> str:
        """Why it was rejected."""
        return self.notes.get("error_code", "")

    @property
    def topic(self) -> str:
        """The input topic that it came from, with its prefix."""
        return self.notes.get("topic", "")

    @property
    def omitted(self) -> str | None:
        """What was left out because no limit takes it; None where everything is there."""
        return self.notes.get("omitted")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; what is empty or None wants all. Times in milliseconds, `until_ms` exclusive."""

    codes: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    """With or without the prefix."""
    since_ms: int | None = None
    until_ms: int | None = None

    def matches(self, record: Rejected, prefix: str) -> bool:
        """Tell whether a record is wanted."""
        return (
            (not self.codes or record.code in self.codes)
            and (
                not self.topics
                or record.topic in self.topics
                or record.topic.removeprefix(prefix) in self.topics
            )
            and (self.since_ms is None or record.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or record.timestamp_ms < self.until_ms)
        )


def _rejected(record: Any) -> Rejected:
    notes = {
        name.removeprefix(_OURS): (text or b"").decode(errors="replace")
        for name, text in record.headers
        if name.startswith(_OURS)
    }
    return Rejected(
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, text) for name, text in record.headers if not name.startswith(_OURS)),
        notes,
    )


async def find_all(
    settings: Settings, wanted: Wanted, progress: Progress | None = None
) -> AsyncIterator[Rejected]:
    """Give the records that are wanted and are there now, each partition in its order.

    Raises TopicsMissing, KafkaUnavailable.
    """
    count = await topicadmin.partition_count(settings, topics.REJECTED)
    config = runtime_config(settings)
    places = [TopicPartition(config.rejected, p) for p in range(count)]
    async with connected(settings, clients.reader(config)) as consumer:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        starts = await consumer.beginning_offsets(places)
        if wanted.since_ms is not None:
            found = await consumer.offsets_for_times(dict.fromkeys(places, wanted.since_ms))
            starts |= {p: at.offset if at is not None else ends[p] for p, at in found.items()}
        for place in places:
            consumer.seek(place, starts[place])
        total, done = sum(ends.values()) - sum(starts.values()), 0
        async for poll in polls(consumer, ends):
            for records in poll.values():
                done += len(records)
                for record in map(_rejected, records):
                    if wanted.matches(record, settings.topic_prefix):
                        yield record
            if progress is not None:
                progress(done, total)


async def find(settings: Settings, places: Sequence[tuple[int, int]]) -> list[Rejected | None]:
    """Give the records at (partition, offset); None where there is none.

    Raises TopicsMissing, KafkaUnavailable.
    """
    count = await topicadmin.partition_count(settings, topics.REJECTED)
    config = runtime_config(settings)
    async with connected(settings, clients.reader(config)) as consumer:
        return [
            await _read(consumer, TopicPartition(config.rejected, partition), offset)
            if partition < count
            else None
            for partition, offset in places
        ]


async def _read(consumer: Any, place: TopicPartition, offset: int) -> Rejected | None:
    consumer.assign([place])
    start = (await consumer.beginning_offsets([place]))[place]
    end = (await consumer.end_offsets([place]))[place]
    if not start <= offset < end:
        return None
    consumer.seek(place, offset)
    async for poll in polls(consumer, {place: offset + _FIND_WITHIN_OFFSETS}):
        for record in poll.get(place, ()):
            return _rejected(record) if record.offset == offset else None
    return None


@dataclass(frozen=True, slots=True)
class Sending:
    """A record as it is going to be sent."""

    id: str
    """Of the rejected record."""
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]


async def partitions_of_inputs(settings: Settings) -> int:
    """Tell how many partitions the inputs have."""
    return await topicadmin.partition_count(settings, *topics.INPUTS)


def prepare(settings: Settings, record: Rejected, partitions: int, now_ms: int) -> Sending:
    """Check a record as a worker will, and give it its partition.

    Raises NotSent where it would be rejected again, or does not belong to this deployment. What a
    worker knows and we do not is not checked: the packages that an order has already.
    """
    inputs = {topics.prefixed(topic, settings.topic_prefix): topic for topic in topics.INPUTS}
    if record.topic not in inputs:
        raise NotSent(
            f"{record.id} came from {record.topic or 'no topic that its headers name'}, which is no "
            f"input of this deployment: {', '.join(inputs)}. Is --topic-prefix right?"
        )
    if record.omitted is not None and record.value is None:
        raise NotSent(
            f"{record.id} is not whole: {record.omitted}. Give its value with --value; the topic has "
            f"the bytes until its retention ends, at partition {record.notes.get('partition')} "
            f"offset {record.notes.get('offset')}."
        )
    kind = inputs[record.topic].value
    assert kind is not None, "every input has a struct"
    try:
        decode(kind, record.key, record.value, now_ms)
    except Rejection as rejection:
        raise NotSent(
            f"{record.id} would be rejected again, as {rejection.code}: {rejection.message}\n"
            "Repair it with --value, --edit or --key; or send it as it is with --force."
        ) from None
    return as_it_is(settings, record, partitions)


def as_it_is(settings: Settings, record: Rejected, partitions: int) -> Sending:
    """Give a record its partition, unchecked."""
    if settings.any_partitioner or record.key is None:
        partition = int(record.notes.get("partition", 0))
    else:
        partition = default_partition(record.key, partitions)
    return Sending(record.id, record.topic, partition, record.key, record.value, record.headers)


def repaired(record: Rejected, value: bytes | None, key: bytes | None) -> Rejected:
    """Give a record with another value or key, where one is given."""
    if value is not None:
        record = replace(record, value=value)
    return record if key is None else replace(record, key=key)


async def send(settings: Settings, sendings: Sequence[Sending]) -> list[int]:
    """Send records one by one; give their offsets. Raises KafkaUnavailable, KafkaError.

    The producer is idempotent: what it repeats after a lost answer is not there twice.
    """
    config = runtime_config(settings)
    producer = AIOKafkaProducer(
        client_id="orderhalt-resend",
        enable_idempotence=True,
        max_request_size=topics.OUTPUT_MAX_MESSAGE_BYTES,
        **clients.bootstrap(config),
    )
    async with connected(settings, producer):
        return [
            (
                await producer.send_and_wait(
                    x.topic, x.value, x.key, partition=x.partition, headers=list(x.headers)
                )
            ).offset
            for x in sendings
        ]
