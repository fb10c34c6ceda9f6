"""Instants: RFC 3339 text on the wire, microseconds since 1970-01-01T00:00:00Z inside.

An int compares and packs faster than a datetime and cannot lose its zone. Digits beyond
microseconds are cut off, never rounded: rounding could move an event past another (contract.md §2).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
_MINUTE_US: Final = 60 * SECOND_US
_PADDING: Final = 100 * SECOND_US

#: Instants lie in the years 2000-2199 in UTC (contract.md §2); the upper bound is exclusive.
EARLIEST_US: Final = (datetime(2000, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST_US: Final = (datetime(2200, 1, 1, tzinfo=UTC) - EPOCH) // MICROSECOND

_RFC_3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)

# Producers write the current time: nearly all instants share their second with a recent one.
_SEEN: Final[dict[str, int]] = {}
_KEPT: Final = 4096
_FRACTIONS: Final = {"Z": 0} | {f".{n:03}Z": n * 1000 for n in range(1000)}


def parse_instant(text: str) -> int:
    """Read an RFC 3339 instant with offset, as microseconds since the epoch.

    Raises ValueError, with a message that does not repeat the text, where it is none or lies
    outside the years 2000-2199 (contract.md §2).
    """
    second = _SEEN.get(text[:19])
    if second is not None:
        if len(text) == 27 and text[19] == "." and text[26] == "Z":
            digits = text[20:26]
            if digits.isdigit() and digits.isascii():
                return second + int(digits)
        fraction = _FRACTIONS.get(text[19:])
        if fraction is not None:
            return second + fraction
    return _parse_any(text)


def _parse_any(text: str) -> int:
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError("expected an RFC 3339 instant with offset")
    date, time, fraction, sign, hours, minutes = found.groups()
    try:
        seconds = datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        raise ValueError("expected an instant that exists in the calendar") from None
    offset_us = 0
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("expected an offset between -23:59 and +23:59")
        offset_us = (int(hours) * 60 + int(minutes)) * 60 * SECOND_US
        if sign == "-":
            offset_us = -offset_us
    whole_us = (seconds - EPOCH) // MICROSECOND - offset_us
    if not EARLIEST_US <= whole_us < LATEST_US:
        raise ValueError("expected an instant in the years 2000 to 2199")
    if not sign:
        _remember(text[:19], whole_us)
    return whole_us + int(((fraction or "") + "000000")[:6])


def _remember(second: str, at_us: int) -> None:
    if len(_SEEN) >= _KEPT:
        _SEEN.clear()
    _SEEN[second] = at_us


@lru_cache(maxsize=_KEPT)
def _format_minute(minute: int) -> str:
    return (EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:")


@lru_cache(maxsize=_KEPT)
def format_instant(at_us: int) -> str:
    """Write microseconds since the epoch as `YYYY-MM-DDThh:mm:ss.ffffffZ` (contract.md §5)."""
    within = at_us % _MINUTE_US
    # The 1 in front keeps the zeros: half the time of two formatted numbers.
    digits = str(_PADDING + within)
    return _format_minute(at_us // _MINUTE_US) + digits[1:3] + "." + digits[3:] + "Z"
