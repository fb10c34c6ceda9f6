"""One partition that this worker owns: its machine, its open window, its commits.

Records come in through `take`, which runs to its end without an await: between reading state and
noting the next offset nobody else runs. What does not fit into the open window waits in the backlog
while the partition's inputs pause at the consumer; other partitions go on. A task of its own commits
the window when its clock, or the soft limit, says so; at that moment a new window opens and takes
the backlog, so that it fills while the other one is committed.

A partition is *active* between the moments when its inputs were positioned and when a rebalance
begins. Only then does it take records. It can commit as long as it owns its producer.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

from processor.runtime import failstop
from processor.runtime.protocol import Committed
from processor.runtime.rejecting import rejected_record
from processor.runtime.window import Pace, Window, Work
from schemas.errors import Rejection, RejectionCode

if TYPE_CHECKING:
    from processor.runtime.batches import Batch, Record
    from processor.runtime.config import RuntimeConfig
    from processor.runtime.protocol import Emission, Machine, Observer
    from processor.runtime.transaction import PartitionWriter


class Partition:
    """The shard of one partition number, over all input topics."""

    def __init__(
        self,
        number: int,
        machine: Machine,
        writer: PartitionWriter,
        config: RuntimeConfig,
        observer: Observer,
        *,
        set_paused: Callable[[int, bool], None],
        rejected_limit_bytes: int,
    ) -> None:
        self.number = number
        self.machine = machine
        self.writer = writer
        self.active = False
        self.next: dict[str, int] = {}
        """Input topic → offset of the next record to apply."""
        self.quarantine: set[tuple[str, int]] = set()
        """(topic, offset) of records ahead that are to be set aside."""
        self.transactions = 0
        """The number of the last one, counted over all owners."""
        self._config = config
        self._observer = observer
        self._set_paused = set_paused
        self._rejected_limit_bytes = rejected_limit_bytes
        self._window = Window(config)
        self._opened_at = 0.0
        self._pace = Pace(config.commit_interval_seconds)
        self._backlog: deque[Batch] = deque()
        self._paused = False
        self._changed = asyncio.Event()
        self._ripe = asyncio.Event()
        self._committing = asyncio.Lock()
        self._committer: asyncio.Task[None] | None = None
        self._catching_up: asyncio.Task[None] | None = None

    # -- records in; everything here is synchronous

    def take(self, batch: Batch) -> None:
        """Apply a batch, or keep what does not fit until there is room."""
        if self._backlog or self._window.is_full(self.machine.dirty):
            self._wait_for_room(batch)
            return
        rest = self._apply(batch)
        if rest is not None:
            self._wait_for_room(rest)

    def deactivate(self) -> None:
        """Take nothing more; what waits in the backlog will be fetched again from `next`."""
        self.active = False
        self._backlog.clear()
        self._paused = False

    def emit(self, emissions: Sequence[Emission]) -> None:
        """Put records of recovery, which no input caused, into the window."""
        self._window.emissions.extend(emissions)

    def _apply(self, batch: Batch) -> Batch | None:
        """Apply the records of `batch`; return the rest when the window is full before its end."""
        topic, window, machine = batch.topic, self._window, self.machine
        first = self.next[topic]
        if batch.start > first:
            self._stop_at_hole(batch, first)
        records = batch.records
        if batch.start < first:
            records = [record for record in records if record.offset >= first]
        apply, emissions, number = machine.apply, window.emissions, self.number
        quarantine, is_full = self.quarantine, window.is_full
        told = window.told
        done = 0
        for record in records:
            offset, value = record.offset, record.value
            try:
                if quarantine and (topic, offset) in quarantine:
                    self._set_aside(topic, offset)
                emitted = apply(topic, number, offset, record.timestamp, record.key, value)
            except Rejection as rejection:
                window.rejected.append(
                    rejected_record(record, rejection, self._rejected_limit_bytes)
                )
                told.rejections.append((topic, rejection.code))
            except Exception as error:  # noqa: BLE001 - fail-stop is what an unknown error asks for
                self._stop_at_record(record, error)
            else:
                if emitted:
                    emissions.extend(emitted)
            done += 1
            if value is not None:
                window.bytes += len(value)
            window.records += 1
            if is_full(machine.dirty):
                break
        complete = done == len(records)
        next_offset = max(batch.end, first) if complete else records[done - 1].offset + 1
        if next_offset > first:
            self._note(topic, first, next_offset)
        if done:
            told.count(topic, done, records[done - 1].timestamp)
        return None if complete else batch.from_offset(next_offset)

    def _set_aside(self, topic: str, offset: int) -> NoReturn:
        self.quarantine.discard((topic, offset))
        self._window.quarantined.append((topic, offset))
        raise Rejection(RejectionCode.QUARANTINED, QUARANTINED_MESSAGE)

    def _note(self, topic: str, first: int, next_offset: int) -> None:
        self.next[topic] = next_offset
        self._window.note(topic, first, next_offset)
        if not self._changed.is_set():
            self._opened_at = self._window.told.opened_at = time.monotonic()
            self._changed.set()
            self._observer.opened(self.number, self._opened_at)
        if self._window.is_ripe(self.machine.dirty):
            self._ripe.set()

    def _wait_for_room(self, batch: Batch) -> None:
        self._backlog.append(batch)
        self._ripe.set()
        if not self._paused:
            self._paused = True
            self._set_paused(self.number, True)
            self._observer.paused(self.number)

    async def _take_backlog(self) -> None:
        """Apply what waited, in its order; resume the inputs when nothing waits any more."""
        while self._backlog and not self._window.is_full(self.machine.dirty):
            rest = self._apply(self._backlog.popleft())
            if rest is not None:
                self._backlog.appendleft(rest)
            await asyncio.sleep(0)
        if self._backlog:
            self._ripe.set()
        elif self._paused:
            self._paused = False
            self._set_paused(self.number, False)
            self._observer.resumed(self.number)

    # -- commits

    def start(self) -> None:
        """Start to commit windows as they fill."""
        self._committer = failstop.watched(
            self._commit_windows(), f"commits of partition {self.number}"
        )
        if not self._window.empty:
            self._opened_at = time.monotonic()
            self._changed.set()

    async def close(self) -> None:
        """Give the partition up; its open window has been committed, or is lost on purpose."""
        self.deactivate()
        # A cancelled task keeps the frame that it was cancelled in, and so this partition with all
        # its state; frozen, such a cycle would never be collected (`garbage`).
        committer, self._committer, self._catching_up = self._committer, None, None
        if committer is not None:
            committer.cancel()
        async with self._committing:
            await self.writer.close()

    async def commit(self, *, even_if_empty: bool = False) -> None:
        """Commit the open window now; an empty one only on request, to prove the ownership.

        Is never cancelled halfway: a window that is sealed and not committed would be lost.
        """
        await asyncio.shield(asyncio.ensure_future(self._commit(even_if_empty)))

    async def _commit_windows(self) -> None:
        while True:
            await self._changed.wait()
            delay = self._opened_at + self._pace.seconds - time.monotonic()
            if delay > 0 and not self._ripe.is_set():
                try:
                    async with asyncio.timeout(delay):
                        await self._ripe.wait()
                except TimeoutError:
                    pass
            await self.commit()

    async def _commit(self, even_if_empty: bool) -> None:
        async with self._committing:
            if self._window.empty and not even_if_empty:
                self._changed.clear()
                self._ripe.clear()
                return
            started = time.monotonic()
            work = self._seal()
            if self._backlog and (self._catching_up is None or self._catching_up.done()):
                self._catching_up = failstop.watched(
                    self._take_backlog(), f"backlog of partition {self.number}"
                )
            try:
                async with asyncio.timeout(self._config.commit_timeout_seconds):
                    await self.writer.commit(work)
            except Exception as error:  # noqa: BLE001 - any failure leaves the state unknown
                self._stop_at_commit(work, error)
            ended = time.monotonic()
            self._pace.took(ended - started)
            self._observer.committed(self._committed(work, started, ended))

    def _committed(self, work: Work, sealed_at: float, ended_at: float) -> Committed:
        told = work.told
        return Committed(
            partition=self.number,
            emissions=work.emissions,
            records=told.records,
            rejections=told.rejections,
            offsets=work.offsets,
            last_ms=told.last_ms,
            report=work.report,
            opened_at=told.opened_at,
            sealed_at=sealed_at,
            ended_at=ended_at,
        )

    def _seal(self) -> Work:
        window, self._window = self._window, Window(self._config)
        self._changed.clear()
        self._ripe.clear()
        self.transactions += 1
        try:
            rows = self.machine.drain()
            checkpoint = self.machine.checkpoint()
            report = self.machine.report()
        except Exception as error:  # noqa: BLE001 - as in _apply
            failstop.stop(
                f"the state machine failed to give its changed rows ({error!r})",
                where=f"partition {self.number}; since the last commit: {window.runs}",
                remedy="This is a bug; nothing of this window was committed. " + FIND_RECORD,
                error=error,
            )
        return Work(
            number=self.transactions,
            rows=rows,
            emissions=window.emissions,
            rejected=window.rejected,
            runs=window.runs,
            quarantined=window.quarantined,
            offsets=dict(self.next),
            checkpoint=checkpoint,
            quarantine=sorted(self.quarantine),
            told=window.told,
            report=report,
        )

    # -- fail-stop

    def _stop_at_record(self, record: Record, error: Exception) -> NoReturn:
        place = f"{record.topic} {record.partition} {record.offset}"
        failstop.stop(
            f"applying a record failed: {type(error).__name__}: {error}",
            where=f"topic {record.topic}, partition {record.partition}, offset {record.offset}",
            remedy="This is a bug in the rules; nothing since the last commit was committed. Please "
            f"report it. To go on without this record: `orderhalt skip {place}`.",
            error=error,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
        )

    def _stop_at_hole(self, batch: Batch, expected: int) -> NoReturn:
        failstop.stop(
            f"records are missing between the expected offset and {batch.start}",
            where=f"topic {batch.topic}, partition {batch.partition}, offset {expected}",
            remedy="Nothing is lost: the next start reads from the last commit. Please report it.",
            topic=batch.topic,
            partition=batch.partition,
            offset=expected,
        )

    def _stop_at_commit(self, work: Work, error: Exception) -> NoReturn:
        failstop.stop(
            f"a transaction failed, or took longer than {self._config.commit_timeout_seconds:g} s: "
            f"{type(error).__name__}: {error}",
            where=f"partition {self.number}, transaction {work.number}: {work.describe()}",
            remedy=commit_remedy(error, work, self.number, self._config.instance_id),
            error=error,
        )


QUARANTINED_MESSAGE = "an operator has set this record aside after a fail-stop"
FIND_RECORD = (
    "To find the record at fault, run one worker with `orderhalt worker --one-by-one`, which commits "
    "after each record; then set that record aside with `orderhalt skip TOPIC PARTITION OFFSET`."
)


def commit_remedy(error: Exception, work: Work, partition: int, instance_id: str | None) -> str:
    """Say what to do about a failed commit, by what failed."""
    if isinstance(error, ProducerFenced):
        remedy = (
            "Another worker owns this partition now, and nothing of this one counts any more; this "
            "happens after a long pause of the process. Restart this worker."
        )
        if instance_id is not None:
            remedy += (
                " If it stops so again and again, a second worker has its --instance-id, "
                f"{instance_id}, too: each fences the other. Give each an id of its own."
            )
        return remedy
    if isinstance(error, MessageSizeTooLargeError):
        if len(work.runs) == 1 and work.runs[0].next - work.runs[0].first == 1:
            run = work.runs[0]
            return (
                "A row or record that this input record caused is larger than its topic takes. "
                "`orderhalt topics check` says which limits are too low. To go on without this "
                f"input record: `orderhalt skip {run.topic} {partition} {run.first}`."
            )
        return (
            "A row or record is larger than its topic takes: `orderhalt topics check` says which "
            "limits are too low. " + FIND_RECORD
        )
    if not isinstance(error, KafkaError | TimeoutError):
        return "This is a bug; nothing of this transaction counts. Please report it. " + FIND_RECORD
    remedy = (
        "Check that Kafka is well (its log, its load, the network). Nothing is lost: the next start "
        "goes on from the last transaction that counts."
    )
    if isinstance(error, TimeoutError):
        # One event may touch any number of orders, and is never split.
        remedy += (
            " If it stops here again and again, the transaction is too large for its time: raise "
            "--transaction-timeout-ms, up to 30000."
        )
    return remedy
