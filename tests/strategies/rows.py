"""Tables of what one field of an event must not be, and of what it just may be (contract §2).

A row is a name, the path of the field in a lawful event, and what is put there.
"""

from typing import Any

from tests.model import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
)

STUDIO = "s1"
BIG = 2**53 - 1

Row = tuple[str, str, object]


class Raw(str):
    """JSON text that stands in the value as it is."""

    __slots__ = ()


class _Gone:
    """Says that the field is left out."""


GONE = _Gone()

HEAD = {"event_id": "e1", "occurred_at": "2026-01-01T12:00:00Z", "studio_id": STUDIO}
LAWFUL: dict[str, dict[str, Any]] = {
    ORDER_PLACED: {
        **HEAD,
        "order_id": "o1",
        "version": 1,
        "placed_at": "2026-01-01T12:00:00Z",
        "lines": [
            {"line_id": "l1", "product_id": "p1", "photo_ids": ["f1"], "package_id": "k1"},
            {"line_id": "l2", "product_id": "p2", "photo_ids": []},
        ],
        "production_cost": {"amount_minor": 100, "currency": "EUR"},
        "paid": False,
    },
    ORDER_CANCELLED: {**HEAD, "order_id": "o1"},
    ORDER_REINSTATED: {**HEAD, "order_id": "o1"},
    ASSET_DELETED: {
        **HEAD,
        "asset_type": "photo",
        "asset_ids": ["f1"],
        "deleted_by": "u1",
        "restorable_until": "2026-02-01T00:00:00Z",
    },
    ASSET_RESTORED: {**HEAD, "asset_type": "photo", "asset_ids": ["f1"]},
    LAB_TRANSFER: {
        **HEAD,
        "order_id": "o1",
        "transfer_id": "t1",
        "package_id": "k1",
        "attempt": 1,
        "status": "failed",
        "will_retry": False,
        "lab_id": "lab1",
        "error": {"code": "paper_jam", "message": "the paper is stuck"},
    },
    BALANCE_CHANGED: {
        **HEAD,
        "balance": {"amount_minor": 100, "currency": "EUR"},
        "credit_limit_minor": 50,
        "version": 1,
        "settled_order_ids": ["o1"],
    },
}

# invalid_event: what every field of a kind must not be


def bad_string(path: str, longest: int) -> list[Row]:
    """Rows of a required string of 1 to `longest` characters."""
    return [
        *missing(path),
        *bad_optional_string(path, longest),
    ]


def bad_optional_string(path: str, longest: int) -> list[Row]:
    """Rows of a string that may be absent."""
    return [
        (f"{path} a number", path, 1),
        (f"{path} true", path, True),
        (f"{path} an array", path, ["a"]),
        (f"{path} an object", path, {}),
        (f"{path} empty", path, ""),
        (f"{path} one character too long", path, "x" * (longest + 1)),
        (f"{path} with a line feed", path, "a\nb"),
        (f"{path} with a delete character", path, "a\x7fb"),
        (f"{path} with a C1 control character", path, "a\x85b"),
        (f"{path} with a NUL", path, "a\0b"),
    ]


def bad_integer(path: str, lowest: int) -> list[Row]:
    """Rows of an integer from `lowest` to 2^53-1."""
    return [
        (f"{path} a string", path, "1"),
        (f"{path} true", path, True),
        (f"{path} false", path, False),
        (f"{path} an array", path, [1]),
        (f"{path} with a fraction", path, Raw("1.5")),
        (f"{path} with a zero fraction", path, Raw("1.0")),
        (f"{path} with an exponent", path, Raw("1e2")),
        (f"{path} with a capital exponent", path, Raw("1E2")),
        (f"{path} below the lowest", path, lowest - 1),
        (f"{path} above the highest", path, BIG + 1),
        (f"{path} above 64 bits", path, 2**64),
        (f"{path} with 5,000 digits", path, Raw("9" * 5000)),
        (f"{path} of minus 5,000 digits", path, Raw("-" + "9" * 5000)),
    ]


def bad_boolean(path: str) -> list[Row]:
    """Rows of a boolean."""
    return [
        (f"{path} 0", path, 0),
        (f"{path} 1", path, 1),
        (f"{path} a string", path, "true"),
        (f"{path} an array", path, []),
    ]


