"""Where a verification gets its records from: a real Kafka, which it only reads.

It belongs to no consumer group and fences nobody; workers may run meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition

from processor import topicadmin
from processor.config import Settings
from processor.connection import connected
from processor.deployment import make_machine, runtime_config
from processor.rules.forgetting import DAY_MS
from processor.runtime import clients
from processor.runtime.batches import find_unreadable
from processor.runtime.config import RuntimeConfig
from processor.runtime.skip import Unreadable
from processor.verify.plan import Plan
from processor.verify.replay import UNREADABLE
from processor.verify.streams import Bounds, Record
from schemas import private, topics
from schemas.errors import StateRefused

_POLL_MS: Final = 200
_POLL_RECORDS: Final = 2_000
_ENDS_WITHIN_SECONDS: Final = 60.0
"""A transaction is open for at most its time-out, 30 s at the longest."""
_GROUP_SETTLES_WITHIN_SECONDS: Final = 10.0
_CLOCKS_DIFFER_BY_MS: Final = DAY_MS
"""The broker's clock may be that far from the workers' and from ours."""


class KafkaSource:
    """The topics of one deployment."""

    def __init__(self, config: RuntimeConfig, committed: Any, raw: Any, admin: Any) -> None:
        """Take started clients: readers of what is committed and of everything, and an admin."""
        self._config = config
        self._committed = committed
        self._raw = raw
        self._admin = admin
        self._assigned: int | None = None

    # -- reading

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[list[Record]]:
        """Read the committed records with `start` <= offset < `end`, in batches."""
        place = TopicPartition(topic, partition)
        consumer = self._committed
        if start >= end:
            return
        consumer.seek(place, start)
        consumer.resume(place)
        while await consumer.position(place) < end:
            records = await self._poll(place)
            batch = [_record(record) for record in records if record.offset < end]
            if batch:
                yield batch
        # It would keep the broker waiting for what comes, and others with it.
        consumer.pause(place)

    async def read_on(self, topic: str, partition: int, start: int) -> AsyncIterator[list[Record]]:
        """Read the committed records from `start` to where the topic ends at this moment."""
        place = TopicPartition(topic, partition)
        end = (await self._committed.end_offsets([place]))[place]
        async for batch in self.read(topic, partition, start, end):
            yield batch

    async def _poll(self, place: TopicPartition) -> list[Any]:
        before = await self._committed.position(place)
        try:
            poll = await self._committed.getmany(
                place, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS
            )
        except UnicodeDecodeError as error:
            return await self._poll_up_to_unreadable(place, before, error)
        return list(poll.get(place, ()))

    async def _poll_up_to_unreadable(
        self, place: TopicPartition, before: int, error: UnicodeDecodeError
    ) -> list[Any]:
        """Read again what came before a record that the client cannot decode, and stand in for it."""
        found = find_unreadable(self._committed._fetcher)  # noqa: SLF001 - as in runtime.skip
        if found is None or (found.topic, found.partition) != (place.topic, place.partition):
            raise error
        records: list[Any] = []
        self._committed.seek(place, before)
        while await self._committed.position(place) < found.offset:
            # One at a time: a poll that came to it would lose what it had read.
            poll = await self._committed.getmany(place, timeout_ms=_POLL_MS, max_records=1)
            records += poll.get(place, [])
        self._committed.seek(place, found.offset + 1)
        return [*records, Unreadable(place.topic, place.partition, found.offset, str(error))]

    # -- bounds

    async def bounds(self, partition: int) -> Bounds:
        """Look where everything of a partition begins and ends, in the order that `Bounds` explains."""
        config = self._config
        inputs = [TopicPartition(topic, partition) for topic in config.inputs]
        outputs = [
            TopicPartition(topic, partition)
            for topic in (config.output, config.rejected, *config.changelogs.values())
        ]
        journal = TopicPartition(config.journal, partition)
        positions = TopicPartition(config.positions, partition)
        self._assign([*inputs, *outputs, journal, positions])
        starts = await self._raw.beginning_offsets([*inputs, *outputs, journal, positions])
        before = await self._settled_ends([journal, positions])
        row = await self._last_row(positions, starts[positions], before[positions])
        group = await self._group(inputs, row)
        ends = await self._settled_ends(outputs)
        ends |= await self._settled_ends([journal])
        ends |= await self._committed.end_offsets(inputs)
        ends |= await self._settled_ends([positions])
        return Bounds(
            starts={place.topic: at for place, at in starts.items()},
            ends={place.topic: at for place, at in ends.items()},
            complete_until=before[journal],
            settled_until=before[positions],
            settled_number=0 if row is None else row.number,
            group={place.topic: at for place, at in group.items()},
        )

    def _assign(self, places: list[TopicPartition]) -> None:
        for consumer in (self._committed, self._raw):
            consumer.assign(places)
            consumer.pause(*places)

    async def _settled_ends(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the ends, once no transaction is open below them."""
        ends: dict[TopicPartition, int] = await self._raw.end_offsets(places)
        deadline = time.monotonic() + _ENDS_WITHIN_SECONDS
        while True:
            stable = await self._committed.end_offsets(places)
            hanging = [place for place in places if stable[place] < ends[place]]
            if not hanging:
                return ends
            if time.monotonic() > deadline:
                place = hanging[0]
                raise StateRefused(
                    f"A transaction in {place.topic} partition {place.partition} is open since offset "
                    f"{stable[place]}, for longer than any of a worker may be.\n"
                    "If it is a stopped worker's, start it; else find it with `kafka-transactions.sh "
                    f"--bootstrap-server HOST:PORT find-hanging --topic {place.topic}`."
                )
            await asyncio.sleep(0.05)

    async def _last_row(
        self, place: TopicPartition, start: int, end: int
    ) -> private.PositionsRow | None:
        row = None
        async for batch in self.read(place.topic, place.partition, start, end):
            try:
                row = private.decode_positions(batch[-1].value or b"")
            except UNREADABLE:
                # The comparison of the rows says so.
                continue
        return row

    async def _group(
        self, inputs: list[TopicPartition], row: private.PositionsRow | None
    ) -> Mapping[TopicPartition, int]:
        """Give the group's offsets, once they have reached those of a positions row.

        The coordinator may take a moment to see the end of a transaction.
        """
        deadline = time.monotonic() + _GROUP_SETTLES_WITHIN_SECONDS
        while True:
            found = await self._admin.list_consumer_group_offsets(
                self._config.group_id, partitions=inputs
            )
            offsets = {place: at.offset for place, at in found.items() if at.offset >= 0}
            behind = row is not None and any(
                at < row.offsets.get(place.topic, 0) for place, at in offsets.items()
            )
            if not behind or time.monotonic() > deadline:
                return offsets
            await asyncio.sleep(0.2)

    async def input_offsets(self, partitions: Iterable[int]) -> int:
        """Count the offsets that the inputs hold, for whoever shows how far it is."""
        places = [
            TopicPartition(topic, partition)
            for topic in self._config.inputs
            for partition in partitions
        ]
        self._raw.assign(places)
        self._raw.pause(*places)
        starts = await self._raw.beginning_offsets(places)
        ends = await self._raw.end_offsets(places)
        return sum(ends[place] - starts[place] for place in places)


