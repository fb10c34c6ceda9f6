"""Where the inputs are: according to the journal, to the positions rows, to the consumer group."""

from __future__ import annotations

from collections.abc import Mapping

from processor.verify.findings import Check, Findings
from processor.verify.replay import Replay, read_checkpoint, read_private
from processor.verify.streams import Bounds, Record, Source, Stream
from schemas import private
from schemas.private import PositionsRow


class Positions:
    """Goes with a replay and compares the other two with it."""

    def __init__(
        self,
        stream: Stream,
        bounds: Bounds,
        findings: Findings,
        changelogs: Mapping[str, str],
        inputs: tuple[str, ...],
    ) -> None:
        """Take the opened stream of the positions topic; `changelogs`: table → topic."""
        self._stream = stream
        self._bounds = bounds
        self._findings = findings
        self._changelogs = changelogs
        self._inputs = inputs
        self._last: PositionsRow | None = None
        self._last_offset: int | None = None
        self._head: PositionsRow | None = None
        """The head of the stream, decoded; None where that has not been done."""
        self._lawful: dict[str, set[int]] = {topic: set() for topic in inputs}
        """Input → offsets that the group may have, since it moves while we look."""

    @property
    def topic(self) -> str:
        """The topic of the rows."""
        return self._stream.name

    @property
    def next_offset(self) -> int | None:
        """The offset of the next row to compare; None at the end."""
        return None if self._stream.head is None else self._stream.head.offset

    async def before(self, number: int, replay: Replay) -> None:
        """Compare the rows of transactions below `number`, which is replayed next."""
        while (head := self._stream.head) is not None:
            row = self._head = self._head or self._decode(head)
            if row is not None:
                if row.number >= number:
                    break
                self._compare(head, row, replay)
            await self._advance()
        if number > self._bounds.settled_number:
            self._remember(replay)

    async def finish(self, replay: Replay, source: Source) -> None:
        """Compare the rest, and the group's offsets, after the last transaction."""
        while (head := self._stream.head) is not None:
            row = self._head or self._decode(head)
            # Later ones are of transactions that were not replayed, on a live deployment.
            if row is not None:
                if row.number <= replay.number or head.offset < self._bounds.settled_until:
                    self._compare(head, row, replay)
                self._last, self._last_offset = row, head.offset
            await self._advance()
        self._remember(replay)
        await self._check_last(replay, source)
        self._compare_group(replay)

    async def _check_last(self, replay: Replay, source: Source) -> None:
        """Check that there is a row of the last transaction, or of a later one.

        While we read, the broker may compact it away, because there is a later one behind our end.
        """
        number = 0 if self._last is None else self._last.number
        if number < replay.number:
            end = self._bounds.ends[self.topic]
            async for batch in source.read_on(self.topic, self._findings.partition, end):
                row = self._decode(batch[-1])
                number = number if row is None else row.number
        if number < replay.number:
            self._findings.add(
                Check.POSITIONS,
                self._stream.name,
                self._last_offset,
                f"the row of transaction {replay.number} is missing; the last one is of {number or 'none'}",
            )

    async def _advance(self) -> None:
        self._head = None
        await self._stream.advance()

    def _remember(self, replay: Replay) -> None:
        for topic, offset in replay.reached.items():
            self._lawful[topic].add(offset)

    def _decode(self, head: Record) -> PositionsRow | None:
        return read_private(
            head, private.decode_positions, "positions row", Check.POSITIONS, self._findings
        )

    def _compare(self, head: Record, row: PositionsRow, replay: Replay) -> None:
        self._findings.transaction = row.number
        if self._last is not None and row.number <= self._last.number:
            self._add(head, f"transaction {row.number} after transaction {self._last.number}")
        self._last, self._last_offset = row, head.offset
        for topic, offset in row.offsets.items():
            fault = self._fault(topic, offset, replay.reached.get(topic))
            if fault is not None:
                self._add(head, f"says {topic} at {offset}: {fault}")
        if row.checkpoint is not None:
            said = read_checkpoint(row.checkpoint).partition_time
            found = read_checkpoint(replay.machine.checkpoint()).partition_time
            if said != found:
                self._add(head, f"says partition time {said}, and the replay has {found}")
        for table, least in row.changelog_ends.items():
            end = self._bounds.ends.get(self._changelogs.get(table, ""), 0)
            if head.offset < self._bounds.settled_until and end < least:
                self._add(head, f"says the changelog of {table} had {least} offsets; it has {end}")

    def _fault(self, topic: str, offset: int, reached: int | None) -> str | None:
        if topic not in self._lawful:
            return "there is no such input"
        if reached is None:
            # Nothing of it was applied so far: it is where its log began.
            if offset <= self._bounds.starts[topic]:
                return None
            return "the journal has applied nothing of it"
        return None if offset == reached else f"the journal has applied it up to {reached}"

    def _add(self, head: Record, message: str) -> None:
        self._findings.add(Check.POSITIONS, head.topic, head.offset, message)

    def _compare_group(self, replay: Replay) -> None:
        self._findings.transaction = None
        group = self._bounds.group
        for topic in self._inputs if group else ():
            at, reached = group.get(topic), replay.reached.get(topic)
            if at is None:
                # Its offsets may expire, but then all of them do.
                fault = "is missing" if reached is not None else None
            elif at in self._lawful[topic]:
                fault = None
            else:
                fault = self._fault(topic, at, reached)
            if fault is not None:
                self._findings.add(
                    Check.POSITIONS, topic, at, f"the consumer group's offset is {at}: {fault}"
                )