def bad_instant(path: str) -> list[Row]:
    """Rows of an instant."""
    texts = {
        "without offset": "2026-01-01T12:00:00",
        "a date": "2026-01-01",
        "with a space": "2026-01-01 12:00:00Z",
        "with an underscore": "2026-01-01_12:00:00Z",
        "without seconds": "2026-01-01T12:00Z",
        "with a leap second": "2016-12-31T23:59:60Z",
        "in hour 24": "2026-01-01T24:00:00Z",
        "in minute 60": "2026-01-01T12:60:00Z",
        "in month 0": "2026-00-01T12:00:00Z",
        "in month 13": "2026-13-01T12:00:00Z",
        "on February 29 of no leap year": "2025-02-29T12:00:00Z",
        "on day 0": "2026-01-00T12:00:00Z",
        "with a comma": "2026-01-01T12:00:00,5Z",
        "with a point only": "2026-01-01T12:00:00.Z",
        "with an offset without colon": "2026-01-01T12:00:00+0100",
        "with an offset of hours": "2026-01-01T12:00:00+01",
        "with an offset of 24 hours": "2026-01-01T12:00:00+24:00",
        "with an offset of 60 minutes": "2026-01-01T12:00:00+01:60",
        "with a typographic minus": "2026-01-01T12:00:00\u221201:00",
        "with a named zone": "2026-01-01T12:00:00 UTC",
        "with a space before": " 2026-01-01T12:00:00Z",
        "with a space behind": "2026-01-01T12:00:00Z ",
        "with a line feed behind": "2026-01-01T12:00:00Z\n",
        "in other digits": "2026-01-01T12:00:0\u0661Z",
        "in basic format": "20260101T120000Z",
        "in a year of two digits": "26-01-01T12:00:00Z",
        "in a year of five digits": "02026-01-01T12:00:00Z",
        "in year 0": "0000-01-01T00:00:00Z",
        "before year 1 in UTC": "0001-01-01T00:00:00+00:01",
        "before 2000 in UTC": "2000-01-01T00:00:00+00:01",
        "just before 2000": "1999-12-31T23:59:59.999999Z",
        "in 2200": "2200-01-01T00:00:00Z",
        "in 2200 in UTC": "2199-12-31T23:59:59-00:01",
        "after year 9999 in UTC": "9999-12-31T23:59:59-01:00",
        "empty": "",
    }
    rows: list[Row] = [(f"{path} {name}", path, text) for name, text in texts.items()]
    return [*rows, (f"{path} a number", path, 1767268800), (f"{path} an object", path, {})]


def bad_choice(path: str, capital: str) -> list[Row]:
    """Rows of a closed set of strings."""
    return [
        *missing(path),
        (f"{path} unknown", path, "other"),
        (f"{path} capital", path, capital),
        (f"{path} empty", path, ""),
        (f"{path} a number", path, 1),
        (f"{path} an array", path, []),
    ]


def bad_ids(path: str, most: int) -> list[Row]:
    """Rows of an array of ids that may be absent."""
    return [
        (f"{path} a string", path, "f1"),
        (f"{path} an object", path, {"0": "f1"}),
        (f"{path} true", path, True),
        (f"{path} with one too many", path, ["f"] * (most + 1)),
        (f"{path} with an empty id", path, ["f1", ""]),
        (f"{path} with a null", path, ["f1", None]),
        (f"{path} with a number", path, [1]),
        (f"{path} with an array", path, [["f1"]]),
        (f"{path} with too long an id", path, ["x" * 257]),
        (f"{path} with a control character", path, ["a\tb"]),
    ]


def missing(*paths: str) -> list[Row]:
    """Rows of required fields that are absent or null."""
    rows: list[Row] = []
    for path in paths:
        rows += [(f"{path} missing", path, GONE), (f"{path} null", path, None)]
    return rows


def bad_money(path: str, lowest: int) -> list[Row]:
    """Rows of an amount and its currency."""
    currencies = {
        "of two letters": "EU",
        "of four letters": "EURO",
        "in small letters": "eur",
        "with a digit": "EU1",
        "with a space": "EU ",
        "with a foreign capital": "EU\u0420",
        "empty": "",
    }
    currency = f"{path}.currency"
    rows: list[Row] = [(f"{currency} {name}", currency, c) for name, c in currencies.items()]
    return [
        *missing(path, f"{path}.amount_minor", currency),
        *bad_integer(f"{path}.amount_minor", lowest),
        *rows,
        (f"{path} a number", path, 100),
        (f"{path} an array", path, [100, "EUR"]),
        (f"{currency} a number", currency, 978),
    ]


