"""The values and headers of `order-halted` (contract.md §5), field by field in that order."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from schemas.events import Money
from schemas.reasons import Action, Change, ReasonCode, Status

#: At most so many line ids, subjects and transfers stand in a reason; their counts are true.
LISTED_MAX: Final = 100

DATA_SCHEMA: Final = "urn:orderhalt:schema:order-halted:v1"
CONTENT_TYPE: Final = b"application/json"


class Subject(Struct, frozen=True, gc=False):
    """What a reason is about: a gone asset, a package or order whose transfer failed."""

    type: str
    id: str
    deleted_at: str | None
    deleted_by: str | None
    restorable_until: str | None


class Credit(Struct, frozen=True, gc=False):
    """The sums of the credit check as at this record, in minor units of `currency`."""

    currency: str
    cost_minor: int
    balance_minor: int
    credit_limit_minor: int
    available_minor: int
    shortfall_minor: int
    top_up_minor: int


class TransferError(Struct, frozen=True, gc=False):
    """What the lab said of a failed transfer."""

    code: str
    message: str


class FailedTransfer(Struct, frozen=True, gc=False):
    """A transfer that decides that its lines do not reach the lab."""

    transfer_id: str
    package_id: str | None
    attempt: int
    lab_id: str | None
    error: TransferError | None


class Reason(Struct, frozen=True, gc=False):
    """One active reason. `credit` and `transfers` with its count stand in their own codes alone."""

    code: ReasonCode
    since: str
    line_ids: tuple[str, ...]
    line_count: int
    subjects: tuple[Subject, ...]
    subject_count: int
    restorable_until: str | None
    actions: tuple[Action, ...]
    credit: Credit | UnsetType = UNSET
    transfers: tuple[FailedTransfer, ...] | UnsetType = UNSET
    transfer_count: int | UnsetType = UNSET


class EndedReason(Struct, frozen=True, gc=False):
    """A reason of the previous record that is not active any more."""

    code: ReasonCode
    since: str


class CausedBy(Struct, frozen=True, gc=False):
    """The input event behind a record, or `rules` alone where new rules changed the halt."""

    topic: str | UnsetType = UNSET
    partition: int | UnsetType = UNSET
    offset: int | UnsetType = UNSET
    event_id: str | UnsetType = UNSET
    rules: int | UnsetType = UNSET


class OrderHalted(Struct, frozen=True, gc=False):
    """One change of one order's halt."""

    event_id: str
    occurred_at: str
    studio_id: str
    order_id: str
    order_version: int
    placed_at: str
    paid: bool
    production_cost: Money
    sequence: int
    change: Change
    status: Status
    episode: int
    halted_since: str
    primary_reason: ReasonCode | None
    reasons: tuple[Reason, ...]
    ended_reasons: tuple[EndedReason, ...]
    caused_by: CausedBy


class Emission(NamedTuple):
    """One record for `order-halted`: an encoded value with headers, or a tombstone with neither."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


_encode = msgspec.json.Encoder().encode


def emission(order_key: str, source: str, halted: OrderHalted) -> Emission:
    """Encode a record in CloudEvents' binary mode; `source` is ce_source."""
    key = order_key.encode()
    headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", halted.event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"orderhalt.halt.{halted.change}.v1".encode()),
        ("ce_subject", key),
        ("ce_time", halted.occurred_at.encode()),
        ("ce_dataschema", DATA_SCHEMA.encode()),
        ("content-type", CONTENT_TYPE),
    )
    return Emission(key, _encode(halted), headers)


def tombstone(order_key: str) -> Emission:
    """Make the record that ends a forgotten order's history."""
    return Emission(order_key.encode(), None, ())
