"""Describe the API in OpenAPI 3.1, from the very structs that requests are read into and answers are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from processor.console.problems import Problem

_REFUSALS: Final = {
    400: "The request cannot be understood; `detail` says what to change.",
    401: "No token, or one that is not known.",
    403: "The token is of another studio.",
    404: "It is not known.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many streams are held with this token.",
    503: "The replica is still being read.",
}
_ALWAYS: Final = (400, 401, 403, 503)
_REF: Final = "#/components/schemas/{name}"


class Operation(NamedTuple):
    """One route of the API."""

    method: str
    path: str
    answer: Callable[..., Coroutine[Any, Any, Any]]
    parameters: type[Struct] | None
    reply: type[Struct]
    refusals: tuple[int, ...] = ()
    """Besides those that any route gives."""
    body: type[Struct] | None = None
    events: dict[str, type[Struct]] | None = None
    """The answer is a stream of server-sent events without end: what the data of each kind is."""


def describe(operations: list[Operation]) -> dict[str, Any]:
    """Give the whole document."""
    structs: list[type[Struct]] = [Problem]
    for operation in operations:
        structs += [x for x in (operation.parameters, operation.reply, operation.body) if x]
        structs += (operation.events or {}).values()
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REF)
    named = dict(zip(structs, schemas, strict=True))
    paths: dict[str, Any] = {}
    for operation in operations:
        described = _operation(operation, named, components)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    parameters = {x.parameters.__name__ for x in operations if x.parameters}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "orderhalt",
            "version": version("orderhalt"),
            "description": "Which orders are halted and why; what a deletion would break; what a "
            "top-up would free. Instants are RFC 3339 in UTC; money is in minor units.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {n: s for n, s in components.items() if n not in parameters},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    operation: Operation, named: dict[type[Struct], Any], components: dict[str, Any]
) -> dict[str, Any]:
    text = inspect.getdoc(operation.answer) or ""
    problem = {"application/problem+json": {"schema": named[Problem]}}
    responses: dict[str, Any] = {
        "200": {"description": "The answer.", "content": _content(operation, named)}
    }
    for status in sorted({*_ALWAYS, *operation.refusals}):
        responses[str(status)] = {"description": _REFUSALS[status], "content": problem}
    described: dict[str, Any] = {
        "operationId": operation.answer.__name__,
        "summary": text.partition("\n")[0],
        "responses": responses,
    }
    if operation.parameters is not None:
        schema = components[operation.parameters.__name__]
        required = schema.get("required", ())
        described["parameters"] = [
            {"name": name, "in": "query", "required": name in required, "schema": found}
            for name, found in schema["properties"].items()
        ]
    if operation.events is not None:
        # OpenAPI 3.1 has no words of its own for what is inside of a stream.
        described["x-events"] = {name: named[kind] for name, kind in operation.events.items()}
    if operation.body is not None:
        content = {"application/json": {"schema": named[operation.body]}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _content(operation: Operation, named: dict[type[Struct], Any]) -> dict[str, Any]:
    if operation.events is None:
        return {"application/json": {"schema": named[operation.reply]}}
    kinds = ", ".join(f"`{name}` ({kind.__name__})" for name, kind in operation.events.items())
    text = f"Events, each with JSON of its kind as data: {kinds}. See x-events."
    return {"text/event-stream": {"schema": {"type": "string", "description": text}}}
