"""Event logs over a small alphabet, so that ties, overlaps and early facts are common.

One description of an event serves both generators: whatever it chooses, it asks `pick`, which is
`random.Random(seed).choice` or a draw from hypothesis.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st

from tests.model import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    Record,
    partition_of,
)

T = TypeVar("T")

BASE_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where every log's clock starts."""
SECOND_MS = 1000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

STUDIOS = ("s1", "ß/2", "s1/x")
# Percent-encoding and code point order are both put to the test: U+FB01 sorts before U+10348 by
# code point and after it by UTF-16 unit. "x" is also the id of a product, a photo and a package.
ORDERS = ("o/1", "x", "\ufb01", "\U00010348", "o 1")
LINES = ("l1", "l2", "L3")
PRODUCTS = ("x", "p2")
PHOTOS = ("x", "f2", "f3")
PACKAGES = ("x", "k2")
CURRENCIES = ("EUR", "EUR", "EUR", "USD")
AMOUNTS = (100, 200, 300, 0)
BALANCES = (0, 100, 200, 350, 600, -100)
LIMITS = (0, 100, None)
# A few instants, each written in several ways: ties are common and none may be seen in the text.
INSTANTS = (
    "2026-01-01T01:00:00Z",
    "2026-01-01T02:00:00+01:00",
    "2025-12-31T23:30:00.0000009-01:30",
    "2026-01-01T01:00:00.000001Z",
    "2026-01-01t01:00:00.0000019z",
    "2026-01-01T02:00:00-00:00",
    "2026-01-01T02:00:00.000Z",
    "2026-01-01T03:00:00Z",
)
RESTORABLE = (None, "2026-02-01T00:00:00Z", "2026-01-15T12:00:00.5+03:00")
ERRORS: tuple[dict[str, str] | None, ...] = (
    None,
    {"code": "e1", "message": ""},
    {"code": "e2", "message": "paper\njam " + "x" * 500},
)
EVENT_ID_STARTS = ("m", "a", "Z", "\ufb01", "\U00010348")
KINDS = (
    *(ORDER_PLACED,) * 6,
    *(LAB_TRANSFER,) * 6,
    *(ASSET_DELETED,) * 4,
    *(BALANCE_CHANGED,) * 4,
    *(ASSET_RESTORED,) * 2,
    *(ORDER_CANCELLED,) * 2,
    ORDER_REINSTATED,
)
NO_JUMPS = (SECOND_MS,)
JUMPS = (
    *(SECOND_MS,) * 12,
    *(DAY_MS, 4 * DAY_MS, 7 * DAY_MS),
    *(8 * DAY_MS, 90 * DAY_MS, 400 * DAY_MS),
)
NO_LEADS = (0, 0, 0, -HOUR_MS, HOUR_MS)
LEADS = (*NO_LEADS, -10 * DAY_MS, 3 * DAY_MS, 10 * DAY_MS)
REPEAT = "repeat"


class Pick(Protocol):
    """Chooses one of some options; the first is the simplest."""

    def __call__(self, options: Sequence[T], /) -> T:
        """Choose one."""


@dataclass(frozen=True)
class Shape:
    """How large and how wild a log is."""

    studios: int = 2
    orders: int = 3
    jumps: bool = True
    repeats: bool = True


@dataclass(frozen=True)
class Draft:
    """An event that has no event_id, clock and offset yet, or a repetition of an earlier one."""

    topic: str
    fields: dict[str, Any]
    event_id_start: str
    advance_ms: int
    """How far the clock goes on before this record."""
    lead_ms: int
    """How far this record's timestamp is ahead of the clock."""
    repeat_back: int = 0


# One event


def draft(pick: Pick, shape: Shape) -> Draft:
    """Choose one event, or the repetition of one."""
    kinds = (*KINDS, REPEAT, REPEAT) if shape.repeats else KINDS
    topic = pick(kinds)
    advance_ms = pick(JUMPS if shape.jumps and topic in (ORDER_PLACED, REPEAT) else NO_JUMPS)
    lead_ms = pick(LEADS if shape.jumps and topic != ORDER_PLACED else NO_LEADS)
    if topic == REPEAT:
        return Draft(REPEAT, {}, "", advance_ms, lead_ms, repeat_back=pick(range(12)))
    fields = {
        "studio_id": pick(STUDIOS[: shape.studios]),
        "occurred_at": pick(INSTANTS),
        **FIELDS[topic](pick, ORDERS[: shape.orders]),
    }
    return Draft(topic, fields, pick(EVENT_ID_STARTS), advance_ms, lead_ms)


def several(pick: Pick, options: Sequence[T], fewest: int, most: int) -> list[T]:
    """Choose some; the same may come twice."""
    return [pick(options) for _ in range(pick(range(fewest, most + 1)))]


def without_nulls(pick: Pick, fields: dict[str, Any], *optional: str) -> dict[str, Any]:
    """Leave out optional fields that are null, or leave them null: it means the same."""
    leave = pick((True, False))
    return {n: v for n, v in fields.items() if not (leave and v is None and n in optional)}


def money(pick: Pick, amounts: Sequence[int]) -> dict[str, Any]:
    """Choose an amount and its currency."""
    return {"amount_minor": pick(amounts), "currency": pick(CURRENCIES)}


def order_line(pick: Pick, line_id: str) -> dict[str, Any]:
    """Choose a line."""
    line = {
        "line_id": line_id,
        "product_id": pick(PRODUCTS),
        "photo_ids": several(pick, PHOTOS, 0, 2),
        "package_id": pick((*PACKAGES, None)),
    }
    return without_nulls(pick, line, "package_id")


