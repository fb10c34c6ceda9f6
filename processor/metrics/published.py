"""What a transaction has said on `order-halted`, read from the very records that it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from processor.metrics import names
from schemas.instants import parse_instant
from schemas.reasons import Change

Emission = tuple[bytes | None, bytes | None, object]
"""Key, value (None is a tombstone) and headers."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """The fields of a record that are counted; all others are skipped."""

    change: str
    status: str
    primary_reason: str | None
    halted_since: str
    occurred_at: str


_decode = msgspec.json.Decoder(Record).decode


@dataclass(slots=True)
class Tally:
    """How often something happened, and to which order the last time."""

    count: int = 0
    order_key: str = ""


@dataclass(slots=True)
class Published:
    """What the records of one transaction come to."""

    opened: dict[str, Tally] = field(default_factory=dict)
    """Primary reason → halts opened."""
    ended: dict[str, Tally] = field(default_factory=dict)
    """Status → halts ended."""
    changes: dict[str, int] = field(default_factory=dict)
    delays: list[tuple[str, float, str]] = field(default_factory=list)
    """(primary reason, seconds, order key) of halts that an input record opened."""
    durations: list[tuple[str, float]] = field(default_factory=list)
    """(status, seconds) of halts that ended."""
    difference: int = 0
    """Opened minus ended."""

    def take(self, record: Record, key: str, cause_ms: int | None, now_ms: float) -> str:
        """Take one record in; give what it says, as a label's value."""
        if record.change == Change.OPENED:
            reason = names.known(record.primary_reason, names.REASONS)
            _tally(self.opened, reason, key)
            self.difference += 1
            if cause_ms is not None:
                self.delays.append((reason, max(0.0, (now_ms - cause_ms) / 1000), key))
        elif record.change == Change.ENDED:
            status = names.known(record.status, names.ENDED_STATUSES)
            _tally(self.ended, status, key)
            self.difference -= 1
            since, until = parse_instant(record.halted_since), parse_instant(record.occurred_at)
            self.durations.append((status, max(0.0, (until - since) / 1_000_000)))
        return names.known(record.change, names.CHANGES)


def _tally(tallies: dict[str, Tally], name: str, key: str) -> None:
    tally = tallies.get(name)
    if tally is None:
        tally = tallies[name] = Tally()
    tally.count += 1
    tally.order_key = key


def published(
    emissions: Sequence[Emission], causes: Sequence[tuple[int, int]], now_ms: float
) -> Published:
    """Read the records of one transaction; `causes` as in `protocol.Committed`."""
    result = Published()
    causing = _causes(len(emissions), causes)
    for (key, value, _), cause_ms in zip(emissions, causing, strict=True):
        if value is None:
            change = names.FORGOTTEN
        else:
            order_key = (key or b"").decode()
            change = result.take(_decode(value), order_key, cause_ms, now_ms)
        result.changes[change] = result.changes.get(change, 0) + 1
    return result


def _causes(emissions: int, causes: Sequence[tuple[int, int]]) -> Iterator[int | None]:
    """Give the timestamp of the input that caused each emission, in ms; None: recovery did."""
    caused = sum([count for _, count in causes])
    for _ in range(emissions - caused):
        yield None
    for timestamp_ms, count in causes:
        for _ in range(count):
            yield timestamp_ms
