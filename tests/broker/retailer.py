"""What the retail data does not have, drawn from a seed: how orders fare after they are placed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from random import Random
from typing import Any, Final

from tests.model import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    Record,
)

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_CURRENCY: Final = "GBP"
_RECENT_ORDERS: Final = 8


@dataclass
class _Order:
    order_id: str
    placed_us: int
    lines: list[dict[str, Any]]
    cost_minor: int
    paid: bool
    version: int = 1
    attempt: int = 0
    ended: bool = False

    @property
    def scopes(self) -> list[str | None]:
        """The packages, or the whole order where a line is in none."""
        packages = sorted({line["package_id"] or "" for line in self.lines})
        return [None] if "" in packages else list(packages)


@dataclass
class _Studio:
    style: str
    """How its balances say what they contain: `none`, `unlimited`, `dated` or `listed`."""
    orders: list[_Order] = field(default_factory=list)
    unsettled: list[_Order] = field(default_factory=list)
    balance_version: int = 0


class Retailer:
    """Follows the invoices through time and writes every event that comes of them."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(f"retail {seed}")
        self._now_us = 0
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._sent: list[tuple[int, int, Record]] = []
        self._studios: dict[str, _Studio] = {}
        self._by_product: defaultdict[tuple[str, str], list[_Order]] = defaultdict(list)

    # -- time

    def advance(self, until_us: int) -> None:
        """Let happen what is due."""
        while self._agenda and self._agenda[0][0] <= until_us:
            self._now_us, _, action = heappop(self._agenda)
            action()
        self._now_us = max(self._now_us, until_us)

    def finish(self) -> list[Record]:
        """Let everything happen; return all records by the time at which they are sent."""
        self.advance(1 << 62)
        return [record for _, _, record in sorted(self._sent, key=lambda item: item[:2])]

    def _later(self, least_us: int, most_us: int, action: Callable[[], None]) -> None:
        when_us = self._now_us + self._chance.randint(least_us, most_us)
        heappush(self._agenda, (when_us, self._chance.getrandbits(62), action))

    def _send(self, topic: str, studio: str, **fields: Any) -> None:
        chance = self._chance
        event = {
            "event_id": f"{chance.getrandbits(96):024x}",
            "occurred_at": instant(self._now_us),
            "studio_id": studio,
            **fields,
        }
        value = json.dumps(event, ensure_ascii=False).encode()
        sent_us, drawn = self._now_us, chance.random()
        if drawn < 0.02:
            sent_us += chance.randint(1, 2 * DAY_US)
        elif drawn < 0.03:
            sent_us -= chance.randint(1, 12 * HOUR_US)
        copies = [sent_us]
        if chance.random() < 0.015:
            copies.append(sent_us + chance.randint(0, DAY_US))
        for at_us in copies:
            record = Record(topic, 0, 0, at_us // 1000, studio.encode(), value)
            self._sent.append((at_us, len(self._sent), record))

    # -- orders

    def place(self, studio_id: str, number: str, lines: Sequence[tuple[str, int, int]]) -> None:
        """Place the order of an invoice, and plan what becomes of it."""
        chance = self._chance
        studio = self._studio(studio_id)
        packed = chance.random() < 0.4
        written = [
            {
                "line_id": str(index),
                "product_id": product,
                "photo_ids": [f"{product}/{n}" for n in range(min(3, abs(quantity)))],
                "package_id": f"kit-{product[:1]}" if packed else None,
            }
            for index, (product, quantity, _) in enumerate(lines, 1)
        ]
        cost_minor = max(0, sum(quantity * price for _, quantity, price in lines))
        order = _Order(number, self._now_us, written, cost_minor, chance.random() < 0.7)
        studio.orders = [*studio.orders[1 - _RECENT_ORDERS :], order]
        studio.unsettled.append(order)
        for product in {product for product, _, _ in lines}:
            self._by_product[studio_id, product].append(order)
        self._write_order(studio_id, order)
        drawn = chance.random()
        if drawn < 0.10:
            self._later(0, 2 * DAY_US, lambda: self._delete(studio_id))
        elif drawn < 0.14:
            self._later(0, 2 * DAY_US, lambda: self._amend(studio_id, order))
        elif drawn < 0.16:
            self._later(HOUR_US, 5 * DAY_US, lambda: self._delete_everything(studio_id))
        for scope in order.scopes:
            self._try_later(studio_id, order, scope, HOUR_US, 2 * DAY_US)

    def cancel(self, studio_id: str, products: set[str]) -> None:
        """Cancel the latest earlier order of the studio with one of the products, if it has one."""
        found = [o for p in sorted(products) for o in self._by_product[studio_id, p][-1:]]
        if not found:
            return
        order = max(found, key=lambda order: order.placed_us)
        order.ended = True
        self._send(ORDER_CANCELLED, studio_id, order_id=order.order_id)
        if self._chance.random() < 0.1:
            self._later(1, 2 * DAY_US, lambda: self._reinstate(studio_id, order))

    def _reinstate(self, studio_id: str, order: _Order) -> None:
        order.ended = False
        self._send(ORDER_REINSTATED, studio_id, order_id=order.order_id)
        for scope in order.scopes:
            self._try_later(studio_id, order, scope, 1, DAY_US)

    def _amend(self, studio_id: str, order: _Order) -> None:
        if order.ended:
            return
        order.version += 1
        order.cost_minor = int(order.cost_minor * self._chance.uniform(0.5, 1.5))
        order.paid = order.paid or self._chance.random() < 0.5
        if len(order.lines) > 1 and self._chance.random() < 0.5:
            order.lines = order.lines[1:]
        self._write_order(studio_id, order)

    def _write_order(self, studio_id: str, order: _Order) -> None:
        self._send(
            ORDER_PLACED,
            studio_id,
            order_id=order.order_id,
            version=order.version,
            placed_at=instant(order.placed_us),
            lines=order.lines,
            production_cost={"amount_minor": order.cost_minor, "currency": _CURRENCY},
            paid=order.paid,
        )

    # -- transfers

    def _try_later(
        self, studio_id: str, order: _Order, scope: str | None, least_us: int, most_us: int
    ) -> None:
        self._later(least_us, most_us, lambda: self._try(studio_id, order, scope))

    def _try(self, studio_id: str, order: _Order, scope: str | None) -> None:
        if order.ended:
            return
        order.attempt += 1
        self._transfer(studio_id, order, scope, order.attempt, "started")
        attempt = order.attempt
        self._later(HOUR_US, DAY_US, lambda: self._result(studio_id, order, scope, attempt))

    def _result(self, studio_id: str, order: _Order, scope: str | None, attempt: int) -> None:
        drawn = self._chance.random()
        if drawn < 0.85:
            self._transfer(studio_id, order, scope, attempt, "succeeded")
            return
        will_retry = drawn < 0.92
        error = {"code": f"lab-{int(drawn * 1000) % 7}", "message": "paper\tjam"}
        fields = {"will_retry": will_retry, "error": error}
        self._transfer(studio_id, order, scope, attempt, "failed", **fields)
        if will_retry or self._chance.random() < 0.8:
            self._try_later(studio_id, order, scope, HOUR_US, 2 * DAY_US)

    def _transfer(
        self,
        studio_id: str,
        order: _Order,
        scope: str | None,
        attempt: int,
        status: str,
        **fields: Any,
    ) -> None:
        self._send(
            LAB_TRANSFER,
            studio_id,
            order_id=order.order_id,
            transfer_id=f"{order.order_id}-{attempt}",
            package_id=scope,
            attempt=attempt,
            status=status,
            lab_id="lab-1",
            **fields,
        )

    # -- assets

    def _delete(self, studio_id: str) -> None:
        """Delete one asset, or some photos, of a recent order."""
        order = self._chance.choice(self._studios[studio_id].orders)
        line = self._chance.choice(order.lines)
        kind, ids = self._chance.choice(
            [("product", [line["product_id"]]), ("photo", line["photo_ids"])]
            + ([("package", [line["package_id"]])] if line["package_id"] else [])
        )
        if ids:
            self._delete_and_restore(studio_id, kind, ids)

    def _delete_everything(self, studio_id: str) -> None:
        """Delete all photos of the recent orders at once, as when a job expires."""
        orders = self._studios[studio_id].orders
        photos = {p for order in orders for line in order.lines for p in line["photo_ids"]}
        if photos:
            self._delete_and_restore(studio_id, "photo", sorted(photos))

    def _delete_and_restore(self, studio_id: str, kind: str, ids: list[str]) -> None:
        body: dict[str, Any] = {"asset_type": kind, "asset_ids": ids}
        if self._chance.random() < 0.7:
            body["restorable_until"] = instant(self._now_us + 30 * DAY_US)
        if self._chance.random() < 0.8:
            body["deleted_by"] = f"user-{self._chance.randint(1, 9)}"
        self._send(ASSET_DELETED, studio_id, **body)
        if kind == "product" or self._chance.random() < 0.6:
            some = {"asset_type": kind, "asset_ids": ids[: max(1, len(ids) // 2)]}
            all_of_them = {"asset_type": kind, "asset_ids": ids}
            self._later(HOUR_US, 3 * DAY_US, lambda: self._send(ASSET_RESTORED, studio_id, **some))
            self._later(
                3 * DAY_US, 5 * DAY_US, lambda: self._send(ASSET_RESTORED, studio_id, **all_of_them)
            )

    # -- money

    def _studio(self, studio_id: str) -> _Studio:
        if studio_id not in self._studios:
            [style] = self._chance.choices(
                ("none", "unlimited", "dated", "listed"), (30, 15, 35, 20)
            )
            self._studios[studio_id] = _Studio(style)
            if style != "none":
                self._state(studio_id)
        studio = self._studios[studio_id]
        if len(studio.unsettled) >= 2:
            self._later(HOUR_US, 3 * DAY_US, lambda: self._state(studio_id))
        return studio

    def _state(self, studio_id: str) -> None:
        """Say a balance that pays for the usual order, and for most that wait."""
        studio = self._studios[studio_id]
        if studio.style == "none":
            return
        settled, studio.unsettled = studio.unsettled, []
        studio.balance_version += 1
        fields: dict[str, Any] = {}
        if studio.style == "listed":
            fields["settled_order_ids"] = [order.order_id for order in settled]
        self._send(
            BALANCE_CHANGED,
            studio_id,
            balance={"amount_minor": self._chance.randint(-5_000, 60_000), "currency": _CURRENCY},
            credit_limit_minor=None if studio.style == "unlimited" else 10_000,
            version=studio.balance_version,
            **fields,
        )


def instant(when_us: int) -> str:
    """Write an instant as RFC 3339."""
    return datetime.fromtimestamp(when_us / 1_000_000, UTC).isoformat()
