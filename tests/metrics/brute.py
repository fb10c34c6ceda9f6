"""What metrics must say, by looking through everything that the model of the contract knows.

The exporter only ever adds differences; this only ever counts what there is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.model import Model, Record
from tests.model.events import (
    BalanceChanged,
    Event,
    LabTransfer,
    OrderCancelled,
    OrderPlaced,
)
from tests.model.facts import Facts, Order, Studio, placed_orders
from tests.model.judgement import is_in_flight, is_settled, judge

Place = tuple[str, str]


class CountingModel(Model):
    """The model, which also counts what came of every record."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.events: Counter[tuple[str, str]] = Counter()
        """(topic, outcome)"""
        self.rejected: Counter[tuple[str, str]] = Counter()
        self.effectless: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.delays_ms: list[float] = []
        self._before: dict[str, Any] = {}
        self._is_news = False

    def take(self, record: Record, committed_ms: float) -> None:
        """Feed one record that was committed at that time."""
        key = (record.key or b"").decode()
        self._before = {name: _snapshot(x) for name, x in _studios(self) if name == key}
        outcome = self.feed(record)
        if outcome.rejected is not None:
            self.events[record.topic, "rejected"] += 1
            self.rejected[record.topic, outcome.rejected] += 1
            return
        self.events[record.topic, "applied" if self._is_news else "stale"] += 1
        for emitted in outcome.emitted:
            self.changes[emitted.value["change"] if emitted.value else "forgotten"] += 1
            if emitted.value and emitted.value["change"] == "opened":
                self.opened[emitted.value["primary_reason"]] += 1
                self.delays_ms.append(max(0.0, committed_ms - record.timestamp))
            if emitted.value and emitted.value["change"] == "ended":
                self.ended[emitted.value["status"]] += 1

    def _in_question(self, facts: Facts, studio: Studio, event: Event) -> Studio:
        """Look at the facts, after the merge and before anything is forgotten."""
        before = self._before.get(event.studio_id, _snapshot(Studio()))
        self._is_news = _snapshot(studio) != before
        self._count_effectless(before, studio, event)
        return super()._in_question(facts, studio, event)

    def _count_effectless(self, before: dict[str, Any], studio: Studio, event: Event) -> None:
        def is_unplaced(order_id: str) -> bool:
            order = studio.orders.get(order_id)
            return order is not None and order.placed is None

        match event:
            case LabTransfer():
                order = studio.orders.get(event.order_id)
                scopes = before["orders"].get(event.order_id, ((), (), {}))[2]
                if order is None or event.package_id in scopes:
                    return
                if order.placed is None:
                    self.effectless["transfer_unknown_order"] += 1
                elif event.package_id is not None and event.package_id not in [
                    line.package_id for line in order.placed.lines
                ]:
                    self.effectless["transfer_unknown_package"] += 1
            case OrderCancelled():
                kind = "cancellation" if event.cancelled else "reinstatement"
                self.effectless[f"{kind}_unknown_order"] += is_unplaced(event.order_id)
            case BalanceChanged():
                ids = event.settled_order_ids or ()
                self.effectless["settlement_unknown_order"] += sum(map(is_unplaced, ids))

    # ---- what there is

    def state(self, now: float, overdue_age_seconds: float) -> dict[tuple[str, str], float]:
        """Count what there is: (metric without prefix, its label's value or nothing) → value."""
        found: Counter[tuple[str, str]] = Counter()
        since: list[datetime] = []
        balances: list[datetime] = []
        for studio in [studio for _, studio in _studios(self)]:
            balances += _deciding_balances(studio)
            found["table_rows", "orders"] += len(studio.orders) + len(studio.forgotten)
            found["table_rows", "balances"] += len(studio.balances)
            for kind, _ in studio.marks:
                found["table_rows", f"{kind}s"] += 1
            judged = judge(studio)
            for order_id, order, placed in placed_orders(studio):
                if not is_in_flight(order, placed):
                    continue
                found["orders_in_flight", ""] += 1
                found["orders_without_balance", ""] += _is_unchecked(studio, order, placed)
                codes = [cause.code for cause in judged[order_id]]
                if not codes:
                    age = now - placed.placed_at.timestamp()
                    found["orders_overdue", ""] += age > overdue_age_seconds
                    continue
                cost = placed.production_cost
                found["orders_halted_primary", codes[0]] += 1
                found["halted_value_minor", cost.currency] += cost.amount_minor
                for code in codes:
                    found["orders_halted_any", code] += 1
                assert order.memory.halted_since is not None
                since.append(order.memory.halted_since)
        ages = {"oldest_halt_age_seconds": since, "balance_age_seconds": balances}
        oldest = {(name, ""): now - min(x).timestamp() for name, x in ages.items() if x}
        return dict(found) | oldest


def _studios(model: Model) -> Iterator[tuple[str, Studio]]:
    for facts in model._facts.values():
        yield from facts.studios.items()


def _snapshot(studio: Studio) -> dict[str, Any]:
    return {
        "orders": {
            order_id: (order.placed, order.cancelled, dict(order.transfers), set(order.settled))
            for order_id, order in studio.orders.items()
        },
        "marks": {asset: mark.kept for asset, mark in studio.marks.items()},
        "balances": dict(studio.balances),
    }


def _waits_for_money(studio: Studio, order: Order, placed: OrderPlaced) -> bool:
    """Say whether the order takes part in the credit check, where there is one."""
    currency = placed.production_cost.currency
    return (
        is_in_flight(order, placed)
        and placed.production_cost.amount_minor > 0
        and not is_settled(order, placed, studio.balances.get(currency))
    )


def _is_unchecked(studio: Studio, order: Order, placed: OrderPlaced) -> bool:
    known = placed.production_cost.currency in studio.balances
    return not known and _waits_for_money(studio, order, placed)


def _deciding_balances(studio: Studio) -> list[datetime]:
    waiting = {
        placed.production_cost.currency
        for _, order, placed in placed_orders(studio)
        if _waits_for_money(studio, order, placed)
    }
    return [
        balance.occurred_at
        for currency, balance in studio.balances.items()
        if currency in waiting and balance.credit_limit_minor is not None
    ]
