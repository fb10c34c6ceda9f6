"""What one poll brought of one input partition, and the check that nothing is missing in between.

A batch covers the offsets from `start` up to, not including, `end`, densely: the next batch of the
same input starts where this one ends. Within it, offsets may hold no record (control records and
aborted records of transactional producers). `Cursor` decides whether what a fetch returned may be
taken as that.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from processor.runtime.runtime import Runtime

#: An aiokafka ConsumerRecord, which has no types.
Record = Any


class Batch:
    """The records of one (topic, partition) from one poll; the value of one Faust event."""

    __slots__ = ("end", "epoch", "partition", "records", "runtime", "start", "topic")

    def __init__(
        self, topic: str, partition: int, start: int, end: int, records: Sequence[Record]
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.start = start
        self.end = end
        self.records = records
        self.epoch = -1
        """The ownership under which it was fetched; a batch of an earlier one is dropped."""
        self.runtime: Runtime | None = None

    def from_offset(self, offset: int) -> Batch:
        """Return the rest of this batch from `offset` on."""
        rest = Batch(
            self.topic,
            self.partition,
            offset,
            self.end,
            [record for record in self.records if record.offset >= offset],
        )
        rest.epoch = self.epoch
        rest.runtime = self.runtime
        return rest

    async def apply(self) -> None:
        """Hand the records to their partition's machine: the one line that every agent has."""
        assert self.runtime is not None, "a batch that did not come through the transport"
        await self.runtime.take(self)

    def __repr__(self) -> str:
        return f"<Batch {self.topic}[{self.partition}] {self.start}..{self.end}>"


class UnreadableRecord(Exception):
    """The client library cannot decode a record: the name of a header is not UTF-8."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(f"{topic} {partition} {offset}")
        self.topic = topic
        self.partition = partition
        self.offset = offset


def find_unreadable(fetcher: Any) -> UnreadableRecord | None:
    """Find the record at which an aiokafka fetcher has just raised UnicodeDecodeError.

    What it had read so far is lost with the exception, and so is the place of the fault, but for the
    generator that has died in the middle of a partition's records.
    """
    for tp, result in fetcher._records.items():  # noqa: SLF001 - pinned by test_faust_contract
        records = getattr(result, "_partition_records", None)
        generator = getattr(records, "_records_iterator", None)
        if records is not None and generator is not None and generator.gi_frame is None:
            return UnreadableRecord(tp.topic, tp.partition, records.next_fetch_offset)
    return None


class Verdict(Enum):
    """What to do with what a fetch returned for one input partition."""

    NOTHING = "nothing new"
    TAKE = "a batch from the expected offset up to the position"
    SEEK_AGAIN = "offsets are skipped: seek to the expected one once more"
    CHECK_LOG_START = "skipped again: lawful if the broker still has the expected offset"
    LOG_IS_SHORTER = "the position is below the expected offset: the log was cut or made anew"


class Cursor:
    """The offset at which the next batch of one input partition must start.

    aiokafka's position moves past records without returning them in three cases: control and aborted
    records (lawful), a reset after the broker has deleted the offset (loss), and a fetch that was in
    flight during a seek (loss). The first is told from the third by seeking once more, and from the
    second by the start of the log.
    """

    __slots__ = ("_sought", "expected")

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self._sought: int | None = None

    def judge(self, first: int | None, position: int) -> Verdict:
        """Judge a fetch: offset of its first record (None: no record) and the position after it."""
        if first is None and position == self.expected:
            return Verdict.NOTHING
        if position < self.expected:
            return Verdict.LOG_IS_SHORTER
        if first is not None and first <= self.expected:
            return Verdict.TAKE
        if self._sought != self.expected:
            return Verdict.SEEK_AGAIN
        return Verdict.CHECK_LOG_START

    def sought(self) -> None:
        """Note that the consumer was positioned at the expected offset once more."""
        self._sought = self.expected

    def take(self, topic: str, partition: int, records: Sequence[Record], position: int) -> Batch:
        """Make the batch up to `position` and expect the next one there."""
        start, self.expected = self.expected, position
        if records and records[0].offset < start:
            records = [record for record in records if record.offset >= start]
        return Batch(topic, partition, start, position, records)
