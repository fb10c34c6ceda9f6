"""Does a schema still keep what the last release promised?

`order-halted` is written by us: whatever the new schema allows, a consumer with the old one must be
able to read. An input is written by others: whatever the old schema allowed, the new one must take.
jsoncompat proves both by comparing structure. Three things it does not, and they are done here:

- *Open sets and other words.* Known values of an open set may be more, never fewer or renamed.
- *Unknown fields* of an input are ignored, so a new optional field takes nothing away, although an
  event could have had a field of that name before; and no schema may forbid unknown fields.
- *Patterns and conditions* it cannot compare: they have to stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jsoncompat

Role = Literal["serializer", "deserializer"]
Schema = dict[str, Any]

RELEASED = Path(__file__).parents[1] / "golden" / "released"

#: jsoncompat passes over the first and understands the others only roughly.
NOT_COMPARED = ("pattern", "if", "then", "else", "allOf", "anyOf", "not", "oneOf")
CLOSING = ("additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties")


def faults(old: Schema, new: Schema, role: Role) -> list[str]:
    """Say what of `old` is not kept by `new`; nothing, where all is."""
    before, after = dict(_fields(old)), dict(_fields(new))
    found = [f"{at}: {word} closes it" for at, x in after.items() for word in CLOSING if word in x]
    # Where only one of them has a field, patterns and conditions do not matter: that a field is
    # gone or has come is for jsoncompat to judge.
    for at in before.keys() & after.keys():
        found += [f"{at}: {word} is not what it was" for word in _moved(before[at], after[at])]
        known = _open_values(after[at])
        found += [f"{at}: {x} is not known any more" for x in _open_values(before[at]) - known]
    compared_old = _close(_compared(old)) if role == "deserializer" else _compared(old)
    if not jsoncompat.check_compat(json.dumps(compared_old), json.dumps(_compared(new)), role):
        found.append(
            "new records could not be read with the old schema"
            if role == "serializer"
            else "events that were lawful would be rejected"
        )
    return sorted(found)


def _fields(root: Schema) -> Iterator[tuple[str, Schema]]:
    """Give the schema of every value within, by its place in the value, with references resolved."""

    def go(schema: Schema, at: str) -> Iterator[tuple[str, Schema]]:
        if "$ref" in schema:
            schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        if _chooses(schema):
            for number, part in enumerate(x for x in schema["anyOf"] if x != {"type": "null"}):
                yield from go(part, f"{at}|{number}" if number else at)
            return
        yield at, schema
        for name, part in schema.get("properties", {}).items():
            yield from go(part, f"{at}.{name}")
        if isinstance(schema.get("items"), dict):
            yield from go(schema["items"], f"{at}[]")

    return go(root, "$")


def _chooses(schema: Schema) -> bool:
    """Tell whether `anyOf` offers types, and is not a condition."""
    return all("$ref" in part or "type" in part for part in schema.get("anyOf", [{}]))


def _condition(schema: Schema, word: str) -> Any:
    if word == "anyOf" and _chooses(schema):
        return None
    return schema.get(word) if word in NOT_COMPARED else None


def _moved(old: Schema, new: Schema) -> list[str]:
    return [word for word in NOT_COMPARED if _condition(old, word) != _condition(new, word)]


def _open_values(schema: Schema) -> set[str]:
    """Give the known values of an open set: a text with examples."""
    return set(schema.get("examples", [])) if schema.get("type") == "string" else set()


def _map(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """Rebuild a schema with every schema within changed."""
    built: Schema = {}
    for word, value in change(schema).items():
        if word in ("properties", "$defs"):
            built[word] = {name: _map(part, change) for name, part in value.items()}
        elif isinstance(value, dict) and word == "items":
            built[word] = _map(value, change)
        elif word == "anyOf":
            built[word] = [_map(part, change) for part in value]  # conditions are out by now
        else:
            built[word] = value
    return built


def _compared(schema: Schema) -> Schema:
    """Leave out what jsoncompat is not asked about; a `$id` it takes for an address."""

    def leave_out(part: Schema) -> Schema:
        left_out = ("$id", "examples", "description", "title", "format")
        return {
            word: value
            for word, value in part.items()
            if word not in left_out and _condition(part, word) is None
        }

    return _map(schema, leave_out)


def _close(schema: Schema) -> Schema:
    """Say that producers send no field that the old schema does not name."""

    def close(part: Schema) -> Schema:
        return {**part, "additionalProperties": False} if "properties" in part else part

    return _map(schema, close)
