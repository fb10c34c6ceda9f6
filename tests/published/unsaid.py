"""What of the contract no JSON Schema can say: the whole list, each with a predicate.

A value for which a schema and the decoder differ must be explained by one of these, and each of
these must be such a difference: `test_agreement` holds both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.strategies.malformed import TIMESTAMP_MS
from tests.strategies.rows import LAWFUL

INSTANTS = ("occurred_at", "placed_at", "restorable_until")


@dataclass(frozen=True)
class Unsaid:
    """One rule that stands beside the schema."""

    rule: str
    broken_by: Callable[[Any], bool]
    """Tell whether a JSON value, the schema apart, breaks it."""
    topic: str
    example: dict[str, Any]
    """Fields of a lawful event that break it, and nothing else."""


def leaves(value: Any) -> Iterator[Any]:
    """Go through every value within."""
    yield value
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)


def _instants(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[name] for name in INSTANTS if isinstance(value.get(name), str))


def _parsed(text: str) -> datetime | None:
    """Read an instant of the schema's form; None where the calendar does not have it."""
    upper = text.upper()
    clock, zone = (upper[:-1], "+00:00") if upper.endswith("Z") else (upper[:-6], upper[-6:])
    whole, _, fraction = clock.partition(".")
    try:
        return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}{zone}")
    except ValueError:
        return None


def _not_in_calendar(value: Any) -> bool:
    return any(_parsed(text) is None for text in _instants(value))


def _out_of_years(value: Any) -> bool:
    def out(text: str) -> bool:
        at = _parsed(text)
        offset = at.utcoffset() if at else None
        if at is None or offset is None:
            return False
        # datetime has no year 0: the year is taken from the local time and its offset.
        year = (at.replace(tzinfo=None, year=2004) - offset).year - 2004 + at.year
        return not 2000 <= year <= 2199

    return any(out(text) for text in _instants(value))


def _ahead(value: Any) -> bool:
    text = value.get("occurred_at") if isinstance(value, dict) else None
    at = _parsed(text) if isinstance(text, str) else None
    if at is None:
        return False
    return at - timedelta(days=1) > datetime.fromtimestamp(TIMESTAMP_MS / 1000, at.tzinfo)


def _line_twice(value: Any) -> bool:
    lines = value.get("lines") if isinstance(value, dict) else None
    ids = [x.get("line_id") for x in lines if isinstance(x, dict)] if lines else []
    return len(ids) != len(set(ids))


def _written_as_float(value: Any) -> bool:
    return any(isinstance(leaf, float) and leaf.is_integer() for leaf in leaves(value))


def _key_differs(value: Any) -> bool:
    return isinstance(value, dict) and value.get("studio_id") != "s1"


_LINES = copy.deepcopy(LAWFUL["order-placed"]["lines"])
_LINES[1]["line_id"] = _LINES[0]["line_id"]

#: Rules that can be broken by a JSON value; docs/producing.md lists them in this order.
UNSAID = (
    Unsaid("the record's key is studio_id", _key_differs, "order-cancelled", {"studio_id": "s2"}),
    Unsaid("line_id is unique in its order", _line_twice, "order-placed", {"lines": _LINES}),
    Unsaid(
        "an integer is written without fraction and exponent",
        _written_as_float,
        "order-placed",
        {"version": 1.0},
    ),
    Unsaid(
        "an instant exists in the calendar",
        _not_in_calendar,
        "order-placed",
        {"placed_at": "2025-02-29T12:00:00Z"},
    ),
    Unsaid(
        "an instant lies in the years 2000 to 2199 in UTC",
        _out_of_years,
        "order-placed",
        {"placed_at": "2200-01-01T00:00:00Z"},
    ),
    Unsaid(
        "occurred_at is at most 24 h after the record's timestamp",
        _ahead,
        "order-cancelled",
        {"occurred_at": "2026-01-03T12:00:01Z"},
    ),
)

#: Rules about records and histories, which no single JSON value can break.
BEYOND_VALUES = (
    "the value has at most 1,048,576 bytes",
    "the value is JSON in UTF-8, without byte-order mark, NaN and lone surrogates",
    "the record is in the partition of its key",
    "an order has transfers of at most 1,000 packages",
    "an event_id is unique",
)
