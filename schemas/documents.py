"""The text of every document that is published: one JSON Schema a topic, and AsyncAPI over them."""

from __future__ import annotations

import json

import msgspec.yaml

from schemas.asyncapi import asyncapi
from schemas.jsonschemas import DESCRIBED, file_name, json_schema

_HEADING = "# Made from the code by `python -m schemas`; what is changed here is lost.\n"


def documents() -> dict[str, str]:
    """Give every document by its file name."""
    texts = {
        file_name(topic): json.dumps(json_schema(topic), indent=2, ensure_ascii=False) + "\n"
        for topic in DESCRIBED
    }
    texts["asyncapi.yaml"] = _HEADING + msgspec.yaml.encode(asyncapi()).decode()
    return texts
