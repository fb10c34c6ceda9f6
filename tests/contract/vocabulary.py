"""Events in a few words, and what the tables of rules share.

`at` is an hour of 2026-01-01.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.engine import Engine
from tests.model import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    Model,
    Outcome,
    Record,
)

DAY_MS = 86_400_000
DAY_0_MS = 1_767_312_000_000
"""2026-01-02T00:00:00Z: hours of events are those of the day before."""
DEAR_PHOTO = "\ufb01"
ASTRAL = "\U00010348"

Event = tuple[str, dict[str, Any]]

Subject = Model | Engine
"""What is asked: the model or the engine."""
MakeSubject = Callable[..., Subject]
Codes = dict[str, list[str] | None]
"""Order id → codes of the active reasons by precedence; None where the order is closed."""


def hour(at: int) -> str:
    return f"2026-01-01T{at:02}:00:00.000000Z"


def line(line_id: str, product: str = "p1", photos: str = "", package: str | None = None) -> Any:
    fields = {"line_id": line_id, "product_id": product, "photo_ids": photos.split()}
    return fields if package is None else {**fields, "package_id": package}


def placed(
    order: str = "o1",
    *lines: Any,
    at: int = 0,
    placed_at: int = 0,
    version: int | None = 1,
    cost: int = 0,
    currency: str = "EUR",
    paid: bool = False,
    **more: Any,
) -> Event:
    fields: dict[str, Any] = {
        "order_id": order,
        "version": version,
        "placed_at": hour(placed_at),
        "paid": paid,
    }
    fields["lines"] = list(lines) or [line("l1")]
    fields["production_cost"] = {"amount_minor": cost, "currency": currency}
    return ORDER_PLACED, {**fields, "occurred_at": hour(at), **more}


def cancelled(order: str = "o1", at: int = 1, **more: Any) -> Event:
    return ORDER_CANCELLED, {"order_id": order, "occurred_at": hour(at), **more}


def reinstated(order: str = "o1", at: int = 1, **more: Any) -> Event:
    return ORDER_REINSTATED, {"order_id": order, "occurred_at": hour(at), **more}


def deleted(kind: str, ids: str, at: int = 1, **more: Any) -> Event:
    fields = {"asset_type": kind, "asset_ids": ids.split(), "occurred_at": hour(at)}
    return ASSET_DELETED, {**fields, **more}


def restored(kind: str, ids: str, at: int = 1, **more: Any) -> Event:
    fields = {"asset_type": kind, "asset_ids": ids.split(), "occurred_at": hour(at)}
    return ASSET_RESTORED, {**fields, **more}


def transfer(
    status: str,
    order: str = "o1",
    package: str | None = None,
    attempt: int = 1,
    at: int = 1,
    **more: Any,
) -> Event:
    fields = {"order_id": order, "transfer_id": "t1", "package_id": package, "status": status}
    return LAB_TRANSFER, {**fields, "attempt": attempt, "occurred_at": hour(at), **more}


def balance(
    amount: int,
    limit: int | None = 0,
    at: int = 1,
    version: int = 1,
    settled: str | None = None,
    currency: str = "EUR",
    **more: Any,
) -> Event:
    fields: dict[str, Any] = {"balance": {"amount_minor": amount, "currency": currency}}
    fields |= {"credit_limit_minor": limit, "version": version, "occurred_at": hour(at)}
    if settled is not None:
        fields["settled_order_ids"] = settled.split()
    return BALANCE_CHANGED, {**fields, **more}


def record(event: Event, number: int, day: float = 0.0, prefix: str = "") -> Record:
    """Put an event into a record; its event_id is `e` and its number unless it has one."""
    topic, fields = event
    value = {"event_id": f"e{number}", "studio_id": "s1", **fields}
    timestamp = DAY_0_MS + round(day * DAY_MS)
    key = value["studio_id"].encode()
    return Record(prefix + topic, 0, number, timestamp, key, json.dumps(value).encode())


def feed_all(records: Sequence[Record], subject: Subject) -> list[Outcome]:
    """Feed lawful records."""
    outcomes = [subject.feed(item) for item in records]
    assert [o for o in outcomes if o.rejected] == []
    return outcomes


def numbered(events: Sequence[Event]) -> list[Record]:
    """Put events into records, in their order."""
    return [record(event, number) for number, event in enumerate(events)]


def rows(names: str, table: Sequence[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize by a table whose first column is the case's name."""
    values = [row[1] if len(row) == 2 else row[1:] for row in table]
    return pytest.mark.parametrize(names, values, ids=[row[0] for row in table])


# What many rows are about

P, F, K = "product_missing", "photos_missing", "package_missing"
C, T = "credit_limit_reached", "transfer_failed"
TWO = (line("l1", "p1", "f1", "k1"), line("l2", "p2", "f2", "k2"))
ONE = (line("l1", "p1", "f1 f2", "k1"),)
