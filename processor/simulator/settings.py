"""What a simulated world is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: 2026-01-05T08:00:00Z, a Monday morning, in microseconds.
DEFAULT_START_US: Final = 1_767_600_000_000_000

#: The most of `Settings.trouble`: at 20 every attempt of a transfer fails, and no order ever ends.
TROUBLE_MAX: Final = 15.0

#: How many events an order makes on average, everything that belongs to it included (measured; a
#: test holds it to within a tenth).
EVENTS_PER_ORDER: Final = 2.78

#: How long an order takes on average, as a share of `Settings.lifetime_us` (measured).
_MEAN_LIFE: Final = 0.84


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One world. Two equal settings make the same records, byte for byte."""

    seed: int = 1
    studios: int = 50
    """How many studios; by Zipf's law the first has far more orders than the last."""
    events_per_second: float = 100.0
    """Of virtual time, on average, once the first orders are through: the world begins empty."""
    orders_in_flight: int = 500
    """How many orders are on their way at a time, on average. With the rate it sets how long an
    order takes, so a log of any rate shows orders from beginning to end."""
    start_us: int = DEFAULT_START_US
    """When virtual time begins, in microseconds since 1970 UTC."""
    trouble: float = 1.0
    """How much goes wrong, 0 to TROUBLE_MAX: scales deletions, failing transfers and studios short of
    money."""
    late_share: float = 0.01
    """The share of events that arrive long after they occurred."""
    duplicate_share: float = 0.005
    """The share of events that are delivered a second time."""
    malformed_share: float = 0.0
    """The share of records that are not events. The others stay the same bytes as without."""
    oversized: bool = False
    """Whether records above 1 MiB are among the malformed ones: topics refuse them by default."""
    for_lines: bool = False
    """Whether to leave out the malformed records that JSON Lines cannot carry: those that are not
    text, and those in another partition than their key's."""

    def __post_init__(self) -> None:
        if not 0 <= self.trouble <= TROUBLE_MAX:
            raise ValueError(f"trouble is {self.trouble}, and must be from 0 to {TROUBLE_MAX:g}.")

    @property
    def lifetime_us(self) -> int:
        """How long an order without trouble takes, in microseconds of virtual time."""
        return max(1_000, int(self.orders_in_flight * self.order_gap_us / _MEAN_LIFE))

    @property
    def order_gap_us(self) -> float:
        """Mean time between two orders, in microseconds of virtual time."""
        return 1e6 * EVENTS_PER_ORDER / self.events_per_second
