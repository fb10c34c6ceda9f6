"""Bring partitions of a former owner, or of a former process, back to where they were.

For all new partitions together:

1. *Fence.* InitProducerId with each partition's transactional id: an open transaction of the former
   owner is aborted, a decided one is completed, and whatever that owner still tries is refused.
   Dies here: the next one does the same; nothing depends on this.
2. *Bounds.* Starts and ends of changelogs, positions and inputs; wait until no transaction is open
   in the private topics (after the fence only a hanging one can be), then take their ends.
3. *Load.* Read the changelogs read_committed up to those ends, by position and not by records:
   control records take offsets. Rows go to the machine one by one.
4. *Check* that rows, positions row and group offsets fit together (`positions`), or refuse.
5. *Resume* the machine: it may emit records, which the first window takes.

Nothing is written to Kafka until the first commit, so dying anywhere here changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import TopicPartition

from processor.runtime import clients, failpoints, failstop, garbage
from processor.runtime.config import RuntimeConfig
from processor.runtime.partition import Partition
from processor.runtime.positions import Found, starting_offsets
from processor.runtime.protocol import Observer, Recovered
from processor.runtime.reading import Offsets, polls
from schemas import private
from schemas.errors import StateRefused

log = logging.getLogger(__name__)

#: Markers of what the fence has aborted may be late: a broker that was killed, and whose machine is
#: busy, took more than 3 s to write them (`make faults`, row `broker`).
_HANGING_AFTER_SECONDS: Final = 15.0
_GROUP_SETTLES_WITHIN_SECONDS: Final = 10.0
_KEEP_ALIVE_SECONDS: Final = 5.0


@dataclass(slots=True)
class _Loading:
    """One partition while its changelogs are read."""

    partition: Partition
    row: private.PositionsRow | None = None
    rows_read: dict[str, int] = field(default_factory=dict)


async def recover(
    config: RuntimeConfig,
    partitions: list[Partition],
    observer: Observer,
    keep_alive: Callable[[], Awaitable[None]],
) -> None:
    """Fill the new `partitions`; raises StateRefused with the remedy where that must not be done.

    `keep_alive` is awaited every few seconds: the group must not take the worker for idle.
    """
    started = time.monotonic()
    garbage.defer()
    await asyncio.gather(*(partition.writer.open() for partition in partitions))
    failpoints.hit("after_fence")
    admin = clients.admin(config)
    committed, raw = clients.reader(config), clients.reader(config, committed=False)
    await asyncio.gather(admin.start(), committed.start(), raw.start())
    try:
        recovery = _Recovery(config, partitions, admin, committed, raw, keep_alive)
        rows = await recovery.run()
    finally:
        await asyncio.gather(admin.close(), committed.stop(), raw.stop())
    seconds = time.monotonic() - started
    for partition in partitions:
        observer.recovered(
            Recovered(
                partition.number,
                rows[partition.number],
                seconds,
                dict(partition.next),
                partition.machine.report(),
            )
        )
    log.info(
        "Recovered partitions %s: %d rows in %.2f s",
        *(sorted(rows), sum(rows.values()), seconds),
        extra={"partitions": sorted(rows), "rows": sum(rows.values()), "seconds": seconds},
    )


class _Recovery:
    """The steps after the fence, over three clients that are open only this long."""

    def __init__(
        self,
        config: RuntimeConfig,
        partitions: list[Partition],
        admin: Any,
        committed: Any,
        raw: Any,
        keep_alive: Callable[[], Awaitable[None]],
    ) -> None:
        self._config = config
        self._loading = {partition.number: _Loading(partition) for partition in partitions}
        self._admin = admin
        self._committed = committed
        self._raw = raw
        self._keep_alive = keep_alive
        numbers = list(self._loading)
        self._inputs = [TopicPartition(topic, p) for topic in config.inputs for p in numbers]
        self._tables = {
            TopicPartition(topic, p): table
            for table, topic in config.changelogs.items()
            for p in numbers
        }
        self._positions = [TopicPartition(config.positions, p) for p in numbers]
        self._private = [*self._tables, *self._positions]

    async def run(self) -> dict[int, int]:
        """Take bounds, load, check, resume; return the number of rows per partition."""
        everything = [*self._private, *self._inputs]
        for consumer in (self._committed, self._raw):
            # Assigned at once, aiokafka asks for the metadata of all topics in one request.
            consumer.assign(everything)
            consumer.pause(*everything)
        starts = await self._raw.beginning_offsets(everything)
        input_ends = await self._raw.end_offsets(self._inputs)
        ends = await self._stable_ends()
        await self._load(ends)
        group = await self._group_offsets(ends)
        for loading in self._loading.values():
            self._resume(loading, starts, ends, input_ends, group)
        return {p: sum(loading.rows_read.values()) for p, loading in self._loading.items()}

    async def _stable_ends(self) -> Offsets:
        """Return the ends of the private topics once no transaction is open in them."""
        deadline = time.monotonic() + _HANGING_AFTER_SECONDS
        while True:
            stable, high = await asyncio.gather(
                self._committed.end_offsets(self._private), self._raw.end_offsets(self._private)
            )
            hanging = [tp for tp in self._private if stable[tp] < high[tp]]
            if not hanging:
                return stable  # type: ignore[no-any-return]
            if time.monotonic() > deadline:
                raise _hanging_transaction(hanging, stable)
            await asyncio.sleep(0.1)

    async def _load(self, ends: Offsets) -> None:
        consumer = self._committed
        await consumer.seek_to_beginning(*self._private)
        consumer.resume(*self._private)
        alive = time.monotonic()
        async for poll in polls(consumer, {tp: ends[tp] for tp in self._private}):
            failpoints.hit("in_load")
            for tp, records in poll.items():
                self._take(tp, records)
            if time.monotonic() > alive + _KEEP_ALIVE_SECONDS:
                alive = time.monotonic()
                await self._keep_alive()

    def _take(self, tp: TopicPartition, records: list[Any]) -> None:
        loading = self._loading[tp.partition]
        table = self._tables.get(tp)
        if table is None:
            loading.row = private.decode_positions(records[-1].value)
            return
        load = loading.partition.machine.load
        for record in records:
            load(table, record.key, record.value)
        loading.rows_read[table] = loading.rows_read.get(table, 0) + len(records)

    async def _group_offsets(self, ends: Offsets) -> dict[TopicPartition, int]:
        """Return the group's offsets, waiting until they agree with the rows where both exist.

        The group coordinator may take a moment to see the end of a transaction that the fence has
        completed.
        """
        deadline = time.monotonic() + _GROUP_SETTLES_WITHIN_SECONDS
        while True:
            found = await self._admin.list_consumer_group_offsets(
                self._config.group_id, partitions=self._inputs
            )
            offsets = {tp: at.offset for tp, at in found.items() if at.offset >= 0}
            if self._agree(offsets):
                return offsets
            await self._stop_if_taken_over(ends)
            if time.monotonic() > deadline:
                return offsets
            await asyncio.sleep(0.2)

    async def _stop_if_taken_over(self, ends: Offsets) -> None:
        """Stop where somebody else has committed since the rows were read.

        Only an owner that has fenced this one can have: another worker, or `orderhalt skip`. Its group
        offsets beside our older rows would look like state that somebody has tampered with.
        """
        now = await self._raw.end_offsets(self._positions)
        moved = [tp.partition for tp in self._positions if now[tp] > ends[tp]]
        if moved:
            failstop.stop(
                f"partitions {moved} were taken over while they were recovered",
                remedy="Another worker, or `orderhalt skip`, has written to them since. Nothing is "
                "lost: restart this worker.",
            )

    def _agree(self, offsets: Offsets) -> bool:
        for tp, offset in offsets.items():
            row = self._loading[tp.partition].row
            if row is None or row.offsets.get(tp.topic) != offset:
                return False
        return True

    def _resume(
        self,
        loading: _Loading,
        starts: Offsets,
        ends: Offsets,
        input_ends: Offsets,
        group: Offsets,
    ) -> None:
        partition, row = loading.partition, loading.row
        number = partition.number
        inputs = {tp.topic: tp for tp in self._inputs if tp.partition == number}
        changelog_ends = {
            table: ends[tp] for tp, table in self._tables.items() if tp.partition == number
        }
        found = Found(
            partition=number,
            group_id=self._config.group_id,
            row=row,
            group_offsets={topic: group[tp] for topic, tp in inputs.items() if tp in group},
            input_starts={topic: starts[tp] for topic, tp in inputs.items()},
            input_ends={topic: input_ends[tp] for topic, tp in inputs.items()},
            changelogs=self._config.changelogs,
            changelog_ends=changelog_ends,
            log_starts={tp.topic: starts[tp] for tp in self._private if tp.partition == number},
            rows_read=loading.rows_read,
        )
        partition.next = starting_offsets(found)
        partition.writer.changelog_ends = changelog_ends
        if row is not None:
            partition.transactions = row.number
            partition.quarantine = set(row.quarantine)
        partition.emit(partition.machine.resume(row.checkpoint if row is not None else None))


def _hanging_transaction(hanging: list[TopicPartition], stable: Offsets) -> StateRefused:
    tp = hanging[0]
    return StateRefused(
        f"A transaction in {tp.topic} partition {tp.partition} is open since offset {stable[tp]} and "
        "does not end, although the partition's own transactions were aborted.\n"
        "Find it with `kafka-transactions.sh --bootstrap-server HOST:PORT find-hanging --topic "
        f"{tp.topic}`, end it with `kafka-transactions.sh … abort`, and find out who writes to this "
        "topic: it belongs to orderhalt alone."
    )
