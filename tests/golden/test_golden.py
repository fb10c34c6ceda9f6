"""What earlier releases wrote is still read, and what is written has not changed.

A change of these bytes is a change of the row format or of the output's version (contract.md §5).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, ROW_TYPES, Checkpoint
from schemas import private
from schemas.door import decode
from schemas.errors import StateRefused
from schemas.halted import Emission, OrderHalted, emission
from schemas.reasons import PRECEDENCE, Change, ReasonCode, Status
from schemas.topics import INPUTS
from tests.engine import Engine, Rows
from tests.golden.make import HERE, RECORDS, RELEASE, journal, records, understood, written
from tests.strategies.malformed import TIMESTAMP_MS

pytestmark = pytest.mark.rules


def golden_rows() -> tuple[Rows, bytes]:
    first, *others = map(json.loads, RELEASE.read_text().splitlines())
    rows = {(x["table"], x["key"].encode()): bytes.fromhex(x["value"]) for x in others}
    return rows, bytes.fromhex(first["checkpoint"])


def lines_of(*files: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for file in files for text in file.read_text().splitlines()]


def golden_records() -> list[dict[str, Any]]:
    return lines_of(RECORDS)


def kept_records() -> list[dict[str, Any]]:
    """Every record of order-halted that any release has put here."""
    return lines_of(*sorted(HERE.glob("order-halted-v1*.jsonl")))


def kept_events() -> list[dict[str, Any]]:
    """Every event that any release has put here, with what it understood by it."""
    return lines_of(*sorted(HERE.glob("events-*.jsonl")))


def test_journal_records_are_understood_as_they_were() -> None:
    """Those of the first releases, too, which hold no checkpoint."""
    kept = lines_of(*sorted(HERE.glob("journal-*.jsonl")))
    for line in kept:
        record = private.decode_journal(bytes.fromhex(line["value"]))
        assert understood(record) == line["understood"]
    assert {line["understood"]["checkpoint"] is None for line in kept} == {True, False}
    assert journal()[-1] in kept


def test_there_is_a_row_of_every_kind() -> None:
    rows, _ = golden_rows()
    kinds = {table for table, _ in rows} | {
        "transfers" for table, key in rows if table == "orders" and key.count(b"/") == 2
    }
    assert kinds == {*ROW_TYPES, "transfers"}


def test_the_same_events_are_written_as_the_same_rows() -> None:
    rows, checkpoint, _ = written()
    assert (rows, checkpoint) == golden_rows()


def test_a_state_of_an_earlier_release_is_read_to_the_same_judgements() -> None:
    rows, checkpoint = golden_rows()
    live, recovered = Engine(), Engine()
    for record in records():
        live.apply(record)
    machine = recovered.machines[0] = recovered.recovered(0, rows.items())
    assert machine.resume(checkpoint) == []
    assert recovered.judgements() == live.judgements()
    assert recovered.remembered() == live.remembered()
    assert machine.checkpoint() == checkpoint


def test_the_records_are_the_same_byte_for_byte() -> None:
    _, _, emitted = written()
    expected = [
        Emission(
            item["key"].encode(),
            item["value"].encode(),
            tuple((name, text.encode()) for name, text in item["headers"].items()),
        )
        for item in golden_records()
    ]
    assert emitted == expected


def test_there_is_a_record_of_every_reason_change_and_status() -> None:
    values = [msgspec.json.decode(item["value"], type=OrderHalted) for item in golden_records()]
    assert {reason.code for value in values for reason in value.reasons} == set(ReasonCode)
    assert {value.change for value in values} == set(Change)
    assert {value.status for value in values} == set(Status)


def assert_means(today: Any, before: Any) -> None:
    """Check that a value is what it was; fields that have come since are absent in it."""
    if isinstance(before, dict):
        for name, value in today.items():
            assert_means(value, before.get(name))
        assert before.keys() <= today.keys()
    elif isinstance(before, list):
        for item, was in zip(today, before, strict=True):
            assert_means(item, was)
    else:
        assert today == before


def test_an_event_is_understood_as_every_release_understood_it() -> None:
    kinds = {topic.name: topic.value for topic in INPUTS}
    for item in kept_events():
        kind, understood = kinds[item["topic"]], item["understood"]
        assert kind is not None
        value = item["value"].encode()
        event = decode(kind, understood["studio_id"].encode(), value, TIMESTAMP_MS)
        assert_means(msgspec.json.decode(msgspec.json.encode(event)), understood)


def test_there_is_an_event_of_every_kind() -> None:
    assert {item["topic"] for item in kept_events()} == {topic.name for topic in INPUTS}
    assert {x["understood"].get("status") for x in kept_events()} >= {
        *("started", "succeeded", "failed")
    }
    assert {x["understood"].get("asset_type") for x in kept_events()} >= {"photo"}


def test_a_record_of_an_earlier_release_is_read_and_written_alike() -> None:
    for item in kept_records():
        record = msgspec.json.decode(item["value"], type=OrderHalted)
        again = emission(item["key"], item["headers"]["ce_source"], record)
        said = tuple((name, text.encode()) for name, text in item["headers"].items())
        assert again == Emission(item["key"].encode(), item["value"].encode(), said)


def test_fields_stand_in_the_order_of_the_contract() -> None:
    value = json.loads(golden_records()[0]["value"])
    assert list(value) == list(OrderHalted.__struct_fields__)
    assert list(value)[:8] == [
        "event_id",
        "occurred_at",
        "studio_id",
        "order_id",
        "order_version",
        "placed_at",
        "paid",
        "production_cost",
    ]


def test_codes_are_stored_by_their_position_which_never_changes() -> None:
    assert [code.value for code in PRECEDENCE] == [
        "product_missing",
        "photos_missing",
        "package_missing",
        "credit_limit_reached",
        "transfer_failed",
    ]


def with_format(value: bytes, number: int) -> bytes:
    first, *others = msgspec.msgpack.decode(value)
    assert first == FORMAT
    return msgspec.msgpack.encode([number, *others])


def one_row_a_table() -> list[tuple[str, bytes, bytes]]:
    rows, _ = golden_rows()
    found = {t: (t, k, v) for (t, k), v in rows.items() if k.count(b"/") == 1}
    return list(found.values())


TABLE_IDS = [table for table, _, _ in one_row_a_table()]


@pytest.mark.parametrize(("table", "key", "value"), one_row_a_table(), ids=TABLE_IDS)
def test_a_row_of_a_newer_format_is_refused_with_the_remedy(
    table: str, key: bytes, value: bytes
) -> None:
    """Whatever else the newer format looks like."""
    changed = msgspec.msgpack.encode([FORMAT + 1, {"all": "new"}])
    for newer in (with_format(value, FORMAT + 1), changed):
        with pytest.raises(StateRefused, match="Start the newer release") as raised:
            Machine(0).load(table, key, newer)
        assert table in str(raised.value)


@pytest.mark.parametrize(("table", "key", "value"), one_row_a_table(), ids=TABLE_IDS)
def test_a_row_with_fields_that_came_later_in_the_same_format_is_read(
    table: str, key: bytes, value: bytes
) -> None:
    """Fields are added at the end: who does not know them passes them over."""
    machine = Machine(0)
    machine.load(table, key, msgspec.msgpack.encode([*msgspec.msgpack.decode(value), "later"]))
    assert machine.size(table) == 1
    assert list(machine.keys(table)) == [key]
    assert machine.row(table, key) is not None


@pytest.mark.parametrize("value", [b"", b"\xc1", b"{}", b"\x91\x01", b"\x90", b"\xff" * 40])
@pytest.mark.parametrize("table", ROW_TYPES)
def test_bytes_that_are_no_row_are_refused(table: str, value: bytes) -> None:
    with pytest.raises(StateRefused):
        Machine(0).load(table, b"s1/x", value)


def test_a_checkpoint_says_format_rules_partition_time_and_partitions() -> None:
    _, checkpoint = golden_rows()
    assert msgspec.msgpack.decode(checkpoint)[0] == FORMAT
    shorter = msgspec.msgpack.encode(msgspec.msgpack.decode(checkpoint)[:3])
    assert msgspec.msgpack.decode(shorter, type=Checkpoint).partitions is None, "it came later"