def order_placed(pick: Pick, orders: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of an order-placed."""
    count = pick((1, 2, 2, 3))
    line_ids = LINES[:count] if pick((True, False)) else tuple(reversed(LINES[:count]))
    fields = {
        "order_id": pick(orders),
        "version": pick((1, 1, 2, 3, None)),
        "placed_at": pick(INSTANTS),
        "lines": [order_line(pick, line_id) for line_id in line_ids],
        "production_cost": money(pick, AMOUNTS),
        "paid": pick((False, True)),
    }
    return without_nulls(pick, fields, "version")


def order_named(pick: Pick, orders: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of an order-cancelled or order-reinstated."""
    return {"order_id": pick(orders)}


def assets(pick: Pick) -> dict[str, Any]:
    """Choose the assets that an event names."""
    asset_type, ids = pick((("product", PRODUCTS), ("photo", PHOTOS), ("package", PACKAGES)))
    return {"asset_type": asset_type, "asset_ids": several(pick, ids, 1, 2)}


def asset_deleted(pick: Pick, _: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of an asset-deleted."""
    fields = {
        **assets(pick),
        "deleted_by": pick((None, "u1")),
        "restorable_until": pick(RESTORABLE),
    }
    return without_nulls(pick, fields, "deleted_by", "restorable_until")


def asset_restored(pick: Pick, _: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of an asset-restored."""
    return assets(pick)


def lab_transfer(pick: Pick, orders: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of a lab-transfer."""
    status = pick(("started", "failed", "failed", "succeeded"))
    fields = {
        "order_id": pick(orders),
        "transfer_id": pick(("t1", "t2")),
        "package_id": pick((None, *PACKAGES)),
        "attempt": pick((1, 2, 3)),
        "status": status,
        "will_retry": pick((None, False, True)) if status == "failed" else pick((None, False)),
        "lab_id": pick((None, "lab1")),
        "error": pick(ERRORS),
    }
    return without_nulls(pick, fields, "will_retry", "lab_id", "error")


def balance_changed(pick: Pick, orders: Sequence[str]) -> dict[str, Any]:
    """Choose the fields of a balance-changed."""
    fields = {
        "balance": money(pick, BALANCES),
        "credit_limit_minor": pick(LIMITS),
        "version": pick((1, 2, 3)),
        "settled_order_ids": several(pick, orders, 0, 2) if pick((False, True)) else None,
    }
    return without_nulls(pick, fields, "settled_order_ids")


FIELDS = {
    ORDER_PLACED: order_placed,
    ORDER_CANCELLED: order_named,
    ORDER_REINSTATED: order_named,
    ASSET_DELETED: asset_deleted,
    ASSET_RESTORED: asset_restored,
    LAB_TRANSFER: lab_transfer,
    BALANCE_CHANGED: balance_changed,
}

# Whole logs


def assemble(drafts: Sequence[Draft], partitions: int = 1, prefix: str = "") -> list[Record]:
    """Give drafts their clock, event_ids (unique) and partitions; offsets are dense."""
    records: list[Record] = []
    clock_ms = BASE_MS
    for item in drafts:
        clock_ms += item.advance_ms
        timestamp = max(clock_ms + item.lead_ms, BASE_MS)
        if item.topic == REPEAT:
            if records:
                again = records[-1 - item.repeat_back % len(records)]
                records.append(again._replace(timestamp=timestamp))
            continue
        value = {"event_id": f"{item.event_id_start}{len(records)}", **item.fields}
        key = item.fields["studio_id"].encode()
        partition = partition_of(key, partitions)
        body = json.dumps(value, ensure_ascii=len(records) % 2 == 0).encode()
        records.append(Record(prefix + item.topic, partition, 0, timestamp, key, body))
    return with_dense_offsets(records)


def with_dense_offsets(log: Sequence[Record]) -> list[Record]:
    """Give the records of every topic and partition offsets from 0, as they stand."""
    following: dict[tuple[str, int], int] = {}
    numbered = []
    for record in log:
        place = record.topic, record.partition
        numbered.append(record._replace(offset=following.get(place, 0)))
        following[place] = following.get(place, 0) + 1
    return numbered


def random_log(
    seed: int,
    events: int = 40,
    shape: Shape = Shape(),
    partitions: int = 1,
    prefix: str = "",
) -> list[Record]:
    """Make the log of a seed, the same every time."""
    pick = random.Random(seed).choice
    drafts = [draft(pick, shape) for _ in range(events)]
    return assemble(drafts, partitions, prefix)


def shuffled_and_duplicated(log: Sequence[Record], seed: int) -> list[Record]:
    """Deliver the same events in any order, some of them two or three times."""
    rng = random.Random(seed)
    again = [record for record in log for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    delivered = [*log, *again]
    rng.shuffle(delivered)
    return with_dense_offsets(delivered)


@st.composite
def drafts(draw: st.DrawFn, shape: Shape) -> Draft:
    """Strategy of one event; it shrinks to the first option of everything."""

    def pick(options: Sequence[T], /) -> T:
        return draw(st.sampled_from(options))

    return draft(pick, shape)


def logs(
    max_events: int = 25,
    shape: Shape = Shape(),
    partitions: int = 1,
    prefix: str = "",
) -> st.SearchStrategy[list[Record]]:
    """Strategy of whole logs; it shrinks by leaving events out."""
    some = st.lists(drafts(shape), min_size=1, max_size=max_events)
    return some.map(lambda chosen: assemble(chosen, partitions, prefix))
