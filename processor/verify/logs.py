"""Compare a log with what the replay demands of it, record by record and in its order.

Where the two differ, the difference may be lawful:

- *Compacted logs* (order-halted, changelogs) lose records of which a later one of the same key
  exists. So a record that is missing is kept in mind until a later one of its key comes; whatever is
  left at the end is a finding. A record that was removed leaves its offset free: where offsets follow
  one another, none can be missing. And records younger than the log's `min.compaction.lag.ms` cannot
  have been compacted.
- *Expiring logs* (orderhalt-rejected) lose their oldest records, and none after the first that is
  there. Records younger than the retention cannot have expired.
- On a live deployment, records of the last transactions may have been written after the log's end
  was looked up: they are `open`, and the log may end anywhere in them.

A record that is there and that the replay does not make is never lawful.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from processor.runtime.protocol import Emission
from processor.verify.findings import Check, Findings, shown
from processor.verify.streams import Record, Source, Stream
from schemas.partitioning import default_partition, split_key

_DIGEST_BYTES: Final = 16
_GONE: Final = b""
"""The digest of a tombstone, and of a key without any record."""
_SHOWN_BYTES: Final = 400

Entry = Emission
"""Key, value and headers of a record that must be there."""


class Moment(NamedTuple):
    """The transaction that wrote what is demanded."""

    number: int
    timestamp_ms: int
    is_open: bool
    """It may have been written after the log's end was looked up."""


class _Missing(NamedTuple):
    """A record that was not where it must be."""

    digest: bytes
    number: int | None
    before: int | None
    """Offset of the record that is there instead."""


