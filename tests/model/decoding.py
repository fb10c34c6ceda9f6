"""Bytes to events with the standard library only, strictly as contract §2 and §6 say."""

import json
import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from .events import (
    AssetDeleted,
    BalanceChanged,
    Event,
    LabTransfer,
    Line,
    Money,
    OrderCancelled,
    OrderPlaced,
    TransferError,
)
from .records import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    RejectedError,
)

MAX_VALUE_BYTES = 1_048_576
MAX_INTEGER = 2**53 - 1
MAX_ID = 256
MAX_STUDIO_ID = 128
MAX_EVENT_ID = 128
MAX_CODE = 64
MAX_FREE_TEXT = 500
FUTURE_ALLOWED = timedelta(hours=24)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SURROGATE = re.compile("[\ud800-\udfff]")
CURRENCY = re.compile(r"[A-Z]{3}")
INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


class NotAnInteger:
    """Stands for a number that was written with a fraction or exponent, or is far too long."""


def invalid(message: str) -> RejectedError:
    """Make the refusal of a field that is missing, mistyped or out of range (contract §6)."""
    return RejectedError("invalid_event", message)


# JSON


def parse_json(value: bytes | None) -> object:
    """Parse a record's value, or raise the first fault of contract §6 up to `malformed_json`."""
    if value is not None and len(value) > MAX_VALUE_BYTES:
        raise RejectedError("too_large", f"the value has more than {MAX_VALUE_BYTES} bytes")
    if not value:
        raise RejectedError("empty_record", "the value is null or has no bytes")
    try:
        parsed: object = json.loads(
            value.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=lambda _: NotAnInteger(),
            parse_constant=_refuse_constant,
        )
        _refuse_lone_surrogates(parsed)
    except (ValueError, RecursionError) as fault:
        raise RejectedError("malformed_json", f"the value is not JSON: {fault}") from fault
    return parsed


def _integer(text: str) -> int | NotAnInteger:
    return int(text) if len(text) <= 20 else NotAnInteger()


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object; of a repeated name the last value counts, but all are checked."""
    for name, value in pairs:
        _refuse_lone_surrogates(name)
        _refuse_lone_surrogates(value)
    return dict(pairs)


def _refuse_lone_surrogates(value: object) -> None:
    """Look at a string and at all strings in lists; objects were looked at when they were made."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str) and SURROGATE.search(item):
            raise ValueError("lone surrogate")
        if isinstance(item, list):
            todo.extend(item)


# Values


def has_control_characters(text: str) -> bool:
    """Whether a string has a character of category Cc (contract §2)."""
    return any(unicodedata.category(c) == "Cc" for c in text)


def free_text(text: str) -> str:
    """Clean free text (contract §2): at most 500 characters, no control characters."""
    cut = text[:MAX_FREE_TEXT]
    return "".join(" " if unicodedata.category(c) == "Cc" else c for c in cut)