HEAD_ROWS: list[Row] = [
    *bad_string("event_id", 128),
    *missing("occurred_at"),
    *bad_string("studio_id", 128),
    # The record's timestamp is 2026-01-02T12:00:00Z.
    ("occurred_at 24 h and 1 µs ahead", "occurred_at", "2026-01-03T12:00:00.000001Z"),
    ("occurred_at a year ahead", "occurred_at", "2027-01-03T12:00:00Z"),
]
LINE_0 = LAWFUL[ORDER_PLACED]["lines"][0]
ROWS: dict[str, list[Row]] = {
    ORDER_PLACED: [
        *bad_instant("occurred_at"),
        *bad_string("order_id", 256),
        *bad_integer("version", 1),
        *missing("placed_at"),
        *bad_instant("placed_at"),
        *missing("lines"),
        ("lines empty", "lines", []),
        ("lines an object", "lines", {}),
        ("lines with a string", "lines", ["l1"]),
        ("lines with a null", "lines", [None]),
        ("lines 1,001", "lines", [{**LINE_0, "line_id": str(i)} for i in range(1001)]),
        ("lines with one line_id twice", "lines", [LINE_0, {**LINE_0, "product_id": "p2"}]),
        *bad_string("lines.1.line_id", 256),
        *bad_string("lines.0.product_id", 256),
        *missing("lines.0.photo_ids"),
        *bad_ids("lines.0.photo_ids", 5000),
        *bad_optional_string("lines.0.package_id", 256),
        *bad_money("production_cost", 0),
        *missing("paid"),
        *bad_boolean("paid"),
    ],
    ORDER_CANCELLED: bad_string("order_id", 256),
    ORDER_REINSTATED: bad_string("order_id", 256),
    ASSET_DELETED: [
        *bad_choice("asset_type", "Photo"),
        *missing("asset_ids"),
        ("asset_ids empty", "asset_ids", []),
        *bad_ids("asset_ids", 10000),
        *bad_optional_string("deleted_by", 256),
        *bad_instant("restorable_until"),
    ],
    ASSET_RESTORED: [
        *bad_choice("asset_type", "Photo"),
        *missing("asset_ids"),
        ("asset_ids empty", "asset_ids", []),
        *bad_ids("asset_ids", 10000),
    ],
    LAB_TRANSFER: [
        *bad_string("order_id", 256),
        *bad_string("transfer_id", 256),
        ("package_id missing", "package_id", GONE),
        *bad_optional_string("package_id", 256),
        *missing("attempt"),
        *bad_integer("attempt", 1),
        *bad_choice("status", "Failed"),
        *bad_boolean("will_retry"),
        *bad_optional_string("lab_id", 256),
        ("error a string", "error", "paper_jam"),
        ("error an array", "error", []),
        ("error empty", "error", {}),
        *bad_string("error.code", 64),
        *missing("error.message"),
        ("error.message a number", "error.message", 1),
        ("error.message an object", "error.message", {}),
    ],
    BALANCE_CHANGED: [
        *bad_money("balance", -BIG),
        ("credit_limit_minor missing", "credit_limit_minor", GONE),
        *bad_integer("credit_limit_minor", 0),
        *missing("version"),
        *bad_integer("version", 1),
        *bad_ids("settled_order_ids", 10000),
    ],
}

# Lawful, at the border

