"""Records of one topic and partition, one after the other, and where the logs began and ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes | None], ...]


class Record(NamedTuple):
    """One committed record, byte for byte."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    """Milliseconds."""
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of one partition is judged. On a live deployment the order of looking matters:

    positions and journal, then the group's offsets, then the ends of the outputs, then the journal
    again, then inputs and positions. So every transaction up to `complete_until` stands whole below
    the ends of the outputs, and what stands there comes from transactions below the journal's end.
    """

    starts: Mapping[str, int]
    """Topic → log start. All topics of the deployment."""
    ends: Mapping[str, int]
    """Topic → offset up to which it is read: no transaction is open below."""
    complete_until: int
    """Offset of the journal: transactions below it were complete before the outputs' ends were taken."""
    settled_until: int
    """Offset of the positions topic: rows below it are of transactions below the journal's end."""
    settled_number: int
    """The transaction of the last of these rows, which the group's offsets have reached; 0: none."""
    group: Mapping[str, int] = field(default_factory=dict)
    """Input topic → the consumer group's offset; topics without one are missing."""


class Source(Protocol):
    """Where records come from."""

    def read(self, topic: str, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """Read the committed records with `start` <= offset < `end`, in batches."""

    def read_on(self, topic: str, partition: int, start: int) -> AsyncIterator[list[Record]]:
        """Read the committed records from `start` to where the topic ends at this moment."""

    async def bounds(self, partition: int) -> Bounds:
        """Look where everything of a partition begins and ends now."""


class Stream:
    """Reads records as they are needed; `head` is the next one, None at the end."""

    __slots__ = ("_at", "_batch", "_batches", "head", "name", "read")

    def __init__(self, name: str, batches: AsyncIterator[list[Record]]) -> None:
        self.name = name
        self.head: Record | None = None
        self.read = 0
        """How many records have been passed."""
        self._batches = batches
        self._batch: Sequence[Record] = ()
        self._at = 0

    async def open(self) -> Stream:
        """Read up to the first record."""
        await self._refill()
        return self

    async def advance(self) -> None:
        """Pass the head."""
        self.read += 1
        self._at += 1
        if self._at < len(self._batch):
            self.head = self._batch[self._at]
        else:
            await self._refill()

    async def second(self) -> Record | None:
        """Give the record after the head."""
        if self._at + 1 >= len(self._batch) and self.head is not None:
            async for batch in self._batches:
                if batch:
                    self._batch = [self.head, *batch]
                    self._at = 0
                    break
        following = self._at + 1
        return self._batch[following] if following < len(self._batch) else None

    async def _refill(self) -> None:
        self._batch, self._at, self.head = (), 0, None
        async for batch in self._batches:
            if batch:
                self._batch, self.head = batch, batch[0]
                return


async def open_stream(
    source: Source, topic: str, partition: int, start: int, bounds: Bounds
) -> Stream:
    """Open a topic from `start`, or from where it begins now, up to its end."""
    start = max(start, bounds.starts[topic])
    return await Stream(topic, source.read(topic, partition, start, bounds.ends[topic])).open()
