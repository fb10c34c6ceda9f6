"""A read-only copy of partitions, as their workers have committed them.

    async with open_replica(settings, partitions) as replica:
        await replica.read_to_end()                          # once, or now and then
        answer = inquire(replica.machines[3], studio_id, order_id)
        await replica.follow()                               # for ever, in a task of its own

It reads the changelogs as a worker's recovery does, read_committed, but takes nothing over: it fences
nobody, belongs to no consumer group and writes nothing. Each changelog is read by itself, so for the
moment between two polls a transaction may be there by half; `Answer.unsettled` tells.

One that was away for longer than `delete.retention.ms` (a day) may have missed tombstones: open a
new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import TopicPartition

from processor import topicadmin
from processor.config import Settings
from processor.connection import connected
from processor.deployment import runtime_config
from processor.rules.machine import Machine, read_checkpoint
from processor.runtime import clients
from processor.runtime.config import RuntimeConfig
from processor.runtime.reading import polls
from schemas import private, topics
from schemas.errors import StateRefused
from schemas.partitioning import default_partition

#: Told how much has been read and how much there is, in offsets.
Progress = Callable[[int, int], None]
#: Told partition, table and key of every row that has come.
RowCame = Callable[[int, str, bytes], None]

_FOLLOW_POLL_MS: Final = 500


def partitions_of(settings: Settings, studio_id: str, count: int) -> tuple[int, ...]:
    """Name the partitions, of `count`, in which a studio may be: one, but for any_partitioner."""
    if settings.any_partitioner:
        return tuple(range(count))
    return (default_partition(studio_id.encode(), count),)


async def partition_count(settings: Settings) -> int:
    """Tell how many partitions the state has; raises TopicsMissing, KafkaUnavailable."""
    return await topicadmin.partition_count(settings, *topics.CHANGELOGS.values(), topics.POSITIONS)


@asynccontextmanager
async def open_replica(settings: Settings, partitions: Iterable[int]) -> AsyncIterator[Replica]:
    """Connect; nothing has been read yet. Raises KafkaUnavailable."""
    config = runtime_config(settings)
    async with connected(settings, clients.reader(config)) as consumer:
        replica = Replica(config, consumer, settings.topic_prefix, partitions)
        yield replica


class Replica:
    """The machines of some partitions, filled from their changelogs."""

    def __init__(
        self, config: RuntimeConfig, consumer: Any, topic_prefix: str, partitions: Iterable[int]
    ) -> None:
        """Take a started consumer for its own."""
        # A replica takes the studios that are there, whoever has put them there.
        self.machines = {
            number: Machine(number, topic_prefix=topic_prefix, any_partitioner=True)
            for number in partitions
        }
        self.positions: dict[int, private.PositionsRow] = {}
        """Up to where the inputs of each partition are in what was read; none before its first."""
        self.rows_read = 0
        self._consumer = consumer
        self._tables = {
            TopicPartition(topic, number): table
            for table, topic in config.changelogs.items()
            for number in self.machines
        }
        positions = [TopicPartition(config.positions, number) for number in self.machines]
        self._next: dict[TopicPartition, int] = dict.fromkeys([*self._tables, *positions], 0)
        self._assigned = False

    async def read_to_end(self, progress: Progress | None = None) -> None:
        """Read up to where the changelogs end at the time of the call.

        Raises StateRefused where a newer release wrote them, or where they were made anew.
        """
        await self._assign()
        ends = await self._consumer.end_offsets(list(self._next))
        total = sum(ends.values())
        async for poll in polls(self._consumer, ends):
            self._take(poll)
            if progress is not None:
                reached = [min(await self._consumer.position(tp), ends[tp]) for tp in ends]
                progress(sum(reached), total)

    async def follow(self, row_came: RowCame | None = None) -> None:
        """Read on as it comes, until it is cancelled. A broker that is away is waited for."""
        await self._assign()
        while True:
            self._take(await self._consumer.getmany(timeout_ms=_FOLLOW_POLL_MS), row_came)
            # Never to hold up the loop while a lot is coming.
            await asyncio.sleep(0)

    async def behind(self) -> int:
        """Tell how many offsets are committed and not read yet; waits for a broker that is away."""
        await self._assign()
        ends = await self._consumer.end_offsets(list(self._next))
        return sum([max(0, ends[tp] - await self._consumer.position(tp)) for tp in ends])

    async def _assign(self) -> None:
        if not self._assigned:
            self._assigned = True
            self._consumer.assign(list(self._next))
            await self._consumer.seek_to_beginning(*self._next)

    def _take(self, poll: Any, row_came: RowCame | None = None) -> None:
        for tp, records in poll.items():
            if records[0].offset < self._next[tp]:
                raise StateRefused(
                    f"{tp.topic} was made anew while it was read: its offsets begin again.\n"
                    "Start this command or service again."
                )
            self._next[tp] = records[-1].offset + 1
            table = self._tables.get(tp)
            if table is None:
                self._take_positions(tp.partition, records[-1].value)
                continue
            machine = self.machines[tp.partition]
            for record in records:
                machine.load(table, record.key, record.value)
                if row_came is not None:
                    row_came(tp.partition, table, record.key)
            self.rows_read += len(records)
            machine.shard.forgetting.drop_timers()

    def _take_positions(self, number: int, value: bytes) -> None:
        row = self.positions[number] = private.decode_positions(value)
        if row.checkpoint is not None:
            made_with = read_checkpoint(row.checkpoint)
            self.machines[number].shard.partition_time = made_with.partition_time
