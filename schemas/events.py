"""The input events as structs (contract.md §2); `schemas.door` decodes them, and is stricter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.instants import DAY_US

INTEGER_MAX: Final = 2**53 - 1
VALUE_MAX_BYTES: Final = 1 << 20
FREE_TEXT_MAX: Final = 500
#: `occurred_at` may lie so far after the record's timestamp.
AHEAD_MAX_US: Final = DAY_US

Id = Annotated[str, Meta(min_length=1, max_length=256)]
ShortId = Annotated[str, Meta(min_length=1, max_length=128)]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(min_length=3, max_length=3)]
"""Three capital letters; the door checks that they are, since a pattern costs more than the rest."""
Amount = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
SignedAmount = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Count = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]


if TYPE_CHECKING:
    Instant = int
    """Microseconds since the epoch, in UTC."""
else:
    # As it stands on the wire. The door puts the microseconds in its place before anybody sees the
    # event: a decoding hook would cost as much as the rest of the decoding.
    Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class Event(Struct, frozen=True, gc=False):
    """What every event has."""

    event_id: ShortId
    """Unique per event; a redelivery carries the same."""
    occurred_at: Instant
    """When it happened; at most 24 h after the record's timestamp."""
    studio_id: ShortId
    """Equals the record's key."""


class Money(Struct, frozen=True, gc=False):
    """What an order costs to produce: minor units of an ISO 4217 currency, never negative."""

    amount_minor: Amount
    currency: Currency


class SignedMoney(Struct, frozen=True, gc=False):
    """A balance, which may be below zero."""

    amount_minor: SignedAmount
    currency: Currency


class OrderLine(Struct, frozen=True, gc=False):
    """One line of an order and the assets that it refers to."""

    line_id: Id
    product_id: Id
    photo_ids: Annotated[tuple[Id, ...], Meta(max_length=5000)]
    package_id: Id | None = None


class OrderPlaced(Event, frozen=True, gc=False, kw_only=True):
    """An order was placed, or amended: a higher `version` replaces the whole order."""

    order_id: Id
    version: Count | None = None
    """Absent means 1."""
    placed_at: Instant
    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=1000)]
    """Their `line_id`s are unique in the order."""
    production_cost: Money
    paid: bool


class OrderCancelled(Event, frozen=True, gc=False):
    """An order was cancelled."""

    order_id: Id


class OrderReinstated(Event, frozen=True, gc=False):
    """A cancelled order goes on."""

    order_id: Id


AssetKind = Literal["product", "photo", "package"]
AssetIds = Annotated[tuple[Id, ...], Meta(min_length=1, max_length=10_000)]


class AssetDeleted(Event, frozen=True, gc=False):
    """Assets of one type were deleted."""

    asset_type: AssetKind
    asset_ids: AssetIds
    deleted_by: Id | None = None
    restorable_until: Instant | None = None


class AssetRestored(Event, frozen=True, gc=False):
    """Assets of one type are there again."""

    asset_type: AssetKind
    asset_ids: AssetIds


class LabError(Struct, frozen=True, gc=False):
    """What the lab said of a failure; `message` is free text, cut at 500 characters."""

    code: Code
    message: str


class LabTransfer(Event, frozen=True, gc=False):
    """A transfer of an order, or of one of its packages, to a lab started, succeeded or failed."""

    order_id: Id
    transfer_id: Id
    package_id: Id | None
    """The package that it carries; null: the whole order. Never absent."""
    attempt: Count
    status: Literal["started", "succeeded", "failed"]
    will_retry: bool | None = None
    """True only with `failed`; absent means false."""
    lab_id: Id | None = None
    error: LabError | None = None


class BalanceChanged(Event, frozen=True, gc=False):
    """A studio's balance or credit limit in one currency changed."""

    balance: SignedMoney
    credit_limit_minor: Amount | None
    """Null: no limit and no check. Never absent."""
    version: Count
    settled_order_ids: Annotated[tuple[Id, ...], Meta(max_length=10_000)] | None = None
    """Whose cost this balance contains and earlier ones did not; None: every order that was
    secured at or before `occurred_at`."""


AnyEvent = (
    OrderPlaced
    | OrderCancelled
    | OrderReinstated
    | AssetDeleted
    | AssetRestored
    | LabTransfer
    | BalanceChanged
)
