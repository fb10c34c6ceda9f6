"""Mistakes planted into the runtime, one at a time: the simulator must find each of them.

Each replaces one function of the runtime while a simulation runs. `Planted.seeds` are those of which
at least one must find it, and which must be clean without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from aiokafka.errors import KafkaError, ProducerFenced
from mode.utils.queues import FlowControlEvent

from processor.runtime import clients, recovery, transaction
from processor.runtime.batches import Batch, Cursor
from processor.runtime.config import RuntimeConfig
from processor.runtime.partition import Partition
from processor.runtime.reading import polls
from processor.runtime.runtime import Runtime
from processor.runtime.transaction import AnswerLost, PartitionWriter
from processor.runtime.transport import Consumer, InputOffsets
from processor.runtime.window import Work
from tests.simulation.consumer import SimConsumer
from tests.simulation.loop import current_process

Bug = Callable[[], AbstractContextManager[object]]


def _stripped(work: Work) -> Work:
    return dataclasses.replace(work, rows=[], emissions=[], rejected=[])


async def _commit_unjournalled(commit: Any, writer: PartitionWriter, work: Work) -> None:
    """Commit rows and records, and leave the inputs that caused them to another transaction."""
    entries = PartitionWriter._entries_by_topic

    def without_journal(of: Work) -> dict[str, Any]:
        found = entries(writer, of)
        found.pop(writer._config.journal, None)
        return found

    with patch.object(writer, "_entries_by_topic", without_journal):
        await commit(writer, dataclasses.replace(work, runs=[]))


def commit_before_the_rows() -> Any:
    """Commit the offsets, then rows and records in a transaction of their own."""
    commit = PartitionWriter.commit

    async def offsets_first(self: PartitionWriter, work: Work) -> None:
        await commit(self, _stripped(work))
        await _commit_unjournalled(commit, self, work)

    return patch.object(PartitionWriter, "commit", offsets_first)


def rows_without_offsets() -> Any:
    """Commit rows and records, then the offsets in a transaction of their own."""
    commit = PartitionWriter.commit
    reached: dict[PartitionWriter, dict[str, int]] = {}

    async def rows_first(self: PartitionWriter, work: Work) -> None:
        before = reached.get(self)
        if before is not None:
            await _commit_unjournalled(commit, self, dataclasses.replace(work, offsets=before))
            work = _stripped(work)
        await commit(self, work)
        reached[self] = dict(work.offsets)

    return patch.object(PartitionWriter, "commit", rows_first)


def offsets_without_state() -> Any:
    """Take the offsets when they are sent, and not when the window was sealed."""
    seal = Partition._seal

    def with_live_offsets(self: Partition) -> Work:
        return dataclasses.replace(seal(self), offsets=self.next)

    return patch.object(Partition, "_seal", with_live_offsets)


def no_fence() -> Any:
    """Give every process a transactional id of its own, which fences nobody."""

    def own(self: RuntimeConfig, number: int) -> str:
        return f"{self.group_id}-{number}-{current_process().name}"

    return patch.object(RuntimeConfig, "transactional_id", own)


def no_wait_for_the_fetch_in_flight() -> Any:
    """Seek while a fetch is under way."""

    async def at_once(self: Consumer, offsets: InputOffsets) -> None:
        await self._thread.position_at(offsets)

    return patch.object(Consumer, "position_at", at_once)


def window_kept_after_an_abort() -> Any:
    """Try a transaction again whose end is unknown, instead of stopping."""
    commit = PartitionWriter.commit

    async def again(self: PartitionWriter, work: Work) -> None:
        try:
            await commit(self, work)
        except ProducerFenced:
            raise
        except (KafkaError, AnswerLost):
            self._producer = clients.transactional_producer(self._config, self._partition)
            await self.open()
            await commit(self, work)

    return patch.object(PartitionWriter, "commit", again)


def recovery_reads_uncommitted() -> Any:
    """Load rows of transactions that were aborted."""

    def uncommitted(_: RuntimeConfig, *, committed: bool = True) -> SimConsumer:
        return SimConsumer(committed=False, wait=0.1)

    return patch.object(clients, "reader", uncommitted)


def recovery_stops_short() -> Any:
    """Read the changelogs up to two offsets before their ends."""

    def shorter(consumer: Any, ends: Any) -> Any:
        return polls(consumer, {tp: end - 2 for tp, end in ends.items()})

    return patch.object(recovery, "polls", shorter)


def recovery_ends_at_an_empty_poll() -> Any:
    """Take a poll that brings nothing for the end of the changelogs."""

    async def until_nothing_comes(consumer: Any, ends: Any) -> Any:
        async for poll in polls(consumer, ends):
            if not poll:
                return
            yield poll

    return patch.object(recovery, "polls", until_nothing_comes)


def questions_to_coordinators_repeated() -> Any:
    """Let aiokafka repeat a question whose answer was lost: it may come late, in the next one."""

    def unguarded(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        return send

    return patch.object(transaction, "_never_repeated", unguarded)


def two_commits_at_once() -> Any:
    """Do not wait for the commit that is under way."""

    async def unlocked(self: Partition, even_if_empty: bool) -> None:
        self._committing = nullcontext()  # type: ignore[assignment]
        await commit(self, even_if_empty)

    commit = Partition._commit
    return patch.object(Partition, "_commit", unlocked)


def revoke_without_a_stop() -> Any:
    """Go on applying records when a rebalance begins."""

    def suspend(self: Runtime) -> None:
        self.observer.suspended()

    return patch.object(Runtime, "suspend", suspend)


def no_epoch() -> Any:
    """Take what was fetched before a rebalance for what is fetched after it."""

    def suspend(self: Runtime) -> None:
        self._under_way = 0
        self._room.set()
        for one in self.partitions.values():
            one.deactivate()
        self.observer.suspended()

    return patch.object(Runtime, "suspend", suspend)


def no_epoch_check_when_applying() -> Any:
    """Apply batches that were on their way when a rebalance began."""
    take = Runtime.take

    async def whenever(self: Runtime, batch: Batch) -> None:
        batch.epoch = self.epoch
        await take(self, batch)

    return patch.object(Runtime, "take", whenever)


def positions_by_records() -> Any:
    """Note the last record's offset plus one, and not the consumer's position."""
    take = Cursor.take

    def after_the_last(
        self: Cursor, topic: str, number: int, records: Sequence[Any], position: int
    ) -> Batch:
        batch = take(self, topic, number, records, position)
        batch.end = records[-1].offset + 1 if records else batch.start
        return batch

    return patch.object(Cursor, "take", after_the_last)


def group_offsets_taken_as_they_are() -> Any:
    """Do not wait for the group to see the end of a transaction."""
    return patch.object(recovery, "_GROUP_SETTLES_WITHIN_SECONDS", -1.0)


def window_shared() -> Any:
    """Go on filling the window that is being committed."""
    seal = Partition._seal

    def and_go_on(self: Partition) -> Work:
        window = self._window
        work = seal(self)
        self._window = window
        return work

    return patch.object(Partition, "_seal", and_go_on)


def overlap_not_trimmed() -> Any:
    """Apply records below the expected offset again."""
    apply = Partition._apply

    def all_of_them(self: Partition, batch: Batch) -> Batch | None:
        if batch.start < self.next[batch.topic]:
            self.next[batch.topic] = batch.start
        return apply(self, batch)

    return patch.object(Partition, "_apply", all_of_them)


def queues_not_emptied() -> Any:
    """Let what is on its way to the agents stay there over a rebalance."""
    return patch.object(FlowControlEvent, "clear", lambda _: None)


@contextmanager
def old_batches_applied_again() -> Iterator[None]:
    """Take away every defence against a batch that was fetched before a rebalance."""
    with no_epoch(), overlap_not_trimmed(), queues_not_emptied():
        yield


@contextmanager
def old_batches_applied_in_a_rebalance() -> Iterator[None]:
    """Go on applying while a rebalance is under way, with no defence against applying twice."""
    with revoke_without_a_stop(), overlap_not_trimmed(), queues_not_emptied():
        yield


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug, and the seeds of which at least one must find it."""

    plant: Bug
    seeds: range = range(60)


