"""The input events as structs, and the strict door through which they come in (contract.md §2).

`decode` gives an event or raises `Rejection`: whatever a decoder can raise is one, because an
exception that escaped would stop the worker on the same record for ever.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from schemas.errors import Rejection, RejectionCode
from schemas.instants import DAY_US, Instant, parse_instant

INTEGER_MAX: Final = 2**53 - 1
VALUE_MAX_BYTES: Final = 1 << 20
FREE_TEXT_MAX: Final = 500
#: Deeper nesting than this is "without end"; no field of an event is deeper than 4.
NESTING_MAX: Final = 256
#: `occurred_at` may lie so far after the record's timestamp.
AHEAD_MAX_US: Final = DAY_US

Id = Annotated[str, Meta(min_length=1, max_length=256)]
ShortId = Annotated[str, Meta(min_length=1, max_length=128)]
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Currency = Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
Amount = Annotated[int, Meta(ge=0, le=INTEGER_MAX)]
SignedAmount = Annotated[int, Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)]
Count = Annotated[int, Meta(ge=1, le=INTEGER_MAX)]


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


def _hook(_: type, value: Any) -> Instant:
    if type(value) is not str:
        raise ValueError("expected a string")
    return parse_instant(value)


DECODERS: Final[dict[type, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind, dec_hook=_hook)
    for kind in (
        OrderPlaced,
        OrderCancelled,
        OrderReinstated,
        AssetDeleted,
        AssetRestored,
        LabTransfer,
        BalanceChanged,
    )
}

_decode_anything = msgspec.json.Decoder().decode


def decode(kind: type, key: bytes | None, value: bytes | None, timestamp_ms: int) -> Any:
    """Decode one record of the topic whose events are of `kind`, an `Event`.

    `timestamp_ms` is the record's. Raises `Rejection` with the first fault in the order of
    contract.md §6, up to and including `key_mismatch`.
    """
    if not value:
        raise Rejection(RejectionCode.EMPTY_RECORD, "The record has no value.")
    if len(value) > VALUE_MAX_BYTES:
        raise Rejection(
            RejectionCode.TOO_LARGE,
            f"The value has {len(value)} bytes, above the limit of {VALUE_MAX_BYTES}.",
        )
    if value.count(b"[") + value.count(b"{") > NESTING_MAX:
        _check_nesting(value)
    # Without escapes, DEL and non-ASCII bytes no string can hold a control character: JSON itself
    # forbids the others. That is nearly every record.
    plain = value.isascii() and b"\\" not in value and b"\x7f" not in value
    try:
        if not plain:
            _check_json(str(value, "utf-8"))
        event = DECODERS[kind].decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
        raise _rejection(value, fault) from None
    if not plain:
        _check_strings(event, "")
    event = _check_event(event, timestamp_ms)
    if key is None:
        raise Rejection(RejectionCode.KEY_MISMATCH, "The record has no key; expected studio_id.")
    if key != event.studio_id.encode():
        raise Rejection(
            RejectionCode.KEY_MISMATCH, "The record's key differs from studio_id.", "studio_id"
        )
    return event


def _check_event(event: Any, timestamp_ms: int) -> Any:
    """Check what the types cannot say; give the event, its free text cleaned."""
    if event.occurred_at > timestamp_ms * 1000 + AHEAD_MAX_US:
        raise _invalid("occurred_at", "lies more than 24 h after the record's timestamp")
    kind = type(event)
    if kind is OrderPlaced:
        lines = event.lines
        if len(lines) > 1 and len({line.line_id for line in lines}) != len(lines):
            raise _invalid("lines", "line_id is not unique in the order")
    elif kind is LabTransfer:
        if event.will_retry and event.status != "failed":
            raise _invalid("will_retry", "is true, which only goes with status failed")
        error = event.error
        if error is not None:
            message = _clean(error.message)
            if message != error.message:
                return msgspec.structs.replace(event, error=LabError(error.code, message))
    return event


# ---- faults, off the hot path

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_FAULT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")


def _clean(text: str) -> str:
    """Cut free text and put spaces for its control characters; it is no reason to reject."""
    return _CONTROL.sub(" ", text[:FREE_TEXT_MAX])


def _invalid(field: str, what: str) -> Rejection:
    name = field or "The value"
    return Rejection(RejectionCode.INVALID_EVENT, f"{name}: {what}.", field or None)


def _malformed(what: str) -> Rejection:
    return Rejection(RejectionCode.MALFORMED_JSON, f"The value is not JSON: {what}.")


def _check_nesting(value: bytes) -> None:
    """Refuse nesting without end, wherever it is, at a depth that is the same in every process."""
    depth = 0
    for token in _BRACKETS.finditer(value):
        first = token.group()[0]
        if first in b"[{":
            depth += 1
            if depth > NESTING_MAX:
                raise _malformed(f"it is nested deeper than {NESTING_MAX} levels")
        elif first in b"]}":
            depth -= 1


def _check_strings(value: Any, path: str) -> None:
    """Refuse control characters in every string of an event but its free text."""
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise _invalid(path, "holds a control character")
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            _check_strings(item, f"{path}[{number}]")
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            if not (name == "message" and isinstance(value, LabError)):
                _check_strings(getattr(value, name), f"{path}.{name}" if path else name)


def _check_json(text: str) -> None:
    """Raise DecodeError where any of it, ignored fields included, is not JSON."""
    try:
        _decode_anything(text)
    except msgspec.ValidationError:
        # A number that no machine integer holds is JSON all the same. The standard library takes
        # it as text, and then has to be kept from taking lone surrogates.
        try:
            anything = json.loads(text, parse_int=str, parse_constant=_refuse_constant)
            json.dumps(anything, ensure_ascii=False).encode()
        except ValueError as fault:
            raise msgspec.DecodeError(str(fault)[:100]) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _rejection(value: bytes, fault: Exception) -> Rejection:
    """Tell JSON that is malformed anywhere from JSON that is no event."""
    if not isinstance(fault, msgspec.ValidationError):
        return _malformed(_explain(fault))
    try:
        _check_json(str(value, "utf-8"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as deeper:
        return _malformed(_explain(deeper))
    found = _FAULT.fullmatch(str(fault))
    assert found is not None, "every text matches"
    what, path = found["what"], (found["path"] or "").removeprefix(".")
    missing = _MISSING.fullmatch(what)
    if missing:
        return _invalid(f"{path}.{missing[1]}" if path else missing[1], "is missing")
    if what.startswith("Invalid enum value"):
        what = "is not one of the values that the contract names"
    return _invalid(path, what[:1].lower() + what[1:].replace("`", ""))


def _explain(fault: Exception) -> str:
    if isinstance(fault, UnicodeDecodeError):
        return f"byte {fault.start} is not UTF-8"
    if isinstance(fault, RecursionError):
        return "it is nested too deeply"
    return str(fault).removeprefix("JSON is malformed: ")