def _record(record: Any) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


@asynccontextmanager
async def open_source(settings: Settings) -> AsyncIterator[KafkaSource]:
    """Connect; raises KafkaUnavailable."""
    config = runtime_config(settings)
    async with AsyncExitStack() as stack:
        committed, raw, admin = [
            await stack.enter_async_context(connected(settings, client))
            for client in (
                clients.reader(config),
                clients.reader(config, committed=False),
                clients.admin(config),
            )
        ]
        yield KafkaSource(config, committed, raw, admin)


async def plan_for(settings: Settings) -> Plan:
    """Look at the topics of a deployment; raises TopicsMissing, KafkaUnavailable."""
    config = runtime_config(settings)
    partitions = await topicadmin.partition_count(settings, *topics.ALL)
    found = await topicadmin.topic_settings(
        settings,
        {
            config.output: ["min.compaction.lag.ms"],
            config.rejected: ["retention.ms", "max.message.bytes"],
        },
    )
    now_ms = time.time_ns() // 1_000_000
    lag_ms = int(found[config.output]["min.compaction.lag.ms"])
    retention_ms = int(found[config.rejected]["retention.ms"])

    return Plan(
        group=config.group_id,
        topic_prefix=settings.topic_prefix,
        inputs=config.inputs,
        changelogs=config.changelogs,
        output=config.output,
        rejected=config.rejected,
        positions=config.positions,
        journal=config.journal,
        partitions=partitions,
        any_partitioner=settings.any_partitioner,
        create_machine=lambda partition: make_machine(settings, partition, partitions),
        rejected_limit_bytes=int(found[config.rejected]["max.message.bytes"]),
        halts_kept_since_ms=_kept_since(now_ms, lag_ms),
        rejected_kept_since_ms=_kept_since(now_ms, retention_ms),
    )


def _kept_since(now_ms: int, for_ms: int) -> int | None:
    """Tell since when nothing can have gone that is kept `for_ms`; -1 is for ever."""
    if for_ms < 0:
        return 0
    sure_ms = for_ms - _CLOCKS_DIFFER_BY_MS
    return now_ms - sure_ms if sure_ms > 0 else None
