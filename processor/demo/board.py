"""What has been seen so far, as numbers and sentences; knows neither Kafka nor the screen."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import quantiles
from typing import NamedTuple

from processor.words import describe
from schemas.halted import OrderHalted
from schemas.instants import parse_instant
from schemas.reasons import PRECEDENCE, Change, ReasonCode, Status

_LATEST_KEPT = 40
#: Delays and rates are those of the last records and seconds.
_DELAYS_KEPT = 2_000
_RATE_SECONDS = 5


class News(NamedTuple):
    """One change of a halt in words."""

    at: str
    """Time of day, UTC, of the event behind it."""
    studio_id: str
    order_id: str
    halted: bool
    reason: ReasonCode | None
    text: str


class Delay(NamedTuple):
    """How long from an event until its halt could be read, in milliseconds."""

    median_ms: float
    p95_ms: float


@dataclass(slots=True)
class Board:
    """The state of the demo, kept up with by `take` and `count`."""

    opened: Counter[ReasonCode] = field(default_factory=Counter)
    """Halts that opened, by each of their reasons."""
    ended: Counter[Status] = field(default_factory=Counter)
    latest: deque[News] = field(default_factory=lambda: deque(maxlen=_LATEST_KEPT))
    applied: int = 0
    """Events that the workers have committed."""
    lag: int = 0
    """Events that they have yet to."""
    records: int = 0
    """Records of `order-halted` read."""
    first_halt_seconds: float | None = None
    """From the start of the demo until the first halt could be read."""
    _halted: dict[bytes, ReasonCode] = field(default_factory=dict)
    _delays_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_DELAYS_KEPT))
    _counts: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, key: bytes, record: OrderHalted, now_us: int, since_start: float) -> News:
        """Take one record that was read now, so many seconds after the start of the demo."""
        self.records += 1
        self._delays_ms.append((now_us - parse_instant(record.occurred_at)) / 1000)
        if record.change == Change.ENDED:
            self.ended[record.status] += 1
            self._halted.pop(key, None)
        elif record.primary_reason is not None:
            self._halted[key] = record.primary_reason
            if record.change == Change.OPENED:
                self.opened.update(reason.code for reason in record.reasons)
                if self.first_halt_seconds is None:
                    self.first_halt_seconds = since_start
        news = News(
            record.occurred_at[11:19],
            record.studio_id,
            record.order_id,
            record.change != Change.ENDED,
            record.primary_reason,
            describe(record),
        )
        self.latest.append(news)
        return news

    def count(self, applied: int, lag: int, now: float) -> None:
        """Take how far the workers have come, at a time in seconds."""
        self.applied, self.lag = applied, lag
        self._counts.append((now, applied))
        while now - self._counts[0][0] > _RATE_SECONDS:
            self._counts.popleft()

    @property
    def events_per_second(self) -> float:
        """What the workers apply, over the last seconds."""
        if len(self._counts) < 2:
            return 0.0
        (from_second, from_count), (to_second, to_count) = self._counts[0], self._counts[-1]
        return (to_count - from_count) / (to_second - from_second)

    @property
    def halted_now(self) -> Counter[ReasonCode]:
        """Orders that are halted, by primary reason."""
        return Counter(self._halted.values())

    @property
    def delay(self) -> Delay | None:
        """The delay of the last records; None before there are some."""
        if len(self._delays_ms) < 2:
            return None
        cuts = quantiles(self._delays_ms, n=20)
        return Delay(cuts[9], cuts[18])

    def counts_in_words(self) -> str:
        """List how many orders are halted now, by reason."""
        now = self.halted_now
        return ", ".join(f"{now[code]} {code}" for code in PRECEDENCE if now[code]) or "none"