BORDER_ROWS: dict[str, list[Row]] = {
    ORDER_PLACED: [
        ("as it is", "event_id", "e1"),
        ("event_id of 128 characters", "event_id", "\U0001f4f7" * 128),
        ("event_id with a space", "event_id", " "),
        ("event_id with format characters", "event_id", "\u200d\ufeff\u2028\u00ad"),
        ("order_id of 256 characters", "order_id", "\U0001f4f7" * 256),
        ("version null", "version", None),
        ("version absent", "version", GONE),
        ("version highest", "version", BIG),
        ("occurred_at 24 h ahead", "occurred_at", "2026-01-03T12:00:00Z"),
        ("occurred_at 24 h and 0.9 µs ahead", "occurred_at", "2026-01-03T12:00:00.0000009Z"),
        ("occurred_at in 2000", "occurred_at", "1999-12-31T23:59:59-00:01"),
        ("occurred_at with t and z", "occurred_at", "2026-01-01t12:00:00z"),
        ("occurred_at with many digits", "occurred_at", f"2026-01-01T12:00:00.{'9' * 60}Z"),
        ("occurred_at with one digit", "occurred_at", "2026-01-01T12:00:00.5Z"),
        ("occurred_at with -00:00", "occurred_at", "2026-01-01T12:00:00-00:00"),
        ("occurred_at with +23:59", "occurred_at", "2026-01-01T12:00:00+23:59"),
        ("occurred_at on a leap day", "occurred_at", "2024-02-29T12:00:00Z"),
        ("placed_at first", "placed_at", "2000-01-01T00:00:00Z"),
        ("placed_at last", "placed_at", "2199-12-31T23:59:59.9999999Z"),
        ("placed_at last, written in 2200", "placed_at", "2200-01-01T00:59:59+01:00"),
        ("lines 1,000", "lines", [{**LINE_0, "line_id": str(i)} for i in range(1000)]),
        ("line_ids by case", "lines", [LINE_0, {**LINE_0, "line_id": "L1"}]),
        ("photo_ids 5,000", "lines.0.photo_ids", [str(i) for i in range(5000)]),
        ("photo_ids the same twice", "lines.0.photo_ids", ["f1", "f1"]),
        ("photo_ids none", "lines.0.photo_ids", []),
        ("package_id of a line null", "lines.0.package_id", None),
        ("amount_minor 0", "production_cost.amount_minor", 0),
        ("amount_minor -0", "production_cost.amount_minor", Raw("-0")),
        ("amount_minor highest", "production_cost.amount_minor", BIG),
        ("unknown field", "colour", {"a": [1.5, None, Raw("1e400")]}),
        ("unknown field in a line", "lines.0.colour", 1.0),
        ("unknown field with a control character", "note", "a\nb"),
        ("unknown field with a paired surrogate", "note", Raw(r'"\ud83d\ude00"')),
        ("unknown field of a million digits", "note", Raw("9" * 1_000_000)),
        ("unknown field 50 deep", "note", Raw("[" * 50 + "]" * 50)),
        ("unknown field without name", "note", {"": 1}),
    ],
    ASSET_DELETED: [
        ("asset_ids 10,000", "asset_ids", [str(i) for i in range(10000)]),
        ("asset_ids the same twice", "asset_ids", ["f1", "f1"]),
        ("deleted_by null", "deleted_by", None),
        ("deleted_by absent", "deleted_by", GONE),
        ("restorable_until null", "restorable_until", None),
        ("restorable_until absent", "restorable_until", GONE),
        ("restorable_until before occurred_at", "restorable_until", "2001-01-01T00:00:00Z"),
        ("restorable_until far ahead", "restorable_until", "2199-01-01T00:00:00Z"),
    ],
    ASSET_RESTORED: [
        ("a field of asset-deleted, mistyped", "restorable_until", 7),
        ("another field of asset-deleted, mistyped", "deleted_by", ""),
    ],
    LAB_TRANSFER: [
        ("package_id null", "package_id", None),
        ("will_retry null", "will_retry", None),
        ("will_retry absent", "will_retry", GONE),
        ("will_retry true", "will_retry", True),
        ("lab_id null", "lab_id", None),
        ("error null", "error", None),
        ("error absent", "error", GONE),
        ("error.code of 64 characters", "error.code", "c" * 64),
        ("error.message empty", "error.message", ""),
        ("error.message long", "error.message", "x" * 10_000),
        ("error.message with control characters", "error.message", "\0\n\x7f\x85"),
        ("status started with an error", "status", "started"),
        ("status succeeded with an error", "status", "succeeded"),
    ],
    BALANCE_CHANGED: [
        ("amount_minor lowest", "balance.amount_minor", -BIG),
        ("credit_limit_minor null", "credit_limit_minor", None),
        ("credit_limit_minor 0", "credit_limit_minor", 0),
        ("settled_order_ids absent", "settled_order_ids", GONE),
        ("settled_order_ids null", "settled_order_ids", None),
        ("settled_order_ids empty", "settled_order_ids", []),
        ("settled_order_ids 10,000", "settled_order_ids", [str(i) for i in range(10000)]),
        ("currency that ISO 4217 does not list", "balance.currency", "ZZQ"),
    ],
}
