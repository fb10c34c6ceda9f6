"""Verify one partition: replay its journal, and compare everything that it wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from processor.rules.changes import ChangedRow
from processor.verify.begin import open_replay
from processor.verify.findings import Check, Finding, Findings
from processor.verify.logs import CompactedLog, ExpiringLog, Moment, digest
from processor.verify.plan import Plan
from processor.verify.positions import Positions
from processor.verify.replay import Broken, OtherRules, Replay, Transaction
from processor.verify.sequences import Sequences
from processor.verify.snapshot import PartitionSnapshot, rows_of
from processor.verify.streams import Bounds, Source, Stream, open_stream

_TOLD_EVERY_OFFSETS: Final = 1_000

#: Told how many input offsets have been replayed since the last call.
Advance = Callable[[int], None]


class PartitionResult(Struct, frozen=True):
    """What was judged of one partition, and what was found."""

    partition: int
    from_transaction: int
    """After which one the replay began; 0 at the beginning."""
    to_transaction: int
    transactions: int
    applied: int
    """Input records, rejected ones included."""
    rejected: int
    quarantined: int
    halts: int
    """Records of order-halted, tombstones included."""
    rows: int
    waiting: int
    """Input offsets that were not applied yet when we looked."""
    without_record: int
    """Applied offsets that hold no record: control records and aborted ones of producers."""
    lost: int
    """Offsets that an operator has accepted as lost."""
    halts_compacted: int
    """Records of order-halted that are gone because of later ones: not compared."""
    rows_compacted: int
    rejected_expired: int
    """Rejected records whose retention is over: not compared."""
    next_rules: int | None
    """Under which version of the rules the following transactions were made, which were not judged."""
    findings: tuple[Finding, ...]
    """The first ones."""
    finding_count: int


@dataclass(slots=True)
class Outputs:
    """The logs of one partition."""

    halts: CompactedLog
    rejected: ExpiringLog
    tables: Mapping[str, CompactedLog]

    async def compare(self, transaction: Transaction, at: Moment) -> None:
        """Compare with what one transaction wrote."""
        await self.halts.demand(transaction.emissions, at)
        await self.rejected.demand(transaction.rejected, at)
        if transaction.rows:
            by_table: dict[str, list[tuple[bytes, bytes | None]]] = {}
            for table, key, value in transaction.rows:
                by_table.setdefault(table, []).append((key, value))
            for table, rows in by_table.items():
                await self.tables[table].demand_rows(rows, at)

    @property
    def all(self) -> tuple[CompactedLog | ExpiringLog, ...]:
        """Each of them."""
        return (self.halts, self.rejected, *self.tables.values())

    def otherwise(self, rows: Iterable[ChangedRow]) -> dict[str, dict[bytes, bytes]]:
        """Give the digests of the rows that were written in other bytes than in `rows`, by table."""
        found: dict[str, dict[bytes, bytes]] = {}
        written = {table: dict(log.last()) for table, log in self.tables.items()}
        for table, key, value in rows:
            said = written[table].get(key)
            if said is not None and said != digest(value, ()):
                found.setdefault(table, {})[key] = said
        return found

    async def finish(self) -> None:
        """Find what is there and was not demanded."""
        for log in self.all:
            await log.finish()

    async def settle(self, source: Source, partition: int, bounds: Bounds) -> None:
        """Find what is missing and not compacted away."""
        for log in (self.halts, *self.tables.values()):
            start = log.next_offset
            await log.settle(source, partition, bounds.ends[log.topic] if start is None else start)


@dataclass(slots=True)
class _Walk:
    """All that moves while a partition is verified."""

    bounds: Bounds
    replay: Replay
    outputs: Outputs
    positions: Positions
    sequences: Sequences


class PartitionVerifier:
    """Everything about one partition, from its bounds to its result."""

    def __init__(
        self,
        plan: Plan,
        source: Source,
        partition: int,
        *,
        snapshot: PartitionSnapshot | None = None,
        keep: Callable[[int, PartitionSnapshot], None] | None = None,
        advance: Advance = lambda _: None,
    ) -> None:
        """`keep` takes the snapshot of this partition, which counts only if nothing is found."""
        self._plan = plan
        self._source = source
        self._partition = partition
        self._snapshot = snapshot
        self._keep = keep
        self._advance = advance
        self._findings = Findings(partition)
        self.other_rules: OtherRules | None = None
        """Why the rest was not judged."""

    async def run(self) -> PartitionResult:
        """Verify. Raises InputsGone or StateRefused where that cannot be done.

        Transactions of other rules end it; raises OtherRules where no snapshot is to be kept.
        """
        bounds = await self._source.bounds(self._partition)
        walk = await self._open(bounds)
        began_after = walk.replay.number
        try:
            await self._walk(walk)
        except Broken:
            return self._result(walk, began_after)
        except OtherRules as other:
            if self._keep is None:
                raise
            self.other_rules = other
            self._keep_snapshot(walk)
        else:
            self._findings.transaction = None
            await walk.outputs.finish()
            await walk.positions.finish(walk.replay, self._source)
            # Else the one that goes on does it: what the others wrote may have been a tombstone that
            # is gone as well.
            await walk.outputs.settle(self._source, self._partition, bounds)
        return self._result(walk, began_after)

    async def _walk(self, walk: _Walk) -> None:
        replay, bounds = walk.replay, walk.bounds
        before = sum(replay.reached.values())
        while (number := await replay.upcoming()) is not None:
            head = replay.journal.head
            assert head is not None, "an upcoming transaction has a record"
            is_open = head.offset >= bounds.complete_until
            await walk.positions.before(number, replay)
            if is_open:
                self._keep_snapshot(walk)
            transaction = await replay.next()
            self._snapshot = None
            walk.sequences.check(transaction.emissions)
            await walk.outputs.compare(
                transaction, Moment(number, transaction.timestamp_ms, is_open)
            )
            after = sum(replay.reached.values())
            if after > before + _TOLD_EVERY_OFFSETS:
                self._advance(after - before)
                before = after
        self._keep_snapshot(walk)
        self._advance(sum(replay.reached.values()) - before)

    # -- the beginning

    async def _open(self, bounds: Bounds) -> _Walk:
        plan, snapshot = self._plan, self._snapshot
        replay = await open_replay(
            plan, self._source, self._partition, bounds, snapshot, self._findings
        )
        starts = dict(bounds.starts) if snapshot is None else {**bounds.starts, **snapshot.next}
        positions = Positions(
            await self._stream(plan.positions, starts[plan.positions], bounds),
            bounds,
            self._findings,
            plan.changelogs,
            plan.inputs,
        )
        outputs = await self._open_outputs(bounds, starts)
        known = {} if snapshot is None else {key: at for key, (_, at) in snapshot.halts.items()}
        return _Walk(
            bounds, replay, outputs, positions, Sequences(plan.output, self._findings, known)
        )

    async def _open_outputs(self, bounds: Bounds, starts: Mapping[str, int]) -> Outputs:
        plan, snapshot = self._plan, self._snapshot
        known: dict[str, dict[bytes, bytes]] = {}
        if snapshot is not None:
            known[plan.output] = {key: said for key, (said, _) in snapshot.halts.items()}
            for table, key, value in snapshot.rows:
                known.setdefault(plan.changelogs[table], {})[key] = digest(value, ())
            for table, written in snapshot.otherwise.items():
                known[plan.changelogs[table]] |= written
        start = starts[plan.rejected] if snapshot is not None else 0
        rejected = ExpiringLog(
            await self._stream(plan.rejected, start, bounds),
            self._findings,
            may_have_lost=bounds.starts[plan.rejected] > start,
            kept_since_ms=plan.rejected_kept_since_ms,
        )
        compacted = {}
        for topic in (plan.output, *plan.changelogs.values()):
            log = compacted[topic] = CompactedLog(
                await self._stream(topic, 0, bounds),
                self._findings,
                end=bounds.ends[topic],
                check=Check.HALTS if topic == plan.output else Check.STATE,
                kept_since_ms=plan.halts_kept_since_ms if topic == plan.output else None,
                partitions=None if plan.any_partitioner else plan.partitions,
            )
            if snapshot is not None:
                await log.pass_over(starts[topic], known.get(topic, {}))
        tables = {table: compacted[topic] for table, topic in plan.changelogs.items()}
        return Outputs(compacted[plan.output], rejected, tables)

    async def _stream(self, topic: str, start: int, bounds: Bounds) -> Stream:
        return await open_stream(self._source, topic, self._partition, start, bounds)

    # -- the end

    def _keep_snapshot(self, walk: _Walk) -> None:
        """Keep the state where all that was written is there: once, before what is open."""
        if self._keep is None:
            return
        keep, self._keep = self._keep, None
        if self._snapshot is not None and not walk.replay.counts.transactions:
            # Not made anew: what new rules have to say of it has not been written yet.
            keep(self._partition, self._snapshot)
            return
        replay, outputs, ends = walk.replay, walk.outputs, walk.bounds.ends
        journal, positions = replay.journal, walk.positions
        following = {log.topic: log.next_offset for log in outputs.all}
        following[journal.name] = None if journal.head is None else journal.head.offset
        following[positions.topic] = positions.next_offset
        sequences, rows = walk.sequences.last, list(rows_of(replay.machine))
        keep(
            self._partition,
            PartitionSnapshot(
                replay.number,
                replay.committed_ms,
                replay.machine.checkpoint() if replay.number else None,
                dict(replay.reached),
                {topic: ends[topic] if at is None else at for topic, at in following.items()},
                rows,
                {key: (said, sequences.get(key, 0)) for key, said in outputs.halts.last()},
                outputs.otherwise(rows),
            ),
        )

    def _result(self, walk: _Walk, began_after: int) -> PartitionResult:
        replay, outputs, bounds = walk.replay, walk.outputs, walk.bounds
        counts = replay.counts
        return PartitionResult(
            partition=self._partition,
            from_transaction=began_after,
            to_transaction=replay.number,
            transactions=counts.transactions,
            applied=counts.applied,
            rejected=counts.rejected,
            quarantined=counts.quarantined,
            halts=counts.halts,
            rows=counts.rows,
            waiting=sum(
                max(0, bounds.ends[topic] - replay.reached.get(topic, bounds.starts[topic]))
                for topic in self._plan.inputs
            ),
            without_record=counts.without_record,
            lost=counts.lost,
            halts_compacted=outputs.halts.compacted,
            rows_compacted=sum(log.compacted for log in outputs.tables.values()),
            rejected_expired=outputs.rejected.expired,
            next_rules=None if self.other_rules is None else self.other_rules.version,
            findings=tuple(self._findings.kept),
            finding_count=self._findings.counts.total(),
        )