def parse_instant(text: str) -> datetime | None:
    """Parse RFC 3339 with an offset; None if it is none or outside 2000 to 2199 in UTC."""
    match = INSTANT.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = (int(part) for part in parts)
    offset = timedelta()
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            return None
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        offset = -offset if sign == "-" else offset
    microsecond = int(((fraction or "") + "000000")[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
        instant = local - offset
    except (ValueError, OverflowError):
        return None
    return instant if 2000 <= instant.year <= 2199 else None


class Fields:
    """Reads the fields of one JSON object; every fault names the field by its path."""

    def __init__(self, value: object, path: str = "") -> None:
        if not isinstance(value, dict):
            raise invalid(f"{path or 'the event'} must be an object")
        self._values: dict[str, object] = value
        self._path = path

    def path(self, name: str) -> str:
        """Return the path of a field, for messages."""
        return f"{self._path}.{name}" if self._path else name

    def nullable(self, name: str) -> object:
        """Read a field that must stand there but may be null."""
        if name not in self._values:
            raise invalid(f"{self.path(name)} is missing")
        return self._values[name]

    def required(self, name: str) -> object:
        """Read a field that must stand there and is not null."""
        value = self.nullable(name)
        if value is None:
            raise invalid(f"{self.path(name)} must not be null")
        return value

    def optional(self, name: str) -> object:
        """Read a field, None if it is absent or null."""
        return self._values.get(name)

    def string(self, name: str, longest: int) -> str:
        """Read a required string of 1 to `longest` characters."""
        return check_string(self.required(name), longest, self.path(name))

    def optional_string(self, name: str, longest: int) -> str | None:
        """Read an optional string of 1 to `longest` characters."""
        value = self.optional(name)
        return None if value is None else check_string(value, longest, self.path(name))

    def integer(self, name: str, lowest: int) -> int:
        """Read a required integer of at least `lowest`."""
        return check_integer(self.required(name), lowest, self.path(name))

    def boolean(self, name: str) -> bool:
        """Read a required boolean."""
        return check_boolean(self.required(name), self.path(name))

    def instant(self, name: str) -> datetime:
        """Read a required instant."""
        return check_instant(self.required(name), self.path(name))

    def ids(self, name: str, fewest: int, most: int) -> tuple[str, ...]:
        """Read a required array of ids."""
        return check_ids(self.required(name), fewest, most, self.path(name))

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        """Read a required string out of a closed set."""
        value = self.required(name)
        if not isinstance(value, str) or value not in allowed:
            raise invalid(f"{self.path(name)} must be one of {', '.join(allowed)}")
        return value

    def money(self, name: str, lowest: int) -> Money:
        """Read a required {amount_minor, currency}."""
        fields = Fields(self.required(name), self.path(name))
        currency = fields.string("currency", 3)
        if CURRENCY.fullmatch(currency) is None:
            raise invalid(f"{fields.path('currency')} must be three capital letters")
        return Money(fields.integer("amount_minor", lowest), currency)


def check_string(value: object, longest: int, path: str) -> str:
    """Check a string without control characters, 1 to `longest` characters long."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise invalid(f"{path} must be a string of 1 to {longest} characters")
    if has_control_characters(value):
        raise invalid(f"{path} must not have control characters")
    return value


def check_integer(value: object, lowest: int, path: str) -> int:
    """Check an integer from `lowest` to `MAX_INTEGER`; a boolean is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"{path} must be an integer")
    if not lowest <= value <= MAX_INTEGER:
        raise invalid(f"{path} must lie within {lowest} and {MAX_INTEGER}")
    return value


def check_boolean(value: object, path: str) -> bool:
    """Check for true or false and nothing else."""
    if not isinstance(value, bool):
        raise invalid(f"{path} must be true or false")
    return value


def check_instant(value: object, path: str) -> datetime:
    """Check and parse an instant of contract §2."""
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        raise invalid(f"{path} must be an RFC 3339 instant with offset, in 2000-2199")
    return instant


def check_array(value: object, fewest: int, most: int, path: str) -> list[Any]:
    """Check an array of `fewest` to `most` items."""
    if not isinstance(value, list) or not fewest <= len(value) <= most:
        raise invalid(f"{path} must be an array of {fewest} to {most} items")
    return value


def check_ids(value: object, fewest: int, most: int, path: str) -> tuple[str, ...]:
    """Check an array of ids."""
    items = check_array(value, fewest, most, path)
    return tuple(check_string(item, MAX_ID, f"{path}[{i}]") for i, item in enumerate(items))


# Events


def decode(topic: str, value: bytes | None, timestamp: int) -> Event:
    """Decode the value of a record of `topic` (without prefix); `timestamp` in ms.

    Raises RejectedError with `too_large`, `empty_record`, `malformed_json` or `invalid_event`.
    """
    fields = Fields(parse_json(value))
    event_id = fields.string("event_id", MAX_EVENT_ID)
    occurred_at = fields.instant("occurred_at")
    studio_id = fields.string("studio_id", MAX_STUDIO_ID)
    if (occurred_at - EPOCH - FUTURE_ALLOWED) // timedelta(microseconds=1) > timestamp * 1000:
        raise invalid("occurred_at is more than 24 h after the record's timestamp")
    return DECODERS[topic](fields, (event_id, occurred_at, studio_id))


Head = tuple[str, datetime, str]


def _order_placed(fields: Fields, head: Head) -> OrderPlaced:
    version = fields.optional("version")
    return OrderPlaced(
        *head,
        order_id=fields.string("order_id", MAX_ID),
        version=1 if version is None else check_integer(version, 1, "version"),
        placed_at=fields.instant("placed_at"),
        lines=_lines(fields.required("lines")),
        production_cost=fields.money("production_cost", lowest=0),
        paid=fields.boolean("paid"),
    )


def _lines(value: object) -> tuple[Line, ...]:
    items = check_array(value, 1, 1000, "lines")
    lines = tuple(_line(Fields(item, f"lines[{i}]")) for i, item in enumerate(items))
    if len({line.line_id for line in lines}) < len(lines):
        raise invalid("lines: line_id must be unique in the order")
    return lines


def _line(fields: Fields) -> Line:
    return Line(
        line_id=fields.string("line_id", MAX_ID),
        product_id=fields.string("product_id", MAX_ID),
        photo_ids=fields.ids("photo_ids", 0, 5000),
        package_id=fields.optional_string("package_id", MAX_ID),
    )


def _order_cancelled(fields: Fields, head: Head) -> OrderCancelled:
    return OrderCancelled(*head, order_id=fields.string("order_id", MAX_ID), cancelled=True)


def _order_reinstated(fields: Fields, head: Head) -> OrderCancelled:
    return OrderCancelled(*head, order_id=fields.string("order_id", MAX_ID), cancelled=False)


ASSET_TYPES = ("product", "photo", "package")


def _asset_deleted(fields: Fields, head: Head) -> AssetDeleted:
    until = fields.optional("restorable_until")
    return AssetDeleted(
        *head,
        asset_type=fields.choice("asset_type", ASSET_TYPES),
        asset_ids=fields.ids("asset_ids", 1, 10000),
        deleted=True,
        deleted_by=fields.optional_string("deleted_by", MAX_ID),
        restorable_until=None if until is None else check_instant(until, "restorable_until"),
    )


def _asset_restored(fields: Fields, head: Head) -> AssetDeleted:
    return AssetDeleted(
        *head,
        asset_type=fields.choice("asset_type", ASSET_TYPES),
        asset_ids=fields.ids("asset_ids", 1, 10000),
        deleted=False,
    )


def _lab_transfer(fields: Fields, head: Head) -> LabTransfer:
    package_id = fields.nullable("package_id")
    will_retry = fields.optional("will_retry")
    error = fields.optional("error")
    event = LabTransfer(
        *head,
        order_id=fields.string("order_id", MAX_ID),
        transfer_id=fields.string("transfer_id", MAX_ID),
        package_id=None if package_id is None else check_string(package_id, MAX_ID, "package_id"),
        attempt=fields.integer("attempt", 1),
        status=fields.choice("status", ("started", "succeeded", "failed")),
        will_retry=False if will_retry is None else check_boolean(will_retry, "will_retry"),
        lab_id=fields.optional_string("lab_id", MAX_ID),
        error=None if error is None else _transfer_error(Fields(error, "error")),
    )
    if event.will_retry and event.status != "failed":
        raise invalid("will_retry may be true only where status is failed")
    return event


def _transfer_error(fields: Fields) -> TransferError:
    code = fields.string("code", MAX_CODE)
    message = fields.required("message")
    if not isinstance(message, str):
        raise invalid(f"{fields.path('message')} must be a string")
    return TransferError(code, free_text(message))


def _balance_changed(fields: Fields, head: Head) -> BalanceChanged:
    limit = fields.nullable("credit_limit_minor")
    settled = fields.optional("settled_order_ids")
    return BalanceChanged(
        *head,
        balance=fields.money("balance", lowest=-MAX_INTEGER),
        credit_limit_minor=None if limit is None else check_integer(limit, 0, "credit_limit_minor"),
        version=fields.integer("version", 1),
        settled_order_ids=(
            None if settled is None else check_ids(settled, 0, 10000, "settled_order_ids")
        ),
    )


DECODERS: dict[str, Callable[[Fields, Head], Event]] = {
    ORDER_PLACED: _order_placed,
    ORDER_CANCELLED: _order_cancelled,
    ORDER_REINSTATED: _order_reinstated,
    ASSET_DELETED: _asset_deleted,
    ASSET_RESTORED: _asset_restored,
    LAB_TRANSFER: _lab_transfer,
    BALANCE_CHANGED: _balance_changed,
}
