"""Records that are not events, each with its code (contract §6), and lawful ones at the border.

All records lie in the right partition of `PARTITIONS`, but for those that test just that.
"""

import copy
import json
from typing import Any

from tests.model import INPUT_TOPICS, LAB_TRANSFER, ORDER_CANCELLED, Record, partition_of

from .rows import BORDER_ROWS, GONE, HEAD_ROWS, LAWFUL, ROWS, STUDIO, Raw

Case = tuple[str, Record, str]
PARTITIONS = 4
TIMESTAMP_MS = 1_767_355_200_000
"""2026-01-02T12:00:00Z"""
MAX_VALUE_BYTES = 1_048_576

# Bytes


def changed(topic: str, path: str, value: object) -> dict[str, Any]:
    """Put a value at a path of the topic's lawful event."""
    event = copy.deepcopy(LAWFUL[topic])
    *parents, last = path.split(".")
    place: Any = event
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return event


def text_of(value: object) -> str:
    """Write JSON with its Raw parts as they are."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(n)}:{text_of(v)}" for n, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(text_of(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def record(topic: str, value: bytes | None, key: bytes | None = STUDIO.encode()) -> Record:
    """Put bytes into a record in the right partition of the lawful studio."""
    partition = partition_of(STUDIO.encode(), PARTITIONS)
    return Record(topic, partition, 0, TIMESTAMP_MS, key, value)


def _with_note(note: bytes) -> bytes:
    """Write a lawful order-cancelled with an unknown field, whose bytes are given."""
    body = text_of(LAWFUL[ORDER_CANCELLED]).encode()
    return body[:-1] + b',"note":' + note + b"}"


def _malformed_values() -> dict[str, bytes]:
    body = text_of(LAWFUL[ORDER_CANCELLED]).encode()
    deep = 100_000
    return {
        "white space only": b" \n",
        "not JSON": b"hello",
        "a comment": body + b"// done",
        "two documents": body + body,
        "cut off": body[:-1],
        "a closing brace too many": body + b"}",
        "trailing comma": body[:-1] + b",}",
        "single quotes": b"{'event_id': 'e1'}",
        "no quotes": b"{event_id: 1}",
        "a NUL behind": body + b"\0",
        "a byte-order mark": b"\xef\xbb\xbf" + body,
        "UTF-16": body.decode().encode("utf-16"),
        "UTF-16 without mark": body.decode().encode("utf-16-le"),
        "UTF-32": body.decode().encode("utf-32"),
        "Latin-1": _with_note('"ä"'.encode("latin-1")),
        "overlong UTF-8": _with_note(b'"\xc0\xaf"'),
        "a surrogate in UTF-8": _with_note(b'"\xed\xa0\x80"'),
        "a pair of surrogates in UTF-8": _with_note(b'"\xed\xa0\xbd\xed\xb8\x80"'),
        "above U+10FFFF": _with_note(b'"\xf4\x90\x80\x80"'),
        "UTF-8 cut off": _with_note(b'"\xe2\x82"'),
        "a lone high surrogate": _with_note(rb'"\ud800"'),
        "a lone low surrogate": _with_note(rb'"\udc00"'),
        "surrogates the wrong way round": _with_note(rb'"\ude00\ud83d"'),
        "two high surrogates": _with_note(rb'"\ud83d\ud83d\ude00"'),
        "a lone surrogate in capitals": _with_note(rb'"\uD800x"'),
        "a lone surrogate in an array": _with_note(rb'[["\udfff"]]'),
        "a lone surrogate deep down": _with_note(rb'{"a":[{"b":"\ud800"}]}'),
        "a lone surrogate in a name": _with_note(rb'{"\ud800":1}'),
        "a lone surrogate in a known field": body.replace(b'"o1"', rb'"o\ud800"'),
        "a lone surrogate, no object": rb'["\ud800"]',
        "NaN": _with_note(b"NaN"),
        "Infinity": _with_note(b"Infinity"),
        "-Infinity": _with_note(b"[-Infinity]"),
        "NaN in a known field": body.replace(b'"o1"', b"NaN"),
        "NaN alone": b"NaN",
        "a leading zero": _with_note(b"01"),
        "a leading plus": _with_note(b"+1"),
        "no digit before the point": _with_note(b".5"),
        "no digit after the point": _with_note(b"1."),
        "no digit in the exponent": _with_note(b"1e"),
        "a minus only": _with_note(b"-"),
        "hexadecimal": _with_note(b"0x1"),
        "a capital True": _with_note(b"True"),
        "nul": _with_note(b"nul"),
        "a line feed in a string": _with_note(b'"a\nb"'),
        "a tab in a string": _with_note(b'"a\tb"'),
        "a NUL in a string": _with_note(b'"a\0b"'),
        "a control character in a name": _with_note(b'{"a\x1fb":1}'),
        "an unknown escape": _with_note(rb'"\x41"'),
        "a short escape": _with_note(rb'"\u12"'),
        "an escape that is not hexadecimal": _with_note(rb'"\u12g4"'),
        "a string without end": _with_note(b'"abc'),
        "a missing colon": _with_note(b'{"a" 1}'),
        "a missing comma": _with_note(b"[1 2]"),
        "a name that is a number": _with_note(b"{1:2}"),
        "a no-break space between": b"\xc2\xa0" + body,
        "a form feed between": b"\x0c" + body,
        "arrays without end": b"[" * deep,
        "deep arrays in an unknown field": _with_note(b"[" * deep + b"]" * deep),
        "deep objects in an unknown field": _with_note(b'{"a":' * deep + b"1" + b"}" * deep),
        "deep arrays, no object": b"[" * deep + b"]" * deep,
    }


NO_OBJECTS = (b"[]", b'"e1"', b"1", b"1.5", b"null", b"true", b"[{}]", b"{}")

# All together


def malformed_records() -> list[Case]:
    """List (name, record, code) of every fault that one record shows by itself."""
    return [*_first_faults(), *_malformed_json(), *_invalid_events(), *_misplaced()]


def _first_faults() -> list[Case]:
    body = text_of(LAWFUL[ORDER_CANCELLED]).encode()
    large = body + b" " * (MAX_VALUE_BYTES + 1 - len(body))
    cases: list[Case] = []
    for topic in INPUT_TOPICS:
        cases += [
            (f"{topic}: no value", record(topic, None), "empty_record"),
            (f"{topic}: no bytes", record(topic, b""), "empty_record"),
        ]
    return [
        *cases,
        ("one byte too large", record(ORDER_CANCELLED, large), "too_large"),
        ("too large and not JSON", record(ORDER_CANCELLED, b"x" * len(large)), "too_large"),
        ("too large, without key", record(ORDER_CANCELLED, large, None), "too_large"),
        ("null, without key", record(ORDER_CANCELLED, None, None), "empty_record"),
        ("not JSON, another key", record(ORDER_CANCELLED, b"x", b"s2"), "malformed_json"),
        ("no event, another key", record(ORDER_CANCELLED, b"{}", b"s2"), "invalid_event"),
    ]


def _malformed_json() -> list[Case]:
    return [
        (name, record(ORDER_CANCELLED, value), "malformed_json")
        for name, value in _malformed_values().items()
    ]


def _invalid_events() -> list[Case]:
    cases: list[Case] = []
    for topic in INPUT_TOPICS:
        named = {value.decode(): value for value in NO_OBJECTS}
        for name, path, replacement in HEAD_ROWS + ROWS[topic]:
            named[name] = text_of(changed(topic, path, replacement)).encode()
        cases += [(f"{topic}: {n}", record(topic, v), "invalid_event") for n, v in named.items()]
    for status in ("started", "succeeded"):
        event = {**LAWFUL[LAB_TRANSFER], "status": status, "will_retry": True}
        name = f"{LAB_TRANSFER}: will_retry with {status}"
        cases.append((name, record(LAB_TRANSFER, text_of(event).encode()), "invalid_event"))
    return cases


def _misplaced() -> list[Case]:
    cases: list[Case] = []
    for topic in INPUT_TOPICS:
        value = text_of(LAWFUL[topic]).encode()
        elsewhere = (partition_of(STUDIO.encode(), PARTITIONS) + 1) % PARTITIONS
        wrong = record(topic, value)._replace(partition=elsewhere)
        other_key = wrong._replace(key=b"s2")
        cases += [
            (f"{topic}: without key", record(topic, value, None), "key_mismatch"),
            (f"{topic}: empty key", record(topic, value, b""), "key_mismatch"),
            (f"{topic}: another key", record(topic, value, b"s2"), "key_mismatch"),
            (f"{topic}: key in capitals", record(topic, value, b"S1"), "key_mismatch"),
            (f"{topic}: key in quotes", record(topic, value, b'"s1"'), "key_mismatch"),
            (f"{topic}: key not UTF-8", record(topic, value, b"s1\xff"), "key_mismatch"),
            (f"{topic}: another key elsewhere", other_key, "key_mismatch"),
            (f"{topic}: elsewhere", wrong, "wrong_partition"),
        ]
    return cases


def borderline_records() -> list[tuple[str, Record]]:
    """List (name, record) of records that look odd and are accepted."""
    cases = [
        (f"{topic}: {name}", record(topic, text_of(changed(topic, path, value)).encode()))
        for topic, rows in BORDER_ROWS.items()
        for name, path, value in rows
    ]
    body = text_of(LAWFUL[ORDER_CANCELLED]).encode()
    largest = body + b" " * (MAX_VALUE_BYTES - len(body))
    spaced = b"\r\n\t " + body
    return [
        *cases,
        ("as large as may be", record(ORDER_CANCELLED, largest)),
        ("white space around", record(ORDER_CANCELLED, spaced)),
        ("another topic's fields", record(ORDER_CANCELLED, _with_note(b'1,"version":"x"'))),
    ]


def too_many_scopes() -> tuple[list[Record], list[tuple[str, Record, str | None]]]:
    """Return transfers of 1,000 packages of one order, then cases with code, each by itself."""

    def transfer(package_id: str | None, order_id: str = "o1") -> Record:
        event = {**LAWFUL[LAB_TRANSFER], "event_id": f"e-{order_id}-{package_id}"}
        event |= {"package_id": package_id, "order_id": order_id}
        return record(LAB_TRANSFER, text_of(event).encode())

    filling = [transfer(f"k{i}")._replace(offset=i) for i in range(1000)]
    cases: list[tuple[str, Record, str | None]] = [
        ("one package more", transfer("k1000"), "too_many_scopes"),
        ("a package known", transfer("k999"), None),
        ("the whole order", transfer(None), None),
        ("another order", transfer("k1000", "o2"), None),
        ("one package more, without key", transfer("k1000")._replace(key=None), "key_mismatch"),
    ]
    return filling, [(name, case._replace(offset=1000), code) for name, case, code in cases]
