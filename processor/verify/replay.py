"""Apply a partition's inputs once more, in the order of its journal.

One transaction at a time: the runs of its journal record say which offsets of which inputs it
applied; the machine that workers drive says what that brings about. What the journal itself shows,
offsets left out, twice or beyond, is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import msgspec

from processor.rules.changes import ChangedRow
from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, Checkpoint
from processor.rules.shard import RULES_VERSION
from processor.runtime.partition import QUARANTINED_MESSAGE
from processor.runtime.protocol import Emission
from processor.runtime.rejecting import rejected_record
from processor.verify.findings import Check, Findings
from processor.verify.streams import Bounds, Record, Stream
from schemas import private
from schemas.errors import Rejection, RejectionCode, StateRefused
from schemas.private import JournalRecord, PositionsRow, Run

Row = TypeVar("Row", JournalRecord, PositionsRow)

#: What reading a private record raises where it is none.
UNREADABLE: Final = (msgspec.MsgspecError, LookupError)
_QUARANTINED: Final = Rejection(RejectionCode.QUARANTINED, QUARANTINED_MESSAGE)


class InputsGone(StateRefused):
    """What would have to be replayed is not there any more."""


class Made(NamedTuple):
    """What decides about the bytes of rows and records."""

    rules_version: int
    row_format: int

    def __str__(self) -> str:
        return f"rules version {self.rules_version} and row format {self.row_format}"


#: Written by every release whose journal records hold no checkpoint.
_FIRST: Final = Made(1, 1)


def _ours() -> Made:
    return Made(RULES_VERSION, FORMAT)


class OtherRules(StateRefused):
    """Transactions of another release's rules or rows: this one cannot tell what those made."""

    def __init__(self, partition: int, number: int, made_with: Made, *, is_first: bool) -> None:
        """`is_first`: nothing before it was replayed."""
        self.version = made_with.rules_version
        which = f"the release with {made_with}"
        ours = "this release"
        first, then = (which, ours) if is_first else (ours, which)
        super().__init__(
            f"Partition {partition}: transaction {number} was made by {which}, and {ours} has "
            f"{_ours()}: each can only judge its own.\n"
            f"Run `orderhalt verify --write-snapshot FILE` with {first}, which judges up to where the "
            f"other took over, and go on from there with {then}: `orderhalt verify --snapshot FILE "
            "--write-snapshot NEXT`. After an upgrade that was taken back, turn about until all is "
            "judged."
        )


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction and what it must have written."""

    number: int
    offset: int
    """Of its journal record."""
    timestamp_ms: int
    """Of its journal record: when it was committed, by the broker's clock."""
    emissions: list[Emission]
    rejected: list[Emission]
    rows: list[ChangedRow]


@dataclass(slots=True)
class Counts:
    """What was replayed."""

    transactions: int = 0
    applied: int = 0
    """Input records, rejected ones included."""
    rejected: int = 0
    quarantined: int = 0
    halts: int = 0
    """Records of order-halted, tombstones included."""
    rows: int = 0
    without_record: int = 0
    """Offsets within runs that hold no record: control records and aborted ones of producers."""
    lost: int = 0
    """Offsets that an operator has accepted as lost (`orderhalt skip --lost`)."""


@dataclass(slots=True)
class Origin:
    """Where a replay starts: at the beginning, or with a snapshot."""

    number: int = 0
    """The last transaction that is contained."""
    committed_ms: int = 0
    """When that was committed."""
    reached: dict[str, int] = field(default_factory=dict)
    """Input topic → next offset; a topic appears with its first run."""
    pending: Sequence[Emission] = ()
    """What new rules had to say of the state: the next transaction must have written it."""


class Broken(Exception):
    """The replay of this partition cannot go on; a finding says why."""


