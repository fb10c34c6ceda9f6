"""Make the JSON Schema (2020-12) of a topic's values from its struct.

What the types say comes from msgspec, the descriptions from the docstrings below the fields. Enums
of `order-halted` are open (contract.md §5): a schema names the values that are known and takes any.
What a schema could say and a struct cannot stands here in `_BESIDES`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from enum import StrEnum
from typing import Any, Final

import msgspec

from schemas import events, halted, reasons
from schemas.examples import EXAMPLES
from schemas.topics import INPUTS, ORDER_HALTED, Topic

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

#: Topics whose values have a schema.
DESCRIBED: Final = (*INPUTS, ORDER_HALTED)

#: Open on the wire; all of them are enums of this release.
OPEN_SETS: Final[dict[str, type[StrEnum]]] = {
    kind.__name__: kind
    for kind in (reasons.ReasonCode, reasons.Status, reasons.Change, reasons.Action)
}

OPEN: Final = "Open set: take a value that you do not know as “other”."


def _where(name: str, value: object, then: Schema) -> Schema:
    return {
        "if": {"properties": {name: {"const": value}}, "required": [name]},
        "then": then,
    }


_BESIDES: Final[dict[type, Schema]] = {
    events.LabTransfer: _where("will_retry", True, {"properties": {"status": {"const": "failed"}}}),
    halted.Reason: {
        "allOf": [
            _where("code", "credit_limit_reached", {"required": ["credit"]}),
            _where("code", "transfer_failed", {"required": ["transfers", "transfer_count"]}),
        ]
    },
    halted.CausedBy: {
        "anyOf": [
            {"required": ["topic", "partition", "offset", "event_id"]},
            {"required": ["rules"]},
        ]
    },
}


def schema_id(topic: Topic) -> str:
    """Give the `$id` of a topic's schema: name and major version, no address."""
    return f"urn:orderhalt:schema:{topic.name}:v1"


def file_name(topic: Topic) -> str:
    """Name the file of a topic's schema."""
    return f"{topic.name}.schema.json"


def json_schema(topic: Topic) -> Schema:
    """Make the schema of a topic's values; everything that it refers to stands in its `$defs`."""
    assert topic.value is not None, "only topics with a struct have a schema"
    _, found = msgspec.json.schema_components([topic.value], ref_template="#/$defs/{name}")
    kinds = _structs(topic.value)
    defined = {}
    for name in sorted(found):
        if name in OPEN_SETS:
            defined[name] = _open_set(OPEN_SETS[name], found[name])
        else:
            defined[name] = _described(kinds[name], found[name])
    body = defined.pop(topic.value.__name__)
    head = {"$schema": DIALECT, "$id": schema_id(topic)}
    schema = {**head, **body, "examples": [EXAMPLES[topic.name]]}
    return {**schema, "$defs": defined} if defined else schema


def _structs(kind: type) -> dict[str, type]:
    """Collect a struct and all structs within, by name."""
    found: dict[str, type] = {}

    def collect(part: object) -> None:
        if isinstance(part, msgspec.inspect.StructType):
            if part.cls.__name__ not in found:
                found[part.cls.__name__] = part.cls
                for field in part.fields:
                    collect(field.type)
        elif isinstance(part, msgspec.inspect.UnionType):
            for one in part.types:
                collect(one)
        elif isinstance(part, msgspec.inspect.VarTupleType):
            collect(part.item_type)
        elif isinstance(part, msgspec.inspect.Metadata):
            collect(part.type)

    collect(msgspec.inspect.type_info(kind))
    return found


def _open_set(kind: type[StrEnum], schema: Schema) -> Schema:
    return {
        "title": schema["title"],
        "description": f"{schema['description']} {OPEN}",
        "type": "string",
        "examples": [member.value for member in kind],
    }


def _described(kind: type, schema: Schema) -> Schema:
    words = field_docs(kind)
    fields = {
        name: {"description": words[name], **field} if name in words else field
        for name, field in schema["properties"].items()
    }
    described = {
        **schema,
        "description": " ".join(schema["description"].split()),
        "properties": fields,
        **_BESIDES.get(kind, {}),
    }
    return {name: value for name, value in described.items() if value != []}


def field_docs(kind: type) -> dict[str, str]:
    """Read the docstrings below the fields of a struct and of those that it inherits from."""
    words: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__ in (events.__name__, halted.__name__):
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            assert isinstance(body, ast.ClassDef)
            words |= _docstrings(body)
    return words


def _docstrings(body: ast.ClassDef) -> dict[str, str]:
    words = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            words[field.target.id] = " ".join(str(below.value.value).split())
    return words
