"""Write the golden files: bytes as this release writes them, which every later one must read.

    python -m tests.golden.make

Only ever add files. A file that changes here says that states and topics in the field are read
otherwise than they were written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from processor.rules.machine import Machine
from schemas import private
from schemas.door import decode
from schemas.halted import CausedBy, Emission, OrderHalted, emission
from schemas.topics import INPUTS
from tests.contract.vocabulary import (
    Event,
    balance,
    cancelled,
    deleted,
    line,
    numbered,
    placed,
    restored,
    transfer,
)
from tests.engine import Engine, Rows, keep
from tests.model import Record
from tests.strategies import borderline_records
from tests.strategies.malformed import TIMESTAMP_MS, text_of
from tests.strategies.rows import LAWFUL, STUDIO

HERE = Path(__file__).parent
RELEASE = HERE / "rows-1.jsonl"
RECORDS = HERE / "order-halted-v1.jsonl"
BY_RULES = HERE / "order-halted-v1-rules.jsonl"
INPUTS_KEPT = HERE / "events-1.jsonl"
JOURNAL = HERE / "journal-1.jsonl"
#: A longer value is at some limit, which the tables of tests/strategies are about.
GOLDEN_MAX_BYTES = 2000
UNTIL = "2026-02-01T00:00:00Z"
ERROR = {"code": "jam", "message": "paper"}
LINES = (
    line("l1", "p1", "f1 f2", "k1"),
    line("l2", "p2", "f2"),
)

#: A state with rows of every kind, and a record of every reason, change and status.
EVENTS: list[Event] = [
    placed("o/1", *LINES, cost=700, paid=True),
    deleted("product", "p1", at=2, deleted_by="u1", restorable_until=UNTIL),
    deleted("photo", "f1 f2", at=2),
    deleted("package", "k1", at=2, deleted_by="u1"),
    balance(100, 200, at=3),
    transfer("failed", "o/1", "k1", attempt=2, at=4, lab_id="lab1", error=ERROR),
    transfer("failed", "o/1", attempt=3, at=5, will_retry=True),
    restored("product", "p1", at=6),
    placed("o2", line("l1", "p3"), at=6),
    deleted("product", "p3", at=7),
    cancelled("o2", at=8),
    placed("o3", line("l1", "p3"), at=6),
    transfer("succeeded", "o3", at=9),
    placed("o4", line("l1", "p3"), at=6),
    restored("product", "p3", at=10),
    cancelled("never placed", at=10),
    balance(1, None, at=11, currency="USD", settled="o3"),
    placed("many", *(line(str(i), "p4", package=f"m{i:02}") for i in range(40)), cost=1),
    *(transfer("started", "many", f"m{i:02}", at=10) for i in range(40)),
]


def records() -> list[Record]:
    """Give the log behind the golden files."""
    return numbered(EVENTS)


def written() -> tuple[Rows, bytes, list[Emission]]:
    """Give rows, checkpoint and records as this release writes them."""
    engine, rows = Engine(), Rows()
    emitted = [emission for record in records() for emission in engine.apply(record)]
    machine = engine.machine(0)
    keep(rows, machine.drain())
    return rows, machine.checkpoint(), emitted


def inputs() -> list[dict[str, Any]]:
    """Give lawful events of every kind and form, and what this release understands by them."""
    cases = [(x.topic, x.value) for _, x in borderline_records() if x.value is not None]
    cases += [(topic, text_of(event).encode()) for topic, event in LAWFUL.items()]
    kinds = {topic.name: topic.value for topic in INPUTS}
    kept = []
    for topic, value in cases:
        if len(value) <= GOLDEN_MAX_BYTES:
            kind = kinds[topic]
            assert kind is not None
            event = decode(kind, STUDIO.encode(), value, TIMESTAMP_MS)
            fields = msgspec.to_builtins(event)
            kept.append({"topic": topic, "value": value.decode(), "understood": fields})
    return kept


def by_rules() -> dict[str, Any]:
    """Give a record that new rules have caused: there are none of that kind while there is one set."""
    record = json.loads(RECORDS.read_text().splitlines()[0])
    halted = msgspec.json.decode(record["value"], type=OrderHalted)
    changed = msgspec.structs.replace(halted, caused_by=CausedBy(rules=2))
    key, value, headers = emission(record["key"], record["headers"]["ce_source"], changed)
    assert value is not None
    said = {name: text.decode() for name, text in headers}
    return {"key": key.decode(), "headers": said, "value": value.decode()}


def journal() -> list[dict[str, Any]]:
    """Give journal records: one without the fields that came later, and one with all of them."""
    first = [private.JOURNAL_FORMAT, 7, [["a", 3, 9]], [["a", 4]], [["b", 0, 2]]]
    whole = private.JournalRecord(
        private.JOURNAL_FORMAT,
        8,
        [private.Run("a", 9, 12), private.Run("b", 2, 3)],
        [("b", 2)],
        [private.Run("c", 1, 5)],
        Machine(0, partitions=4).checkpoint(),
    )
    values = [msgspec.msgpack.encode(first), private.encode(whole)]
    return [
        {"value": value.hex(), "understood": understood(private.decode_journal(value))}
        for value in values
    ]


def understood(record: private.JournalRecord) -> dict[str, Any]:
    """Give a journal record's fields as JSON has them."""
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    checkpoint = fields.pop("checkpoint")
    found: dict[str, Any] = json.loads(msgspec.json.encode(fields))
    return found | {"checkpoint": None if checkpoint is None else checkpoint.hex()}


def write(path: Path, items: list[dict[str, Any]]) -> None:
    """Write one JSON a line."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


def main() -> None:
    """Write all files."""
    rows, checkpoint, emitted = written()
    lines = [{"checkpoint": checkpoint.hex()}]
    for (table, key), row in sorted(rows.items()):
        lines.append({"table": table, "key": key.decode(), "value": row.hex()})
    write(RELEASE, lines)
    texts = []
    for key, value, headers in emitted:
        assert value is not None
        said = {name: text.decode() for name, text in headers}
        texts.append({"key": key.decode(), "headers": said, "value": value.decode()})
    write(RECORDS, texts)
    write(BY_RULES, [by_rules()])
    write(INPUTS_KEPT, inputs())
    write(JOURNAL, journal())


if __name__ == "__main__":
    main()
