"""What is kept of events: merging (contract §3) and forgetting (contract §7), one partition."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from .events import (
    AssetDeleted,
    BalanceChanged,
    Event,
    LabTransfer,
    OrderCancelled,
    OrderPlaced,
)
from .records import RejectedError

MAX_PACKAGE_SCOPES = 1000

# Merging. Each function takes two facts about the same thing and returns the one that is kept.


def keep_order(old: OrderPlaced | None, new: OrderPlaced) -> OrderPlaced:
    """Highest version, then later occurred_at, then greater event_id."""

    def rank(event: OrderPlaced) -> tuple[int, datetime, str]:
        return event.version, event.occurred_at, event.event_id

    return new if old is None or rank(new) > rank(old) else old


def keep_cancelled(old: OrderCancelled | None, new: OrderCancelled) -> OrderCancelled:
    """Latest occurred_at, then cancelled beats reinstated, then greater event_id."""

    def rank(event: OrderCancelled) -> tuple[datetime, bool, str]:
        return event.occurred_at, event.cancelled, event.event_id

    return new if old is None or rank(new) > rank(old) else old


def keep_mark(old: AssetDeleted | None, new: AssetDeleted) -> AssetDeleted:
    """Latest occurred_at, then deleted beats restored, then greater event_id."""

    def rank(event: AssetDeleted) -> tuple[datetime, bool, str]:
        return event.occurred_at, event.deleted, event.event_id

    return new if old is None or rank(new) > rank(old) else old


def keep_transfer(old: LabTransfer | None, new: LabTransfer) -> LabTransfer:
    """Keep the earliest success, or without one the highest attempt with its ties."""
    if old is None:
        return new
    successes = [event for event in (old, new) if event.status == "succeeded"]
    if successes:
        return min(successes, key=lambda event: (event.occurred_at, event.event_id))

    def rank(event: LabTransfer) -> tuple[int, bool, bool, datetime, str]:
        failed = event.status == "failed"
        return event.attempt, failed, not event.will_retry, event.occurred_at, event.event_id

    return new if rank(new) > rank(old) else old


def keep_balance(old: BalanceChanged | None, new: BalanceChanged) -> BalanceChanged:
    """Highest version, then later occurred_at, then greater event_id."""

    def rank(event: BalanceChanged) -> tuple[int, datetime, str]:
        return event.version, event.occurred_at, event.event_id

    return new if old is None or rank(new) > rank(old) else old


# The facts kept.


@dataclass
class Memory:
    """What was emitted for an order: all that depends on arrival (contract §5)."""

    sequence: int = 0
    episode: int = 0
    halted_since: datetime | None = None
    since: dict[str, datetime] = field(default_factory=dict)
    compared: object = None
    """What of the last record is compared with the next; None while not halted."""


@dataclass
class Order:
    """All facts about one order_id, whether or not it has been placed."""

    touched: int
    placed: OrderPlaced | None = None
    cancelled: OrderCancelled | None = None
    transfers: dict[str | None, LabTransfer] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    memory: Memory = field(default_factory=Memory)


@dataclass
class Mark:
    """The mark of one asset: gone or restored."""

    touched: int
    kept: AssetDeleted


Asset = tuple[str, str]
"""(type, id)"""


@dataclass
class Studio:
    """All facts about one studio."""

    orders: dict[str, Order] = field(default_factory=dict)
    marks: dict[Asset, Mark] = field(default_factory=dict)
    balances: dict[str, BalanceChanged] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    """order_id of each order that was forgotten after it had emitted: partition time of that"""


class Expired(NamedTuple):
    """An order forgotten after it had emitted; sorts as tombstones do."""

    touched: int
    studio_id: str
    order_id: str


@dataclass
class Facts:
    """The facts of one partition, and its partition time in ms."""

    partition_time: int | None = None
    studios: dict[str, Studio] = field(default_factory=dict)

    def merge(self, event: Event, timestamp: int) -> Studio:
        """Merge an event; raises RejectedError `too_many_scopes` and then has changed nothing."""
        studio = self.studios.setdefault(event.studio_id, Studio())
        if isinstance(event, LabTransfer):
            _check_scopes(studio, event)
        if isinstance(event, OrderPlaced):
            self.partition_time = _later(self.partition_time, timestamp)
        now = _later(self.partition_time, timestamp)
        if isinstance(event, AssetDeleted):
            _merge_asset(studio, event, now)
        else:
            for order_id in _orders_named(event):
                if order_id not in studio.forgotten:
                    order = studio.orders.setdefault(order_id, Order(touched=now))
                    order.touched = max(order.touched, now)
                    _merge_order(order, event)
        if isinstance(event, BalanceChanged):
            currency = event.balance.currency
            studio.balances[currency] = keep_balance(studio.balances.get(currency), event)
        return studio


def _later(partition_time: int | None, timestamp: int) -> int:
    """Return the later of both; before the first order-placed there is only the timestamp."""
    return timestamp if partition_time is None else max(partition_time, timestamp)


def _check_scopes(studio: Studio, event: LabTransfer) -> None:
    order = studio.orders.get(event.order_id)
    if order is None or event.package_id is None or event.package_id in order.transfers:
        return
    if len([scope for scope in order.transfers if scope is not None]) >= MAX_PACKAGE_SCOPES:
        message = f"package_id: the order has {MAX_PACKAGE_SCOPES} package scopes already"
        raise RejectedError("too_many_scopes", message)


def _orders_named(event: Event) -> tuple[str, ...]:
    """List the ids of the orders that an event names (contract §7: settlements included)."""
    if isinstance(event, BalanceChanged):
        return event.settled_order_ids or ()
    assert isinstance(event, OrderPlaced | OrderCancelled | LabTransfer)
    return (event.order_id,)


def _merge_order(order: Order, event: Event) -> None:
    match event:
        case OrderPlaced():
            order.placed = keep_order(order.placed, event)
        case OrderCancelled():
            order.cancelled = keep_cancelled(order.cancelled, event)
        case LabTransfer():
            scope = event.package_id
            order.transfers[scope] = keep_transfer(order.transfers.get(scope), event)
        case BalanceChanged():
            order.settled.add(event.balance.currency)


def _merge_asset(studio: Studio, event: AssetDeleted, now: int) -> None:
    for asset_id in event.asset_ids:
        asset = event.asset_type, asset_id
        mark = studio.marks.setdefault(asset, Mark(now, event))
        mark.touched = max(mark.touched, now)
        mark.kept = keep_mark(mark.kept, event)


def placed_orders(studio: Studio) -> Iterator[tuple[str, Order, OrderPlaced]]:
    """Iterate over the placed orders of a studio, with their order-placed as kept."""
    for order_id, order in studio.orders.items():
        if order.placed is not None:
            yield order_id, order, order.placed
