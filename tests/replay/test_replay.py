"""`orderhalt replay`: what would have been halted, from files and with no broker."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processor.cli.replay import command
from processor.replay import Rejected, Replay
from schemas.errors import Rejection
from schemas.halted import DATA_SCHEMA, Emission
from tests.contract.vocabulary import (
    DAY_0_MS,
    DAY_MS,
    Event,
    P,
    cancelled,
    deleted,
    line,
    numbered,
    placed,
    restored,
)
from tests.engine import Engine
from tests.model import Model, Record, partition_of
from tests.strategies import (
    PARTITIONS,
    Shape,
    malformed_records,
    random_log,
    shuffled_and_duplicated,
    with_dense_offsets,
)

STORY = (placed(), deleted("product", "p1"), placed("o2"), restored("product", "p1", at=2))


@pytest.fixture(autouse=True)
def _collecting_garbage() -> Iterator[None]:
    """The command turns it off for its own process."""
    yield
    gc.enable()


def as_line(record: Record, **fields: Any) -> bytes:
    """Write a record with all that a line can say."""
    assert record.value is not None
    try:
        value = json.loads(record.value)
    except ValueError:
        value = None
    text = record.value.decode() if not isinstance(value, dict) else value
    key = None if record.key is None else record.key.decode()
    said = {"topic": record.topic, "value": text, "key": key, "timestamp": record.timestamp}
    said |= {"partition": record.partition, "offset": record.offset}
    return json.dumps(said | fields).encode() + b"\n"


def short_line(event: Event, number: int, **fields: Any) -> bytes:
    """Write an event with what a line has to say, and no more."""
    topic, body = event
    value = {"event_id": f"e{number}", "studio_id": "s1", **body}
    return json.dumps({"topic": topic, "value": value, **fields}).encode() + b"\n"


def run(*arguments: str, stdin: bytes = b"", exit_code: int = 0) -> Result:
    result = CliRunner().invoke(command, [*arguments], input=stdin)
    assert result.exit_code == exit_code, result.output
    return result


def emitted_values(log: list[Record], engine: Engine) -> list[bytes]:
    values = []
    for record in log:
        try:
            values += [value for _, value, _ in engine.apply(record) if value is not None]
        except Rejection:
            continue
    return values


# ---- the bytes


@pytest.mark.parametrize("seed", range(12))
def test_a_replay_gives_the_bytes_that_a_worker_would_write(seed: int) -> None:
    """And those are the model's: shuffled, duplicated, with malformed records in between."""
    log = random_log(seed, 120, Shape(studios=3, orders=5), partitions=PARTITIONS)
    log = shuffled_and_duplicated(log, seed)
    for at, (_, record, _) in enumerate(malformed_records()[seed::97]):
        if record.value is not None and is_text(record.value):
            log.insert(at * 7, record)
    log = with_dense_offsets(log)
    result = run("-", "--partitions", str(PARTITIONS), stdin=b"".join(map(as_line, log)))
    lines = result.stdout_bytes.splitlines()
    assert lines == emitted_values(log, Engine(partitions=PARTITIONS))
    model = Model(partitions=PARTITIONS, dataschema=DATA_SCHEMA)
    outcomes = [model.feed(record) for record in log]
    expected = [e.value for outcome in outcomes for e in outcome.emitted if e.value is not None]
    assert [json.loads(text) for text in lines] == expected
    codes = [json.loads(x)["code"] for x in result.stderr.splitlines() if x.startswith("{")]
    assert codes == [outcome.rejected for outcome in outcomes if outcome.rejected]


def is_text(value: bytes) -> bool:
    """Whether a line can hold the value as a text: JSON cannot say bytes that are no UTF-8."""
    try:
        return "\x00" not in value.decode() and len(value) < 1_000
    except UnicodeDecodeError:
        return False


