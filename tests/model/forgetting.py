"""Forgetting by age after each event (contract §7). It never changes a judgement."""

from dataclasses import dataclass

from .facts import Asset, Expired, Facts, Order, Studio, placed_orders
from .judgement import assets_of, closing, cost_counts, is_cancelled, is_in_flight


@dataclass(frozen=True)
class Retention:
    """Ages in ms at which things are forgotten."""

    closed_ms: int
    asset_ms: int
    forgotten_ms: int


def forget(facts: Facts, retention: Retention) -> list[Expired]:
    """Forget what has reached its age; return the orders that need a tombstone, sorted."""
    now = facts.partition_time
    if now is None:
        return []
    expired = []
    for studio_id, studio in facts.studios.items():
        expired += _forget_orders(studio_id, studio, now, retention.closed_ms)
        _forget_marks(studio, now, retention.asset_ms)
        for order_id, since in list(studio.forgotten.items()):
            if now - since >= retention.forgotten_ms:
                del studio.forgotten[order_id]
    return sorted(expired)


def _forget_orders(studio_id: str, studio: Studio, now: int, age_ms: int) -> list[Expired]:
    aged = {i: order for i, order in studio.orders.items() if now - order.touched >= age_ms}
    expired = []
    for order_id, order in aged.items():
        if _may_be_forgotten(studio, order):
            del studio.orders[order_id]
            if order.memory.sequence > 0:
                studio.forgotten[order_id] = now
                expired.append(Expired(order.touched, studio_id, order_id))
    return expired


def _may_be_forgotten(studio: Studio, order: Order) -> bool:
    """Never placed, or closed with a cost that no longer counts."""
    if order.placed is None:
        return True
    closed = is_cancelled(order) or closing(order, order.placed) is not None
    return closed and not cost_counts(studio, order, order.placed)


def _forget_marks(studio: Studio, now: int, age_ms: int) -> None:
    aged = [asset for asset, mark in studio.marks.items() if now - mark.touched >= age_ms]
    if aged:
        referred = _assets_in_flight(studio)
        for asset in aged:
            if asset not in referred:
                del studio.marks[asset]


def _assets_in_flight(studio: Studio) -> set[Asset]:
    """Collect the assets that any line of an order in flight refers to, secured or not."""
    return {
        asset
        for _, order, placed in placed_orders(studio)
        if is_in_flight(order, placed)
        for line in placed.lines
        for asset in assets_of(line)
    }