class Replay:
    """The machine of one partition, and where it has come to."""

    def __init__(
        self,
        machine: Machine,
        origin: Origin,
        bounds: Bounds,
        journal: Stream,
        inputs: Mapping[str, Stream],
        findings: Findings,
        *,
        rejected_limit_bytes: int,
    ) -> None:
        """Take opened streams: the journal after `origin`, the inputs from where it needs them."""
        self.machine = machine
        self.number = origin.number
        """Of the last transaction that was replayed."""
        self.committed_ms = origin.committed_ms
        """When it was committed."""
        self.reached = dict(origin.reached)
        self.counts = Counts()
        self.journal = journal
        self._record: JournalRecord | None = None
        """The head of the journal, decoded."""
        self._pending = origin.pending
        self._bounds = bounds
        self._inputs = inputs
        self._findings = findings
        self._rejected_limit_bytes = rejected_limit_bytes

    async def upcoming(self) -> int | None:
        """Give the number of the next transaction; None at the end of the journal."""
        while self._record is None and (head := self.journal.head) is not None:
            self._record = read_private(
                head, private.decode_journal, "journal record", Check.JOURNAL, self._findings
            )
            if self._record is None:
                await self.journal.advance()
        return None if self._record is None else self._record.number

    async def next(self) -> Transaction:
        """Replay the upcoming transaction. Raises Broken, InputsGone, OtherRules."""
        head, record = self.journal.head, self._record
        assert head is not None and record is not None, "there is an upcoming one"
        transaction = await self._replay(head, record)
        self._record = None
        await self.journal.advance()
        return transaction

    async def _replay(self, head: Record, record: JournalRecord) -> Transaction:
        self._findings.transaction = record.number
        self._check_rules(record)
        if record.number <= self.number:
            self._findings.add(
                Check.JOURNAL,
                head.topic,
                head.offset,
                f"transaction {record.number} after transaction {self.number}",
            )
        self.number = max(self.number, record.number)
        self.committed_ms = head.timestamp
        emissions, self._pending = list(self._pending), ()
        rejected: list[Emission] = []
        for lost in record.lost:
            self._pass_lost(head, lost)
        quarantined = {(topic, offset) for topic, offset in record.quarantined}
        for run in record.runs:
            await self._run(head, run, quarantined, emissions, rejected)
        for topic, offset in sorted(quarantined):
            self._findings.add(
                Check.APPLIED_ONCE, topic, offset, "was set aside, and there is no such record"
            )
        rows = self.machine.drain()
        counts = self.counts
        counts.transactions += 1
        counts.halts += len(emissions)
        counts.rejected += len(rejected)
        counts.rows += len(rows)
        self._check_checkpoint(head, record)
        return Transaction(record.number, head.offset, head.timestamp, emissions, rejected, rows)

    def _check_rules(self, record: JournalRecord) -> None:
        made_with = _FIRST
        if record.checkpoint is not None:
            said = read_checkpoint(record.checkpoint)
            made_with = Made(said.rules_version, said.format)
        if made_with != _ours():
            raise OtherRules(
                self._findings.partition,
                record.number,
                made_with,
                is_first=not self.counts.transactions,
            )

    def _check_checkpoint(self, head: Record, record: JournalRecord) -> None:
        if record.checkpoint is None:
            return
        said, found = read_checkpoint(record.checkpoint), read_checkpoint(self.machine.checkpoint())
        if said != found:
            self._findings.add(
                Check.STATE, head.topic, head.offset, f"the state was {said}, and must be {found}"
            )

    # -- offsets

    def _pass_lost(self, head: Record, lost: Run) -> None:
        expected = self.reached.get(lost.topic, lost.first)
        if lost.first != expected or lost.next <= lost.first:
            self._findings.add(
                Check.APPLIED_ONCE,
                lost.topic,
                lost.first,
                f"offsets {lost.first} to {lost.next - 1} were given up as lost, and {expected} was "
                f"the next one (journal offset {head.offset})",
            )
        self.counts.lost += lost.next - lost.first
        self.reached[lost.topic] = lost.next

    async def _run(
        self,
        head: Record,
        run: Run,
        quarantined: set[tuple[str, int]],
        emissions: list[Emission],
        rejected: list[Emission],
    ) -> None:
        start = self._bounds.starts.get(run.topic, 0)
        if run.first < start:
            raise gone(self._findings.partition, run.topic, run.first, start)
        stream = self._inputs.get(run.topic)
        if stream is None or run.next <= run.first or run.first < 0:
            self._findings.add(
                Check.JOURNAL,
                head.topic,
                head.offset,
                f"names {run.topic} offsets {run.first} to {run.next - 1}: there is no such input",
            )
            return
        first = self._check_run(head, run)
        applied = 0
        while (record := stream.head) is not None and record.offset < run.next:
            if record.offset >= first:
                applied += 1
                self._apply(record, quarantined, emissions, rejected)
            await stream.advance()
        self.counts.applied += applied
        self.counts.without_record += max(0, run.next - first) - applied
        self.reached[run.topic] = max(self.reached[run.topic], run.next)

    def _check_run(self, head: Record, run: Run) -> int:
        """Check that a run continues where the last one of its topic ended; give where it begins."""
        # The first run ever begins where the log began when the deployment did.
        expected = self.reached.setdefault(run.topic, self._bounds.starts[run.topic])
        at = f"(journal offset {head.offset})"
        if run.first > expected:
            self._findings.add(
                Check.APPLIED_ONCE,
                run.topic,
                expected,
                f"offsets {expected} to {run.first - 1} were never applied {at}",
            )
        elif run.first < expected:
            self._findings.add(
                Check.APPLIED_ONCE,
                run.topic,
                run.first,
                f"offsets {run.first} to {min(expected, run.next) - 1} were applied twice {at}",
            )
        end = self._bounds.ends[run.topic]
        if run.next > end:
            self._findings.add(
                Check.APPLIED_ONCE,
                run.topic,
                end,
                f"offsets {max(end, run.first)} to {run.next - 1} were applied and do not exist {at}",
            )
        return max(run.first, expected)

    def _apply(
        self,
        record: Record,
        quarantined: set[tuple[str, int]],
        emissions: list[Emission],
        rejected: list[Emission],
    ) -> None:
        topic, partition, offset, timestamp, key, value, _ = record
        if quarantined and (topic, offset) in quarantined:
            quarantined.remove((topic, offset))
            self.counts.quarantined += 1
            rejected.append(rejected_record(record, _QUARANTINED, self._rejected_limit_bytes))
            return
        try:
            emissions += self.machine.apply(topic, partition, offset, timestamp, key, value)
        except Rejection as rejection:
            rejected.append(rejected_record(record, rejection, self._rejected_limit_bytes))
        except Exception as error:
            self._findings.add(
                Check.APPLIED_ONCE,
                topic,
                offset,
                f"was applied, and the rules fail on it ({error!r}); this partition was not judged "
                "any further",
            )
            raise Broken from error