BUGS: Final[dict[str, Planted]] = {
    bug.plant.__name__: bug
    for bug in (
        Planted(commit_before_the_rows),
        Planted(rows_without_offsets),
        Planted(offsets_without_state),
        Planted(no_fence),
        Planted(no_wait_for_the_fetch_in_flight),
        Planted(window_kept_after_an_abort),
        Planted(recovery_reads_uncommitted),
        Planted(recovery_stops_short),
        Planted(recovery_ends_at_an_empty_poll),
        Planted(questions_to_coordinators_repeated, range(180, 240)),
        Planted(two_commits_at_once),
        Planted(positions_by_records),
        Planted(group_offsets_taken_as_they_are),
        Planted(window_shared),
        Planted(old_batches_applied_again),
        Planted(old_batches_applied_in_a_rebalance),
    )
}
#: One of several defences taken away: the others hold, and no seed finds anything wrong.
HARMLESS: Final[dict[str, Bug]] = {
    bug.__name__: bug
    for bug in (
        revoke_without_a_stop,
        no_epoch,
        no_epoch_check_when_applying,
        overlap_not_trimmed,
        queues_not_emptied,
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Run with a planted bug, or with none."""
    if name is None:
        yield
        return
    plant = BUGS[name].plant if name in BUGS else HARMLESS[name]
    with plant():
        yield
