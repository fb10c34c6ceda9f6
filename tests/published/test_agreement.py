"""Schemas and structs accept and reject the same, but for what `unsaid` and this file list."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.door import decode
from schemas.errors import Rejection
from schemas.examples import EXAMPLES
from schemas.halted import DATA_SCHEMA, OrderHalted
from schemas.jsonschemas import DESCRIBED, DIALECT, OPEN_SETS, field_docs, json_schema, schema_id
from schemas.topics import INPUTS, ORDER_HALTED
from tests.engine import Engine
from tests.golden.test_golden import kept_records
from tests.published.unsaid import UNSAID, Unsaid, leaves
from tests.strategies import borderline_records, malformed_records, random_log
from tests.strategies.malformed import TIMESTAMP_MS, text_of
from tests.strategies.rows import LAWFUL, STUDIO

KINDS: dict[str, Any] = {topic.name: topic.value for topic in INPUTS}
SCHEMAS = {topic.name: json_schema(topic) for topic in DESCRIBED}
VALIDATORS = {name: jsonschema_rs.validator_for(schema) for name, schema in SCHEMAS.items()}

Path = tuple[str | int, ...]


def decodes(topic: str, value: bytes, key: bytes = STUDIO.encode()) -> bool:
    try:
        decode(KINDS[topic], key, value, TIMESTAMP_MS)
    except Rejection:
        return False
    return True


def parsed(value: bytes) -> Any:
    """Read JSON; of an integer with thousands of digits the first hundred are as much too many."""
    return json.loads(value, parse_int=lambda digits: int(digits[:100]))


def explained(value: Any) -> bool:
    return any(rule.broken_by(value) for rule in UNSAID)


def check(topic: str, value: bytes) -> None:
    """The law: the schema accepts what the decoder does; else an unsaid rule is broken."""
    accepted = VALIDATORS[topic].is_valid(parsed(value))
    if decodes(topic, value):
        assert accepted, f"the schema of {topic} rejects what is lawful: {value[:500]!r}"
    elif accepted:
        assert explained(parsed(value)), f"the schema of {topic} accepts {value[:500]!r}"


# ---- the documents themselves


@pytest.mark.parametrize("topic", DESCRIBED, ids=lambda x: x.name)
def test_a_schema_is_a_schema(topic: Any) -> None:
    schema = SCHEMAS[topic.name]
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == schema_id(topic)
    assert VALIDATORS[topic.name].is_valid(EXAMPLES[topic.name])


def test_the_id_is_the_one_in_the_headers() -> None:
    assert schema_id(ORDER_HALTED) == DATA_SCHEMA


@pytest.mark.parametrize("topic", INPUTS, ids=lambda x: x.name)
def test_an_example_is_an_event(topic: Any) -> None:
    example = EXAMPLES[topic.name]
    key = str(example["studio_id"]).encode()
    timestamp_ms = 1_780_000_000_000
    decode(topic.value, key, msgspec.json.encode(example), timestamp_ms)


def test_the_example_of_the_output_is_one() -> None:
    record = msgspec.convert(EXAMPLES["order-halted"], OrderHalted)
    assert msgspec.json.decode(msgspec.json.encode(record)) == EXAMPLES["order-halted"]


def test_field_docs_are_descriptions() -> None:
    assert field_docs(OrderHalted)["sequence"].startswith("1, 2, 3")
    lines = SCHEMAS["order-placed"]["properties"]["lines"]
    assert lines["description"] == "Their `line_id`s are unique in the order."


# ---- inputs

MALFORMED = [
    (name, record) for name, record, code in malformed_records() if code == "invalid_event"
]


def test_hand_written_values_are_judged_alike() -> None:
    for topic, fields in LAWFUL.items():
        check(topic, text_of(fields).encode())
    for _, record in (*MALFORMED, *borderline_records()):
        assert record.value is not None
        check(record.topic, record.value)


@pytest.mark.parametrize("rule", UNSAID, ids=lambda x: x.rule)
def test_what_a_schema_cannot_say_it_does_not(rule: Unsaid) -> None:
    """The list is not longer than it must be: the schema accepts, the decoder does not."""
    value = {**LAWFUL[rule.topic], **rule.example}
    assert VALIDATORS[rule.topic].is_valid(value)
    assert not decodes(rule.topic, msgspec.json.encode(value))
    assert [x for x in UNSAID if x.broken_by(value)] == [rule]
    assert not explained(LAWFUL[rule.topic])


ODD = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, 2**53 - 1, 2**53, -(2**53), 10**30, 1e400),
    *("", "a", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 256, "x" * 257),
    *("\U0001f4f7" * 128, "\U0001f4f7" * 129, "a\nb", "\x7f", "a\x85", "\ufeff", "a\n", "\n"),
    *("EUR", "eur", "EURO", "ÄÖÜ", "EUR\n", "E R"),
    *(
        "2026-01-01T12:00:00Z",
        "2026-01-01T12:00:00",
        "2025-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z",
    ),
    *("1999-12-31T23:59:59-00:01", "1999-12-31T23:59:59Z", "2200-01-01T00:30:00+01:00"),
    *("2026-01-01T12:00:60Z", "2026-01-01 12:00:00Z", "2026-01-01t12:00:00.1234567z"),
    *("2026-01-01T12:00:00+24:00", "2026-01-01T12:00:00Z\n", "\u0662026-01-01T12:00:00Z"),
    *("photo", "Photo", "product", "started", "failed", "succeeded", STUDIO),
    *([], {}, ["a"], ["a", "a"], [None], [1], ["a"] * 1001, ["a"] * 5001, ["a"] * 10_001),
    *({"amount_minor": 1, "currency": "EUR"}, {"code": "c", "message": ""}, {"code": ""}),
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    items: Sequence[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for name, item in items:
        yield (*path, name)
        yield from paths(item, (*path, name))


def place_of(value: Any, path: Path) -> Any:
    for name in path[:-1]:
        value = value[name]
    return value


@st.composite
def changed(draw: st.DrawFn, originals: Sequence[Any]) -> Any:
    """Take a lawful value and put something else at one or two places, or nothing."""
    value = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(paths(value))))
        place = place_of(value, path)
        if draw(st.booleans()) and isinstance(place, dict):
            del place[path[-1]]
        else:
            # A copy: the odd ones are shared, and the next change may be within.
            place[path[-1]] = copy.deepcopy(draw(JSON_VALUES))
        if not list(paths(value)):
            break
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("topic", KINDS)
def test_generated_values_are_judged_alike(topic: str) -> None:
    @given(changed([LAWFUL[topic], EXAMPLES[topic] | {"studio_id": STUDIO}]))
    def judged_alike(value: Any) -> None:
        text = encoded(value)
        if b"Infinity" not in text:  # a number that JSON cannot write
            check(topic, text)

    judged_alike()


def test_generated_logs_are_accepted() -> None:
    for seed in range(20):
        for record in random_log(seed):
            assert record.value is not None
            assert VALIDATORS[record.topic].is_valid(json.loads(record.value))


# ---- order-halted

HALTED = VALIDATORS[ORDER_HALTED.name]


@cache
def emitted() -> list[Any]:
    """Records of order-halted of every kind: golden ones, and those of random logs."""
    values = [json.loads(item["value"]) for item in kept_records()]
    for seed in range(40):
        engine = Engine()
        for record in random_log(seed, events=60):
            values += [json.loads(x.value) for x in engine.apply(record) if x.value is not None]
    return values


def test_what_is_emitted_is_as_published() -> None:
    assert len(emitted()) > 200
    for value in emitted():
        HALTED.validate(value)
        assert struct_takes(value)


#: Keywords of the schema that say more than the struct checks: it writes, and the rules see to it.
STRUCT_CANNOT_SAY = ("pattern", "enum", "if", "anyOf")


def struct_takes(value: Any) -> bool:
    try:
        msgspec.json.decode(encoded(value), type=OrderHalted)
    except msgspec.ValidationError:
        return False
    return True


def beyond_the_struct(error: Any) -> bool:
    where = [str(part) for part in error.schema_path]
    return where[-1] in STRUCT_CANNOT_SAY or "then" in where


def is_open(value: Any) -> bool:
    """Tell whether an open set has a text that the struct does not know, or an integer is 1.0."""
    reasons = [*listed(value, "reasons"), *listed(value, "ended_reasons")]
    codes = [value.get("primary_reason"), *(x.get("code") for x in reasons if isinstance(x, dict))]
    actions = [action for reason in reasons for action in listed(reason, "actions")]
    sets = {
        "ReasonCode": codes,
        "Action": actions,
        "Change": [value.get("change")],
        "Status": [value.get("status")],
    }
    unknown = [
        text
        for name, texts in sets.items()
        for text in texts
        if isinstance(text, str) and text not in list(OPEN_SETS[name])
    ]
    floats = [x for x in leaves(value) if isinstance(x, float) and x.is_integer()]
    return bool(unknown or floats)


def listed(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return [x for x in found if isinstance(x, dict | str)] if isinstance(found, list) else []


@given(st.data())
def test_changed_records_are_judged_alike(data: st.DataObject) -> None:
    value = data.draw(changed(random.Random(1).sample(emitted(), 60)))
    if "Infinity" in json.dumps(value):
        return
    errors = list(HALTED.iter_errors(value))
    if not struct_takes(value):
        assert errors or is_open(value)
    else:
        assert all(beyond_the_struct(error) for error in errors), errors


def test_an_open_set_takes_what_is_unknown() -> None:
    """contract.md §5: code, status, change and actions; a consumer's schema does not break."""
    value = copy.deepcopy(EXAMPLES["order-halted"])
    value["primary_reason"] = value["reasons"][0]["code"] = "weather"
    value["reasons"][0]["actions"] = ["wait"]
    value["status"], value["change"] = "waiting", "moved"
    value["ended_reasons"] = [{"code": "storm", "since": value["occurred_at"]}]
    HALTED.validate(value)


def test_records_may_gain_fields() -> None:
    """contract.md §5: fields are only added within v1, so no schema may close an object."""
    assert all(b"additionalProperties" not in msgspec.json.encode(x) for x in SCHEMAS.values())
    assert all(b"unevaluated" not in msgspec.json.encode(x) for x in SCHEMAS.values())


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("credit_limit_reached", "credit"),
        ("transfer_failed", "transfers"),
        ("transfer_failed", "transfer_count"),
    ],
)
def test_a_reason_has_what_its_code_promises(code: str, missing: str) -> None:
    value = next(
        copy.deepcopy(x) for x in emitted() if any(r["code"] == code for r in x["reasons"])
    )
    reason = next(r for r in value["reasons"] if r["code"] == code)
    del reason[missing]
    assert not HALTED.is_valid(value)