def read_private(
    head: Record, decode: Callable[[bytes], Row], what: str, check: Check, findings: Findings
) -> Row | None:
    """Read a record of journal or positions; None where it is none, which is a finding."""
    if head.key != private.partition_key(findings.partition):
        findings.add(Check.PARTITION, head.topic, head.offset, f"a {what} with key {head.key!r}")
    try:
        return decode(head.value or b"")
    except UNREADABLE as error:
        findings.add(check, head.topic, head.offset, f"is no {what}: {error}")
        return None


def read_checkpoint(value: bytes) -> Checkpoint:
    """Read a checkpoint, also of a newer release."""
    return msgspec.msgpack.decode(value, type=Checkpoint)


def gone(partition: int, topic: str, wanted: int, start: int) -> InputsGone:
    """Refuse to replay what is not there any more."""
    return InputsGone(
        f"Partition {partition}: {topic} begins at offset {start}, and the replay needs it from "
        f"{wanted}: the broker has deleted what came before (retention).\n"
        "Start from a snapshot of a former verification: `orderhalt verify --snapshot FILE`. If there "
        "is none, what came before cannot be verified any more: take the state as it is for a start, "
        "while no worker commits, with `orderhalt verify --take-state --write-snapshot FILE`, and "
        "verify from there on. Keep inputs and journal longer than the time between two snapshots."
    )