def test_defaults_are_the_studio_the_instant_the_first_partition_and_the_line() -> None:
    stdin = short_line(STORY[0], 0) + b"\n  \n" + short_line(STORY[1], 1)
    (text,) = run("-", stdin=stdin).stdout_bytes.splitlines()
    value = json.loads(text)
    caused_by = {"topic": "asset-deleted", "partition": 0, "offset": 3, "event_id": "e1"}
    assert value["caused_by"] == caused_by, "blank lines count and say nothing"


def test_the_default_timestamp_is_occurred_at() -> None:
    """So the log's own time ages what is closed: the tombstone is not written, the id stays."""
    later = {"occurred_at": "2026-01-09T12:00:00Z"}
    stdin = b"".join(
        [
            short_line(deleted("product", "p1"), 0),
            short_line(placed(), 1),
            short_line(cancelled(), 2),
            short_line(("order-placed", placed("o2", line("l", "p2"))[1] | later), 3),
            short_line(placed(version=2), 4),
            short_line(("order-reinstated", cancelled()[1] | later), 5),
        ]
    )
    values = [json.loads(x) for x in run("-", stdin=stdin).stdout_bytes.splitlines()]
    assert [(v["order_id"], v["change"]) for v in values] == [("o1", "opened"), ("o1", "ended")]
    kept = run("-", "--closed-retention-days", "9", stdin=stdin).stdout_bytes.splitlines()
    assert [json.loads(x)["change"] for x in kept] == ["opened", "ended", "opened"]


def test_a_prefix_stands_in_what_records_say_of_themselves() -> None:
    stdin = b"".join(short_line(event, number) for number, event in enumerate(STORY))
    first = json.loads(run("-", "--topic-prefix", "acme.", stdin=stdin).stdout.splitlines()[0])
    assert first["caused_by"]["topic"] == "acme.asset-deleted"
    records = [r._replace(topic="acme." + r.topic) for r in numbered(STORY[:2])]
    engine = Engine("acme.")
    emitted = [e for record in records for e in engine.feed(record).emitted]
    assert first["event_id"] == emitted[0].headers["ce_id"]


def test_partitions_have_states_of_their_own_and_are_checked_only_when_asked() -> None:
    own = partition_of(b"s1", 4)
    elsewhere = (own + 1) % 4
    stdin = short_line(STORY[0], 0, partition=own) + short_line(STORY[1], 1, partition=elsewhere)
    assert run("-", stdin=stdin).stdout == ""
    result = run("-", "--partitions", "4", stdin=stdin)
    rejected = json.loads(result.stderr.splitlines()[0])
    assert (rejected["code"], rejected["partition"]) == ("wrong_partition", elsewhere)


# ---- files


def test_files_are_read_one_after_the_other_and_written_where_asked(tmp_path: Path) -> None:
    one, two, output = tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "out.jsonl"
    rejected = tmp_path / "rejected.jsonl"
    one.write_bytes(short_line(STORY[0], 0) + b"nonsense\n")
    two.write_bytes(short_line(STORY[1], 1).rstrip(b"\n"))
    files = [str(one), str(two), "-"]
    result = run(
        *files, "--output", str(output), "--rejected", str(rejected), stdin=short_line(STORY[2], 2)
    )
    assert result.stdout == ""
    values = [json.loads(text) for text in output.read_bytes().splitlines()]
    assert [value["caused_by"]["offset"] for value in values] == [2, 3]
    (refused,) = [json.loads(text) for text in rejected.read_bytes().splitlines()]
    assert (refused["line"], refused["code"]) == (2, "malformed_json")
    assert "{" not in result.stderr


@pytest.mark.parametrize("arguments", [(), ("no-such-file",), ("-", "--partitions", "0")])
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    run(*arguments, exit_code=2)


def test_the_summary_counts_by_reason() -> None:
    stdin = b"".join(short_line(event, number) for number, event in enumerate(STORY))
    stdin += short_line(deleted("product", "p1", at=3), 9) + b"nonsense\n"
    summary = run("-", stdin=stdin).stderr
    words = [text.replace("│", " ").split() for text in summary.splitlines()]
    assert [P, "4", "2"] in words
    assert ["all", "4", "2"] in words
    assert "6 lines; records: 2 ended, 4 opened" in summary
    assert "rejected: 1 malformed_json" in summary


