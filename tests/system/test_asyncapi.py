"""The official parser takes the AsyncAPI document, and refuses a broken one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from processor.kafkajars import KAFKA_VERSION
from schemas.documents import documents
from schemas.jsonschemas import DESCRIBED, schema_id
from tests.system import toolbox
from tests.system.readers import run

SCHEMAS = Path(__file__).parents[2] / "schemas"
#: The document says 3.0 on purpose: more tools read it.
NEWER_EXISTS = "asyncapi-latest-version"


def parsed(*paths: Path) -> list[Any]:
    out = run(toolbox.node("validate.js", *map(str, paths)))
    return [json.loads(line) for line in out.splitlines()]


def test_the_document_is_valid() -> None:
    [found] = parsed(SCHEMAS / "asyncapi.yaml")
    assert [x for x in found["diagnostics"] if x["code"] != NEWER_EXISTS] == []
    assert found["valid"]
    assert {schema for _, schema in found["messages"] if schema} == set(map(schema_id, DESCRIBED))
    assert {"OrderForgotten", "RejectedRecord"} <= {name for name, _ in found["messages"]}


def test_a_broken_document_is_refused(tmp_path: Path) -> None:
    for name in documents():
        shutil.copy(SCHEMAS / name, tmp_path)
    whole = (tmp_path / "asyncapi.yaml").read_text("utf-8")
    broken = (
        ("action: receive", "action: reads"),
        ("- compact", "- squeeze"),
        ("./order-halted.schema.json", "./order-helted.schema.json"),
        ("#/channels/order-placed", "#/channels/order-misplaced"),
    )
    paths = [tmp_path / f"{number}.yaml" for number in range(len(broken))]
    for path, (right, wrong) in zip(paths, broken, strict=True):
        assert right in whole
        path.write_text(whole.replace(right, wrong), "utf-8")
    for found, (_, wrong) in zip(parsed(*paths), broken, strict=True):
        assert not found["valid"], wrong
        assert [x for x in found["diagnostics"] if x["severity"] == 0], wrong


def test_the_tools_are_those_of_the_broker() -> None:
    assert (
        f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
        in toolbox.LISTS.joinpath("maven.txt").read_text()
    )
