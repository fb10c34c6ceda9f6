"""What the last release promised to consumers and producers is kept, and the check would notice."""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas.jsonschemas import DESCRIBED, OPEN_SETS, file_name, json_schema
from schemas.topics import ASSET_DELETED, INPUTS, LAB_TRANSFER, ORDER_HALTED, ORDER_PLACED, Topic
from tests.golden.test_golden import kept_events, kept_records
from tests.published.compatibility import RELEASED, Role, Schema, faults

ROOT = Path(__file__).parents[2]


def number_of(folder: Path) -> tuple[int, ...]:
    return tuple(map(int, folder.name.split(".")))


RELEASES = sorted(RELEASED.iterdir(), key=number_of)


def released(folder: Path, topic: Topic) -> Schema:
    schema: Schema = json.loads((folder / file_name(topic)).read_text("utf-8"))
    return schema


def role_of(topic: Topic) -> Role:
    return "serializer" if topic is ORDER_HALTED else "deserializer"


def test_there_is_a_baseline_of_this_version() -> None:
    """A release adds the schemas that it ships: copy them to tests/golden/released/VERSION."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert RELEASES[-1].name == project["version"]
    for folder in RELEASES:
        assert {x.name for x in folder.iterdir()} >= {file_name(x) for x in (*INPUTS, ORDER_HALTED)}


@pytest.mark.parametrize("topic", DESCRIBED, ids=lambda x: x.name)
@pytest.mark.parametrize("folder", RELEASES, ids=lambda x: x.name)
def test_what_a_release_promised_is_kept(folder: Path, topic: Topic) -> None:
    assert faults(released(folder, topic), json_schema(topic), role_of(topic)) == []


@pytest.mark.parametrize("folder", RELEASES, ids=lambda x: x.name)
def test_records_of_today_are_read_with_the_schema_of_a_release(folder: Path) -> None:
    validator = jsonschema_rs.validator_for(released(folder, ORDER_HALTED))
    for item in kept_records():
        validator.validate(json.loads(item["value"]))


def test_records_and_events_of_every_release_are_valid_today() -> None:
    today = {x.name: jsonschema_rs.validator_for(json_schema(x)) for x in DESCRIBED}
    for item in kept_records():
        today[ORDER_HALTED.name].validate(json.loads(item["value"]))
    for item in kept_events():
        today[item["topic"]].validate(json.loads(item["value"]))


# ---- the check itself, one row per kind of change

Change = Callable[[Schema], Any]
PLACED, HALTED, DELETED, TRANSFER = (
    json_schema(topic) for topic in (ORDER_PLACED, ORDER_HALTED, ASSET_DELETED, LAB_TRANSFER)
)
TEXT = {"type": "string"}


def part(schema: Schema, path: str) -> Any:
    """Find the schema of a field, such as `Reason.since`, or of a struct, such as `Reason`."""
    place: Any = schema
    for name in path.split("."):
        if name in place.get("$defs", {}):
            place = place["$defs"][name]
        else:
            place = place["properties"][name]
    return place


def put(path: str, **words: Any) -> Change:
    return lambda schema: part(schema, path).update(words)


def drop(path: str, *words: str) -> Change:
    return lambda schema: [part(schema, path).pop(word) for word in words]


def owner_of(schema: Schema, path: str) -> tuple[Schema, str]:
    owner, _, name = path.rpartition(".")
    return (part(schema, owner) if owner else schema), name


def replace(path: str, new: Schema) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        owner["properties"][name] = copy.deepcopy(new)

    return change


def add(path: str, *, required: bool) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        owner["properties"][name] = TEXT
        if required:
            owner["required"].append(name)

    return change


def optional(path: str) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        owner["required"].remove(name)

    return change


def required(path: str) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        owner["required"].append(name)

    return change


def remove(path: str) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        del owner["properties"][name]
        if name in owner["required"]:
            owner["required"].remove(name)

    return change


def rename(path: str, to: str) -> Change:
    def change(schema: Schema) -> None:
        owner, name = owner_of(schema, path)
        owner["properties"][to] = owner["properties"].pop(name)
        owner["required"][owner["required"].index(name)] = to

    return change


def renamed_value(path: str, old: str, new: str, word: str = "examples") -> Change:
    def change(schema: Schema) -> None:
        values = part(schema, path)[word]
        values[values.index(old)] = new

    return change


def nullable(path: str) -> Change:
    def change(schema: Schema) -> None:
        replace(path, {"anyOf": [part(schema, path), {"type": "null"}]})(schema)

    return change


def both(first: Change, second: Change) -> Change:
    return lambda schema: (first(schema), second(schema))


def renamed_struct(old: str, new: str) -> Change:
    def change(schema: Schema) -> None:
        schema["$defs"][new] = schema["$defs"].pop(old)
        schema["properties"]["reasons"]["items"] = {"$ref": f"#/$defs/{new}"}

    return change


PHOTO_CODE = "photos_missing"
# What breaks a consumer of order-halted.
BREAKS_A_CONSUMER: dict[str, Change] = {
    "a field is removed": remove("paid"),
    "a field may be absent": optional("sequence"),
    "a field is renamed": rename("sequence", "number"),
    "a field has another type": replace("paid", TEXT),
    "an integer may have a fraction": put("sequence", type="number"),
    "a field may be null": nullable("halted_since"),
    "a number may be lower": put("sequence", minimum=0),
    "a number may be higher": put("order_version", maximum=2**60),
    "a text may be longer": put("studio_id", maxLength=129),
    "a text may be empty": put("order_id", minLength=0),
    "an instant is written otherwise": put("occurred_at", pattern="^.*$"),
    "an instant may be anything": drop("occurred_at", "pattern"),
    "a list may be longer": put("Reason.subjects", maxItems=101),
    "a list may be without end": drop("Reason.line_ids", "maxItems"),
    "a list has other items": put("Reason.line_ids", items={"type": "integer"}),
    "a field within is removed": remove("Reason.since"),
    "a field within may be absent": optional("Subject.deleted_at"),
    "a field within is renamed": rename("Credit.top_up_minor", "top_up"),
    "a field within may be null": nullable("Money.currency"),
    "a closed set grows": put("Subject.type", enum=["product", "photo", "package", "order", "job"]),
    "a closed set is opened": drop("Subject.type", "enum"),
    "a reason's sums may be absent": drop("Reason", "allOf"),
    "a cause may be empty": drop("CausedBy", "anyOf"),
    "a known reason is renamed": renamed_value("ReasonCode", PHOTO_CODE, "photo_missing"),
    "a known status is gone": put("Status", examples=["halted", "cancelled", "transferred"]),
    "a known change is renamed": renamed_value("Change", "ended", "closed"),
    "a known action is renamed": renamed_value("Action", "top_up", "pay"),
    "an instant in a renamed struct may be anything": both(
        renamed_struct("Reason", "HaltReason"), drop("HaltReason.since", "pattern")
    ),
    "a field is never null and written otherwise": replace(
        "Subject.deleted_at", {"type": "string", "pattern": "^[0-9]+$"}
    ),
    "records are closed": lambda schema: schema.update(additionalProperties=False),
    "the value is a list": lambda schema: schema.update(type="array"),
}
KEEPS_CONSUMERS: dict[str, Change] = {
    "nothing": lambda _: None,
    "a field is added": add("note", required=True),
    "a field that may be absent is added": add("note", required=False),
    "a field within a reason is added": add("Reason.note", required=True),
    "a field within a cause is added": add("CausedBy.note", required=False),
    "a field within a subject is added": add("Subject.note", required=True),
    "a reason is added": lambda schema: part(schema, "ReasonCode")["examples"].append("weather"),
    "a status is added": lambda schema: part(schema, "Status")["examples"].append("waiting"),
    "an action is added": lambda schema: part(schema, "Action")["examples"].append("wait"),
    "words change": put("sequence", description="other words"),
    "a text is shorter": put("studio_id", maxLength=64),
    "a field is never null any more": replace("Subject.deleted_by", part(HALTED, "Subject.id")),
    "a field with a pattern is added": replace("Reason.note", part(HALTED, "Subject.id")),
    "a struct has another name": renamed_struct("Reason", "HaltReason"),
}
# What rejects an event that was lawful.
REJECTS_A_PRODUCER: dict[str, tuple[Schema, Change]] = {
    "a new field must be there": (PLACED, add("note", required=True)),
    "a new field within must be there": (PLACED, add("OrderLine.note", required=True)),
    "a field must be there": (PLACED, required("version")),
    "a field within must be there": (PLACED, required("OrderLine.package_id")),
    "a field may not be null": (PLACED, replace("version", {"type": "integer", "minimum": 1})),
    "a field has another type": (PLACED, replace("paid", TEXT)),
    "a field is renamed": (PLACED, rename("order_id", "id")),
    "a text must be shorter": (PLACED, put("order_id", maxLength=255)),
    "a text must be longer": (PLACED, put("order_id", minLength=2)),
    "a text has fewer characters": (PLACED, put("order_id", pattern="^[a-z0-9]*$")),
    "an instant has fewer forms": (PLACED, put("placed_at", pattern="^.*Z$")),
    "a number must be higher": (PLACED, put("Money.amount_minor", minimum=1)),
    "a number must be lower": (PLACED, put("version", anyOf=[{"type": "integer", "maximum": 9}])),
    "a list must be shorter": (PLACED, put("lines", maxItems=999)),
    "a list must be longer": (PLACED, put("lines", minItems=2)),
    "a list within must be shorter": (PLACED, put("OrderLine.photo_ids", maxItems=4999)),
    "items must be unique": (DELETED, put("asset_ids", uniqueItems=True)),
    "a choice is gone": (DELETED, put("asset_type", enum=["product", "photo"])),
    "a choice is renamed": (TRANSFER, renamed_value("status", "started", "begun", "enum")),
    "unknown fields are forbidden": (PLACED, lambda x: x.update(additionalProperties=False)),
    "unknown fields within are forbidden": (PLACED, put("OrderLine", additionalProperties=False)),
    "a condition is added": (PLACED, lambda x: x.update({"not": {"required": ["version"]}})),
    "a condition is stricter": (TRANSFER, lambda x: x.update(then={"required": ["lab_id"]})),
}
KEEPS_PRODUCERS: dict[str, tuple[Schema, Change]] = {
    "nothing": (PLACED, lambda _: None),
    "an optional field is added": (PLACED, add("note", required=False)),
    "an optional field within is added": (PLACED, add("OrderLine.note", required=False)),
    "a field may be absent": (PLACED, optional("paid")),
    "a field may be null": (PLACED, nullable("paid")),
    "a field is not looked at any more": (PLACED, remove("paid")),
    "a text may be longer": (PLACED, put("order_id", maxLength=300)),
    "a list may be longer": (PLACED, put("lines", maxItems=2000)),
    "a choice is added": (DELETED, put("asset_type", enum=["product", "photo", "package", "job"])),
    "words change": (PLACED, put("paid", description="other words")),
}


def changed(schema: Schema, change: Change) -> Schema:
    new = copy.deepcopy(schema)
    change(new)
    jsonschema_rs.meta.validate(new)
    return new


@pytest.mark.parametrize("name", BREAKS_A_CONSUMER)
def test_what_breaks_a_consumer_is_found(name: str) -> None:
    assert faults(HALTED, changed(HALTED, BREAKS_A_CONSUMER[name]), "serializer")


@pytest.mark.parametrize("name", KEEPS_CONSUMERS)
def test_what_keeps_consumers_is_allowed(name: str) -> None:
    assert faults(HALTED, changed(HALTED, KEEPS_CONSUMERS[name]), "serializer") == []


@pytest.mark.parametrize("name", REJECTS_A_PRODUCER)
def test_what_rejects_a_producer_is_found(name: str) -> None:
    old, change = REJECTS_A_PRODUCER[name]
    assert faults(old, changed(old, change), "deserializer")


@pytest.mark.parametrize("name", KEEPS_PRODUCERS)
def test_what_keeps_producers_is_allowed(name: str) -> None:
    old, change = KEEPS_PRODUCERS[name]
    assert faults(old, changed(old, change), "deserializer") == []


def test_the_check_sees_every_open_set() -> None:
    for name in OPEN_SETS:
        emptied = changed(HALTED, put(name, examples=[]))
        assert any(
            "is not known any more" in fault for fault in faults(HALTED, emptied, "serializer")
        )
