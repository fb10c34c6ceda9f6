"""The log of one partition: offsets, transactions, control records, compaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

_offset_of = attrgetter("offset")
_BATCHES_REMEMBERED = 5
"""A repeated batch is recognised among the last so many of its producer."""

#: Kafka's error codes, as far as the model knows them.
OUT_OF_ORDER_SEQUENCE = 45
INVALID_PRODUCER_EPOCH = 47
INVALID_TXN_STATE = 48


class Record:
    """One record as a reader gets it, and what the log knows of it besides."""

    __slots__ = (
        "aborted", "control", "headers", "key", "offset", "partition", "producer", "timestamp",
        "topic", "value",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Any = (),
        producer: int = -1,
        *,
        control: bool = False,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
        self.producer = producer
        self.control = control
        self.aborted = False


class Content(NamedTuple):
    """What a producer says of a record."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Any


class _Producer:
    """What a log knows of one producer."""

    __slots__ = ("batches", "epoch", "sequence")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.sequence = 0
        self.batches: list[tuple[int, int]] = []
        """First sequence number and base offset of the last batches."""


class Log:
    """One partition of one topic."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self.records: list[Record] = []
        self.start = 0
        self.end = 0
        self.open: dict[int, int] = {}
        """Producer → first offset of its open transaction."""
        self._producers: dict[int, _Producer] = {}

    @property
    def stable_end(self) -> int:
        """The last stable offset: the first one of the oldest open transaction, or the end."""
        return min(self.open.values(), default=self.end)

    # -- writing

    def append(self, contents: Iterable[Content], producer: int = -1) -> int:
        """Append records; returns the offset of the first."""
        base = self.end
        for timestamp, key, value, headers in contents:
            self.records.append(
                Record(
                    *(self.topic, self.partition, self.end, timestamp, key, value, headers),
                    producer,
                )
            )
            self.end += 1
        return base

    def append_in_transaction(
        self, producer: int, epoch: int, sequence: int, contents: Sequence[Content]
    ) -> tuple[int, int]:
        """Append a batch of a transaction; returns error code and base offset."""
        known = self._producers.get(producer)
        if known is None or epoch > known.epoch:
            known = self._producers[producer] = _Producer(epoch)
        if epoch < known.epoch:
            return INVALID_PRODUCER_EPOCH, -1
        for first, base in known.batches:
            if first == sequence:
                return 0, base
        if sequence != known.sequence:
            return OUT_OF_ORDER_SEQUENCE, -1
        self.open.setdefault(producer, self.end)
        base = self.append(contents, producer)
        known.sequence += len(contents)
        known.batches = [*known.batches[1 - _BATCHES_REMEMBERED :], (sequence, base)]
        return 0, base

    def append_marker(self, producer: int, epoch: int, *, commit: bool) -> None:
        """End a transaction here; the marker takes an offset of its own."""
        known = self._producers.get(producer)
        if known is None or epoch > known.epoch:
            self._producers[producer] = _Producer(epoch)
        first = self.open.pop(producer, None)
        if first is not None and not commit:
            for record in self.records[bisect_left(self.records, first, key=_offset_of) :]:
                if record.producer == producer and not record.control:
                    record.aborted = True
        marker = Record(
            *(self.topic, self.partition, self.end, 0, None, None, (), producer), control=True
        )
        self.records.append(marker)
        self.end += 1

    # -- reading

    def read(self, offset: int, most: int, *, committed: bool) -> tuple[list[Record], int]:
        """Return records from `offset` on, about `most` offsets, and where to go on."""
        end = min(self.stable_end if committed else self.end, offset + most)
        at = bisect_left(self.records, offset, key=_offset_of)
        found = []
        for record in self.records[at : at + most]:
            if record.offset >= end:
                break
            if not record.control and not (committed and record.aborted):
                found.append(record)
        return found, max(offset, end)

    def committed(self) -> list[Record]:
        """Return all that a read_committed reader can see."""
        return self.read(self.start, self.end, committed=True)[0]

    # -- what the broker does by itself

    def compact(self, below: int) -> int:
        """Keep of the records below an offset only the last of each key; returns how many went.

        As the log cleaner does: nothing at or above the last stable offset, no aborted record, and
        the markers stay.
        """
        below = min(below, self.stable_end)
        last = {
            record.key: record.offset
            for record in self.records
            if record.offset < below and not record.control and not record.aborted
        }
        before = len(self.records)
        self.records = [
            record
            for record in self.records
            if record.offset >= below
            or record.control
            or (not record.aborted and last[record.key] == record.offset)
        ]
        return before - len(self.records)

    def delete_before(self, offset: int) -> None:
        """Delete what is older, as retention does."""
        self.start = max(self.start, min(offset, self.stable_end))
        self.records = [record for record in self.records if record.offset >= self.start]
