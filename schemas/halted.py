"""The values and headers of `order-halted` (contract.md §5), field by field in that order."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.events import (
    FREE_TEXT_MAX,
    Amount,
    Code,
    Count,
    Currency,
    Id,
    Money,
    ShortId,
    SignedAmount,
)
from schemas.reasons import Action, AssetType, Change, ReasonCode, Status

#: At most so many line ids, subjects and transfers stand in a reason; their counts are true.
LISTED_MAX: Final = 100

DATA_SCHEMA: Final = "urn:orderhalt:schema:order-halted:v1"
CONTENT_TYPE: Final = b"application/json"


Instant = Annotated[
    str,
    Meta(
        extra_json_schema={
            "format": "date-time",
            "pattern": ("^2[01][0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{6}Z$"),
        }
    ),
]
"""As text, because nobody here calculates with it; in UTC and always with six digits."""
Number = Annotated[int, Meta(ge=0)]
SubjectType = Annotated[str, Meta(extra_json_schema={"enum": [*AssetType, "order"]})]


class Subject(Struct, frozen=True, gc=False):
    """What a reason is about: a gone asset, a package or order whose transfer failed."""

    type: SubjectType
    id: Id
    deleted_at: Instant | None
    """Null where nothing was deleted, as in `transfer_failed`."""
    deleted_by: Id | None
    restorable_until: Instant | None
    """Null: it cannot be restored, or nobody said until when."""


class Credit(Struct, frozen=True, gc=False):
    """The sums of the credit check as at this record, in minor units of `currency`.

    They may have changed since: a change of the sums alone makes no record.
    """

    currency: Currency
    cost_minor: Amount
    """Production cost of this order."""
    balance_minor: SignedAmount
    credit_limit_minor: Amount
    available_minor: int
    """What is left of balance and limit at the order's turn."""
    shortfall_minor: int
    """Cost less what is available."""
    top_up_minor: Number
    """What would fund this order and all before it."""


class TransferError(Struct, frozen=True, gc=False):
    """What the lab said of a failed transfer."""

    code: Code
    message: Annotated[str, Meta(max_length=FREE_TEXT_MAX)]
    """Free text; may be empty."""


class FailedTransfer(Struct, frozen=True, gc=False):
    """A transfer that decides that its lines do not reach the lab."""

    transfer_id: Id
    package_id: Id | None
    """Null: it carried the whole order."""
    attempt: Count
    lab_id: Id | None
    error: TransferError | None


class Reason(Struct, frozen=True, gc=False):
    """One active reason. `credit` and `transfers` with its count stand in their own codes alone."""

    code: ReasonCode
    since: Instant
    """Since which event it has been active without interruption."""
    line_ids: Annotated[tuple[Id, ...], Meta(max_length=LISTED_MAX)]
    """The unsecured lines that show the cause, sorted, the first 100; none for credit."""
    line_count: Number
    """How many there are."""
    subjects: Annotated[tuple[Subject, ...], Meta(max_length=LISTED_MAX)]
    """Sorted by type and id, the first 100; none for credit."""
    subject_count: Number
    """How many there are."""
    restorable_until: Instant | None
    """The earliest of all subjects; null if one has none."""
    actions: tuple[Action, ...]
    """What the studio can do, best first."""
    credit: Credit | UnsetType = UNSET
    """In `credit_limit_reached` alone."""
    transfers: Annotated[tuple[FailedTransfer, ...], Meta(max_length=LISTED_MAX)] | UnsetType = (
        UNSET
    )
    """In `transfer_failed` alone: the deciding failed ones, in the order of the subjects."""
    transfer_count: Number | UnsetType = UNSET
    """In `transfer_failed` alone: how many there are."""


class EndedReason(Struct, frozen=True, gc=False):
    """A reason of the previous record that is not active any more."""

    code: ReasonCode
    since: Instant


class CausedBy(Struct, frozen=True, gc=False):
    """The input event behind a record, or `rules` alone where new rules changed the halt."""

    topic: str | UnsetType = UNSET
    """With its prefix."""
    partition: Number | UnsetType = UNSET
    offset: Number | UnsetType = UNSET
    event_id: ShortId | UnsetType = UNSET
    rules: Number | UnsetType = UNSET
    """Version of the rules."""


class OrderHalted(Struct, frozen=True, gc=False):
    """One change of one order's halt."""

    event_id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
    """The same history gives the same ids."""
    occurred_at: Instant
    """Of the input event that caused this record."""
    studio_id: ShortId
    order_id: Id
    """Unique within its studio."""
    order_version: Count
    placed_at: Instant
    paid: bool
    production_cost: Money
    sequence: Count
    """1, 2, 3 … per order; what is not above the last one seen for the key is a repetition."""
    change: Change
    status: Status
    episode: Count
    """The n-th time that this order is halted."""
    halted_since: Instant
    """When the episode began."""
    primary_reason: ReasonCode | None
    """The first of `reasons`; null when not halted."""
    reasons: tuple[Reason, ...]
    """All that are active, by precedence; empty when not halted."""
    ended_reasons: tuple[EndedReason, ...]
    """Active in the previous record and not in this one, by precedence."""
    caused_by: CausedBy


class Emission(NamedTuple):
    """One record for `order-halted`: an encoded value with headers, or a tombstone with neither."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


_encode = msgspec.json.Encoder().encode
_TYPES: Final = {change: f"orderhalt.halt.{change}.v1".encode() for change in Change}
_DATA_SCHEMA: Final = DATA_SCHEMA.encode()


def emission(order_key: str, source: str, halted: OrderHalted) -> Emission:
    """Encode a record in CloudEvents' binary mode; `source` is ce_source."""
    key = order_key.encode()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", halted.event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", _TYPES[halted.change]),
        ("ce_subject", key),
        ("ce_time", halted.occurred_at.encode()),
        ("ce_dataschema", _DATA_SCHEMA),
        ("content-type", CONTENT_TYPE),
    )
    return Emission(key, _encode(halted), headers)


def tombstone(order_key: str) -> Emission:
    """Make the record that ends a forgotten order's history."""
    return Emission(order_key.encode(), None, ())