def test_nothing_in_is_nothing_out() -> None:
    result = run("-")
    assert result.stdout == ""
    assert "0 lines; records: none" in result.stderr


def test_the_installed_command_reads_stdin() -> None:
    """As a process of its own: halts on stdout, all else on stderr, 0 though a line was rejected."""
    stdin = b"".join(short_line(event, number) for number, event in enumerate(STORY)) + b"[]\n"
    done = subprocess.run(
        [sys.executable, "-m", "processor.cli", "replay", "-"],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(x)["change"] for x in done.stdout.splitlines()] == [
        "opened",
        "opened",
        "ended",
        "ended",
    ]
    assert b'"code":"invalid_event"' in done.stderr


# ---- lines that are no records


def replayed(text: bytes) -> tuple[list[Emission], list[Rejected]]:
    emitted: list[Emission] = []
    rejected: list[Rejected] = []
    Replay(emit=emitted.append, reject=rejected.append).feed([text])
    return emitted, rejected


VALUE = json.dumps({"event_id": "e", "studio_id": "s1", **placed()[1]})
BAD_LINES = [
    ("not JSON", b"nonsense", "malformed_json"),
    ("cut off", b'{"topic":"order-placed","value":{"a":', "malformed_json"),
    ("not UTF-8", b'{"topic":"order-placed","value":"\xff"}', "malformed_json"),
    ("nested without end", b'{"value":' + b"[" * 100_000, "malformed_json"),
    ("an array", b"[]", "invalid_event"),
    ("a number", b"1", "invalid_event"),
    ("no topic", b'{"value":{}}', "invalid_event"),
    ("an unknown topic", b'{"topic":"orders","value":{}}', "invalid_event"),
    ("an output topic", b'{"topic":"order-halted","value":{}}', "invalid_event"),
    ("an offset in words", b'{"topic":"order-placed","value":{},"offset":"1"}', "invalid_event"),
    ("no value", b'{"topic":"order-placed"}', "empty_record"),
    ("a null value", b'{"topic":"order-placed","value":null}', "empty_record"),
    ("an empty text", b'{"topic":"order-placed","value":""}', "empty_record"),
    ("a text that is no JSON", b'{"topic":"order-placed","value":"x"}', "malformed_json"),
    ("a lone surrogate", rb'{"topic":"order-placed","value":"\ud800"}', "malformed_json"),
    ("one deeper", rb'{"topic":"order-placed","value":{"a":"\ud800"}}', "malformed_json"),
    ("a surrogate in the key", rb'{"topic":"order-placed","key":"\ud800"}', "malformed_json"),
    ("a number as value", b'{"topic":"order-placed","value":1}', "invalid_event"),
    ("an empty event", b'{"topic":"order-placed","value":{}}', "invalid_event"),
    (
        "another key",
        b'{"topic":"order-placed","key":"s2","value":%s}' % VALUE.encode(),
        "key_mismatch",
    ),
    ("no key", b'{"topic":"order-placed","key":null,"value":%s}' % VALUE.encode(), "key_mismatch"),
    (
        "long before it happened",
        b'{"topic":"order-placed","timestamp":0,"value":%s}' % VALUE.encode(),
        "invalid_event",
    ),
]


@pytest.mark.parametrize(
    ("text", "code"), [row[1:] for row in BAD_LINES], ids=[row[0] for row in BAD_LINES]
)
def test_a_line_that_is_no_record_is_rejected_and_the_next_is_read(text: bytes, code: str) -> None:
    emitted, rejected = replayed(text)
    assert emitted == []
    assert [(item.line, item.code) for item in rejected] == [(1, code)]
    assert 0 < len(rejected[0].message) < 1000


def test_a_value_may_be_a_text_that_stands_for_itself() -> None:
    text = json.dumps({"topic": "order-placed", "value": VALUE, "timestamp": DAY_0_MS + DAY_MS})
    assert replayed(text.encode()) == ([], [])
