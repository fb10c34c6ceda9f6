"""The input events as structs (contract.md §2); `schemas.door` lets them in, and is stricter.

The line below a field says what it means; JSON Schemas are made from both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.instants import DAY_US

INTEGER_MAX: Final = 2**53 - 1
VALUE_MAX_BYTES: Final = 1 << 20
FREE_TEXT_MAX: Final = 500
#: `occurred_at` may lie so far after the record's timestamp.
AHEAD_MAX_US: Final = DAY_US

# What stands as a pattern here the door checks by other means, since matching costs more than the
# rest: it is for the JSON Schema alone, in the syntax that all regular expressions share.
_NO_CONTROL: Final = {"pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_INSTANT: Final = {
    "format": "date-time",
    "pattern": (
        "^(1999|2[01][0-9]{2}|2200)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]"
        r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
        "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
    ),
}

Id = Annotated[str, Meta(min_length=1, max_length=256, extra_json_schema=_NO_CONTROL)]
ShortId = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=_NO_CONTROL)]
Code = Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema=_NO_CONTROL)]
Currency = Annotated[
    str, Meta(min_length=3, max_length=3, extra_json_schema={"pattern": "^[A-Z]{3}$"})
]
Amount = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
SignedAmount = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Count = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]


if TYPE_CHECKING:
    Instant = int
    """Microseconds since the epoch, in UTC."""
else:
    # As it stands on the wire. The door puts the microseconds in its place before anybody sees the
    # event: a decoding hook would cost as much as the rest of the decoding.
    Instant = Annotated[str, Meta(extra_json_schema=_INSTANT)]


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
    """Unique in the order."""
    product_id: Id
    photo_ids: Annotated[tuple[Id, ...], Meta(max_length=5000)]
    package_id: Id | None = None
    """The product package in which the line is transferred to the lab."""


class OrderPlaced(Event, frozen=True, gc=False, kw_only=True):
    """An order was placed, or amended: a higher `version` replaces the whole order."""

    order_id: Id
    """Unique within its studio."""
    version: Count | None = None
    """Absent means 1; the highest counts."""
    placed_at: Instant
    """When the customer placed it; decides whose turn it is in the credit check."""
    lines: Annotated[tuple[OrderLine, ...], Meta(min_length=1, max_length=1000)]
    """Their `line_id`s are unique in the order."""
    production_cost: Money
    """What the studio is charged for it."""
    paid: bool
    """Whether the customer has paid; decides what the studio can do about a halt."""


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
    """Of a job or an album: all its photos."""
    deleted_by: Id | None = None
    """Opaque; no name and no address."""
    restorable_until: Instant | None = None
    """Until when they can be restored; null: they cannot."""


class AssetRestored(Event, frozen=True, gc=False):
    """Assets of one type are there again."""

    asset_type: AssetKind
    asset_ids: AssetIds


class LabError(Struct, frozen=True, gc=False):
    """What the lab said of a failure; `message` is free text, cut at 500 characters."""

    code: Code
    message: str
    """May be empty; without personal data."""


class LabTransfer(Event, frozen=True, gc=False):
    """A transfer of an order, or of one of its packages, to a lab started, succeeded or failed."""

    order_id: Id
    transfer_id: Id
    """Names the transfer towards people; decides nothing."""
    package_id: Id | None
    """The package that it carries; null: the whole order. Never absent."""
    attempt: Count
    """Counts up over all transfers of the order; the highest counts."""
    status: Literal["started", "succeeded", "failed"]
    will_retry: bool | None = None
    """Whether the lab's side tries again by itself; true only with `failed`, absent means false."""
    lab_id: Id | None = None
    error: LabError | None = None


class BalanceChanged(Event, frozen=True, gc=False):
    """A studio's balance or credit limit in one currency changed."""

    balance: SignedMoney
    """What the studio has, or owes, before its limit."""
    credit_limit_minor: Amount | None
    """Null: no limit and no check. Never absent."""
    version: Count
    """Monotone per studio and currency; the highest counts."""
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