def digest(value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Digest what a record says; empty for a tombstone."""
    listed = list(headers)
    if value is None and not listed:
        return _GONE
    whole = value if value is not None and not listed else msgspec.msgpack.encode((value, listed))
    return blake2b(whole, digest_size=_DIGEST_BYTES).digest()


class Log:
    """What is common: the walk over demanded and found records, and telling apart what differs."""

    check: Check

    def __init__(self, stream: Stream, findings: Findings, *, kept_since_ms: int | None) -> None:
        """Take an opened stream of the log.

        `kept_since_ms`: none that was written since can have gone; None: any can.
        """
        self.topic = stream.name
        self.found = 0
        """How many records were as demanded."""
        self._stream = stream
        self._findings = findings
        self._kept_since_ms = kept_since_ms

    @property
    def next_offset(self) -> int | None:
        """The offset of the next record to compare; None at the end."""
        return None if self._stream.head is None else self._stream.head.offset

    async def demand(self, entries: Sequence[Entry], at: Moment) -> None:
        """Compare the next records with `entries`, all of one transaction."""
        for number, entry in enumerate(entries):
            head = self._stream.head
            if head is not None and self._matches(head, entry):
                await self._take(head)
            elif head is None and at.is_open:
                return
            elif not self._may_be_missing(entry, at):
                await self._differ(entry, entries[number + 1 :], at)

    async def finish(self) -> None:
        """Find what is there and was not demanded."""
        head, count = self._stream.head, 0
        while (record := self._stream.head) is not None:
            count += 1
            self._note(record)
            await self._stream.advance()
        if head is not None:
            more = f"; {count - 1} records after it could not be compared" if count > 1 else ""
            self._findings.add(
                self.check,
                self.topic,
                head.offset,
                f"the record of {shown(head.key)} is none that must be here{more}",
            )

    async def _take(self, record: Record) -> None:
        self.found += 1
        self._note(record)
        await self._stream.advance()

    async def _differ(self, entry: Entry, following: Sequence[Entry], at: Moment) -> None:
        """Say how the log differs where it must not, and get into step again."""
        head, second = self._stream.head, await self._stream.second()
        key = shown(entry[0])
        if head is None:
            self._add(None, f"the record of {key} is missing at the end")
        elif second is not None and self._matches(second, entry):
            self._add(head.offset, f"the record of {shown(head.key)} is one too many")
            self._note(head)
            await self._stream.advance()
            await self._take(second)
        elif head.key == entry[0] and not (following and self._matches(head, following[0])):
            self._add(head.offset, f"the record of {key} differs: {self._difference(head, entry)}")
            self._note(head)
            await self._stream.advance()
        else:
            self._add(head.offset, f"the record of {key} is missing before this one")

    def _add(self, offset: int | None, message: str) -> None:
        self._findings.add(self.check, self.topic, offset, message)

    def _matches(self, record: Record, entry: Entry) -> bool:
        return (
            record.key == entry[0]
            and record.value == entry[1]
            and record.headers == tuple(entry[2])
        )

    def _difference(self, record: Record, entry: Entry) -> str:
        if record.value != entry[1]:
            return f"its value is {_short(record.value)}, and must be {_short(entry[1])}"
        return f"its headers are {record.headers}, and must be {tuple(entry[2])}"

    def _is_young(self, at: Moment) -> bool:
        return self._kept_since_ms is not None and at.timestamp_ms >= self._kept_since_ms

    def _may_be_missing(self, entry: Entry, at: Moment) -> bool:
        raise NotImplementedError

    def _note(self, record: Record) -> None:
        """Look at a record that has come, demanded or not."""


def _short(value: bytes | None) -> str:
    if value is None:
        return "none"
    more = f" … ({len(value)} bytes)" if len(value) > _SHOWN_BYTES else ""
    return f"{value[:_SHOWN_BYTES]!r}{more}"


class ExpiringLog(Log):
    """orderhalt-rejected: the oldest records may be gone, and no other."""

    check = Check.REJECTED

    def __init__(
        self, stream: Stream, findings: Findings, *, kept_since_ms: int | None, may_have_lost: bool
    ) -> None:
        """`may_have_lost`: the log does not begin where the replay does."""
        super().__init__(stream, findings, kept_since_ms=kept_since_ms)
        self.expired = 0
        self._may_have_lost = may_have_lost

    def _may_be_missing(self, entry: Entry, at: Moment) -> bool:
        if not self._may_have_lost or self.found or self._is_young(at):
            return False
        self.expired += 1
        return True

    def _matches(self, record: Record, entry: Entry) -> bool:
        """Compare all bytes but those of the sentence, whose words are for people: it must be there."""
        if record.key != entry[0] or record.value != entry[1]:
            return False
        return _without_words(record.headers) == _without_words(entry[2])


def _without_words(
    headers: Sequence[tuple[str, bytes | None]],
) -> list[tuple[str, bytes | bool | None]]:
    """Give headers with, of our sentence, only whether there is one. The last of that name is ours."""
    given: list[tuple[str, bytes | bool | None]] = list(headers)
    for at in range(len(given) - 1, -1, -1):
        name, text = headers[at]
        if name == "orderhalt_error":
            given[at] = (name, bool(text and text.strip()))
            break
    return given


class _Room:
    """How many records can be missing up to a place: as many as there are offsets without a record.

    Not counted is the control record after each transaction of which a record was found.
    """

    def __init__(self, end: int) -> None:
        self._end = end
        self._free = 0
        self._next = 0
        self._number: int | None = None
        self._is_between = False
        """Nothing was found of this transaction yet, and something of an earlier one."""
        self._has_found = False

    def start(self, offset: int) -> None:
        """Count from an offset on."""
        self._free, self._next, self._has_found = 0, offset, False

    def enter(self, number: int) -> None:
        """Come to a transaction."""
        if number != self._number:
            self._number, self._is_between = number, self._has_found

    def pass_over(self, record: Record) -> None:
        """Come to a record that is there."""
        self._free += self._gap(record.offset)
        self._next, self._is_between, self._has_found = record.offset + 1, False, True

    def has_any(self, head: Record | None) -> bool:
        """Tell whether one can be missing before `head`."""
        return self._free + self._gap(self._end if head is None else head.offset) > 0

    def boundary(self, head: Record) -> int:
        """Give from where on the offsets before `head` belong to later transactions."""
        return min(head.offset, self._next - min(self._free, 0) + self._has_found)

    def take(self) -> None:
        """Let one be missing."""
        self._free -= 1

    def _gap(self, offset: int) -> int:
        gap = offset - self._next
        return gap - 1 if gap > 0 and self._is_between else gap


class CompactedLog(Log):
    """order-halted or a changelog: only the last record of each key is sure to be there."""

    def __init__(
        self,
        stream: Stream,
        findings: Findings,
        *,
        check: Check,
        end: int,
        kept_since_ms: int | None,
        partitions: int | None,
    ) -> None:
        """`end`: of the log; `partitions`: check keys against Kafka's default partitioner."""
        super().__init__(stream, findings, kept_since_ms=kept_since_ms)
        self.check = check
        self.compacted = 0
        """How many records are gone because of later ones."""
        self._partitions = partitions
        self._last: dict[bytes, bytes] = {}
        """Key → digest of its last record so far; a tombstone leaves none."""
        self._missing: dict[bytes, _Missing] = {}
        self._room = _Room(end)

    @property
    def next_offset(self) -> int | None:
        """Where what was not demanded yet begins, compacted records included; None at the end."""
        head = self._stream.head
        return None if head is None else self._room.boundary(head)

    async def pass_over(self, until: int, known: Mapping[bytes, bytes]) -> None:
        """Read what a snapshot has verified, up to the offset `until`; `known`: see `last`."""
        while (head := self._stream.head) is not None and head.offset < until:
            self._note(head)
            await self._stream.advance()
        self._room.start(until)
        for key, said in known.items():
            if self._last.get(key, _GONE) != said:
                self._missing[key] = _Missing(said, None, until)
        for key in self._last.keys() - known.keys():
            self._missing[key] = _Missing(_GONE, None, until)

    def last(self) -> Iterator[tuple[bytes, bytes]]:
        """Give of every key the digest of the last record demanded; none after a tombstone."""
        for key, said in self._last.items():
            if key not in self._missing:
                yield key, said
        for key, missing in self._missing.items():
            if missing.digest != _GONE:
                yield key, missing.digest

    async def demand_rows(self, rows: Sequence[tuple[bytes, bytes | None]], at: Moment) -> None:
        """Compare with the rows of one transaction.

        Tombstones may come at any place among them: in which order a worker forgets at one moment
        depends on whether it has recovered since.
        """
        dropped = [key for key, value in rows if value is None]
        for key, value in rows:
            if value is None:
                continue
            if dropped:
                await self._take_dropped(dropped)
            await self.demand(((key, value, ()),), at)
        await self._take_dropped(dropped)
        await self.demand([(key, None, ()) for key in dropped], at)

    async def _take_dropped(self, dropped: list[bytes]) -> None:
        while (head := self._stream.head) is not None and head.value is None:
            if head.key not in dropped or head.headers:
                return
            dropped.remove(head.key)
            await self._take(head)

    async def settle(self, source: Source, partition: int, start: int) -> None:
        """Find what is missing without a later record; those from `start` on count too.

        While the log is read, the broker may compact away what newer records replace.
        """
        unsettled = {
            key: missing
            for key, missing in self._missing.items()
            if self._last.get(key, _GONE) != missing.digest
        }
        if unsettled:
            async for batch in source.read_on(self.topic, partition, start):
                for record in batch:
                    if record.key is not None:
                        unsettled.pop(record.key, None)
        for key, missing in unsettled.items():
            self._findings.transaction = missing.number
            what = "the tombstone" if missing.digest == _GONE else "the last record"
            self._add(
                missing.before, f"{what} of {shown(key)} is missing, and no later one is there"
            )

    async def demand(self, entries: Sequence[Entry], at: Moment) -> None:
        """Compare the next records with `entries`, all of one transaction."""
        self._room.enter(at.number)
        await super().demand(entries, at)

    async def _take(self, record: Record) -> None:
        if record.key is not None:
            self._missing.pop(record.key, None)
        await super()._take(record)

    def _may_be_missing(self, entry: Entry, at: Moment) -> bool:
        head = self._stream.head
        if self._is_young(at) or not self._room.has_any(head):
            return False
        self._room.take()
        key, value, headers = entry
        assert key is not None, "what is compacted has keys"
        self.compacted += 1
        self._missing[key] = _Missing(
            digest(value, headers), at.number, None if head is None else head.offset
        )
        return True

    def _note(self, record: Record) -> None:
        self._room.pass_over(record)
        key = record.key
        if key is None:
            return
        if key not in self._last:
            self._check_partition(key, record)
        said = digest(record.value, record.headers)
        if said == _GONE:
            self._last.pop(key, None)
        else:
            self._last[key] = said

    def _check_partition(self, key: bytes, record: Record) -> None:
        if self._partitions is None:
            return
        studio = split_key(key.decode(errors="replace"))[0].encode()
        home = default_partition(studio, self._partitions)
        if home != record.partition:
            self._findings.add(
                Check.PARTITION,
                self.topic,
                record.offset,
                f"the key {shown(key)} belongs into partition {home} of {self._partitions}",
            )
