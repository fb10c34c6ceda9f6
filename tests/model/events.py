"""The decoded input events (contract §2), as plain values. Instants are aware UTC datetimes."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class Money(NamedTuple):
    """An amount in the minor unit of its currency."""

    amount_minor: int
    currency: str


class Line(NamedTuple):
    """A line of an order."""

    line_id: str
    product_id: str
    photo_ids: tuple[str, ...]
    package_id: str | None


class TransferError(NamedTuple):
    """What a lab said; `message` is free text already cut and cleaned."""

    code: str
    message: str


@dataclass(frozen=True)
class Event:
    """What every event has."""

    event_id: str
    occurred_at: datetime
    studio_id: str


@dataclass(frozen=True)
class OrderPlaced(Event):
    """`order-placed`."""

    order_id: str
    version: int
    placed_at: datetime
    lines: tuple[Line, ...]
    production_cost: Money
    paid: bool


@dataclass(frozen=True)
class OrderCancelled(Event):
    """`order-cancelled`, or with `cancelled` False `order-reinstated`."""

    order_id: str
    cancelled: bool


@dataclass(frozen=True)
class AssetDeleted(Event):
    """`asset-deleted`, or with `deleted` False `asset-restored`."""

    asset_type: str
    asset_ids: tuple[str, ...]
    deleted: bool
    deleted_by: str | None = None
    restorable_until: datetime | None = None


@dataclass(frozen=True)
class LabTransfer(Event):
    """`lab-transfer`; its scope is `package_id`, None for the whole order."""

    order_id: str
    transfer_id: str
    package_id: str | None
    attempt: int
    status: str
    will_retry: bool
    lab_id: str | None
    error: TransferError | None


@dataclass(frozen=True)
class BalanceChanged(Event):
    """`balance-changed`; `settled_order_ids` None means that the field is absent."""

    balance: Money
    credit_limit_minor: int | None
    version: int
    settled_order_ids: tuple[str, ...] | None
