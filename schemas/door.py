"""The strict door through which input events come in (contract.md §2, §6).

`decode` gives an event or raises `Rejection`: whatever a decoder can raise is one, because an
exception that escaped would stop the worker on the same record for ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct

from schemas.errors import Rejection, RejectionCode
from schemas.events import (
    AHEAD_MAX_US,
    FREE_TEXT_MAX,
    VALUE_MAX_BYTES,
    AssetDeleted,
    AssetRestored,
    BalanceChanged,
    LabError,
    LabTransfer,
    OrderCancelled,
    OrderPlaced,
    OrderReinstated,
)
from schemas.instants import parse_instant

#: Deeper nesting than this is "without end"; no field of an event is deeper than 4.
NESTING_MAX: Final = 256
#: A shorter value is nested less deeply, or no JSON: each level takes a byte to open and to close.
_NESTED_MIN_BYTES: Final = 2 * NESTING_MAX
# As ints: bytes `in` bytes raises and clears an exception before it looks.
_BACKSLASH: Final = ord("\\")
_DELETE: Final = 0x7F

_decode_anything = msgspec.json.Decoder().decode
_set = msgspec.structs.force_setattr


def _instant(text: Any, field: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as fault:
        raise _invalid(field, str(fault)) from None


# An event that is checked here is `Any` where it has instants: they are still the text that they were.
def _check_order_placed(event: Any) -> Any:
    _set(event, "placed_at", _instant(event.placed_at, "placed_at"))
    lines = event.lines
    if len(lines) > 1 and len({line.line_id for line in lines}) != len(lines):
        raise _invalid("lines", "line_id is not unique in the order")
    _check_currency(event.production_cost.currency, "production_cost.currency")
    return event


def _check_asset_deleted(event: Any) -> Any:
    if event.restorable_until is not None:
        _set(event, "restorable_until", _instant(event.restorable_until, "restorable_until"))
    return event


def _check_lab_transfer(event: LabTransfer) -> LabTransfer:
    if event.will_retry and event.status != "failed":
        raise _invalid("will_retry", "is true, which only goes with status failed")
    error = event.error
    if error is not None:
        message = _clean(error.message)
        if message != error.message:
            return msgspec.structs.replace(event, error=LabError(error.code, message))
    return event


def _check_balance_changed(event: BalanceChanged) -> BalanceChanged:
    _check_currency(event.balance.currency, "balance.currency")
    return event


_CURRENCIES: Final[set[str]] = set()
"""Those seen so far."""


def _check_currency(currency: str, field: str) -> None:
    if currency not in _CURRENCIES:
        if not (currency.isascii() and currency.isalpha() and currency.isupper()):
            raise _invalid(field, "expected three capital letters")
        _CURRENCIES.add(currency)


Decode = Callable[[bytes | None, bytes | None, int], Any]
"""(key, value, timestamp in ms) → event, or Rejection."""


def _door(kind: type, check: Callable[[Any], Any] | None = None) -> Decode:
    """Make the decoder of one kind; `check` does what its types cannot say."""
    decode_json: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode

    def decode_one(key: bytes | None, value: bytes | None, timestamp_ms: int) -> Any:
        if not value:
            raise Rejection(RejectionCode.EMPTY_RECORD, "The record has no value.")
        if len(value) > _NESTED_MIN_BYTES:
            _check_size(value)
        # Without escapes, DEL and non-ASCII bytes no string can hold a control character: JSON
        # itself forbids the others. That is nearly every record.
        plain = value.isascii() and _BACKSLASH not in value and _DELETE not in value
        try:
            if not plain:
                _check_json(str(value, "utf-8"))
            event = decode_json(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            raise _rejection(value, fault) from None
        if not plain:
            _check_strings(event, "")
        try:
            occurred_at = parse_instant(event.occurred_at)
        except ValueError as fault:
            raise _invalid("occurred_at", str(fault)) from None
        # Divided and not multiplied: the numbers stay small, which compiled code likes.
        if (occurred_at - AHEAD_MAX_US - 1) // 1000 >= timestamp_ms:
            raise _invalid("occurred_at", "lies more than 24 h after the record's timestamp")
        _set(event, "occurred_at", occurred_at)
        if check is not None:
            event = check(event)
        if key != event.studio_id.encode():
            raise _key_mismatch(key)
        return event

    return decode_one


DOORS: Final[dict[type, Decode]] = {
    OrderPlaced: _door(OrderPlaced, _check_order_placed),
    OrderCancelled: _door(OrderCancelled),
    OrderReinstated: _door(OrderReinstated),
    AssetDeleted: _door(AssetDeleted, _check_asset_deleted),
    AssetRestored: _door(AssetRestored),
    LabTransfer: _door(LabTransfer, _check_lab_transfer),
    BalanceChanged: _door(BalanceChanged, _check_balance_changed),
}


def decode(kind: type, key: bytes | None, value: bytes | None, timestamp_ms: int) -> Any:
    """Decode one record of the topic whose events are of `kind`, an `Event`.

    `timestamp_ms` is the record's. Raises `Rejection` with the first fault in the order of
    contract.md §6, up to and including `key_mismatch`.
    """
    return DOORS[kind](key, value, timestamp_ms)


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


def _key_mismatch(key: bytes | None) -> Rejection:
    if key is None:
        return Rejection(RejectionCode.KEY_MISMATCH, "The record has no key; expected studio_id.")
    return Rejection(
        RejectionCode.KEY_MISMATCH, "The record's key differs from studio_id.", "studio_id"
    )


def _check_size(value: bytes) -> None:
    """Refuse what is too large, and look closer at what may be nested without end."""
    if len(value) > VALUE_MAX_BYTES:
        raise Rejection(
            RejectionCode.TOO_LARGE,
            f"The value has {len(value)} bytes, above the limit of {VALUE_MAX_BYTES}.",
        )
    if value.count(b"[") + value.count(b"{") > NESTING_MAX:
        _check_nesting(value)


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
