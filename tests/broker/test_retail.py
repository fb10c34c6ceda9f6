"""A real shop's year (see `retail`): the rules alone, and workers that are killed, against the model.

`make test` takes every tenth studio through the whole year, `make retail` all of them.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest

from schemas.halted import DATA_SCHEMA
from tests.broker.fleet import Fleet, Item
from tests.broker.retail import DAY_MS, Invoice, log
from tests.broker.swift import SwiftModel
from tests.broker.verifier import verify
from tests.model import INPUT_TOPICS, Record
from tests.strategies import malformed_records, too_many_scopes, with_dense_offsets

pytestmark = pytest.mark.slow

PARTITIONS = 4


def shuffled_within(records: Sequence[Record], days: float, seed: int) -> list[Record]:
    """Deliver in another order, each up to `days` early or late, and one in ten twice."""
    chance = random.Random(seed)
    spread_ms = days * DAY_MS
    again = [record for record in records if chance.random() < 0.1]
    moved = [(r.timestamp + chance.uniform(-1, 1) * spread_ms, r) for r in [*records, *again]]
    return with_dense_offsets([record for _, record in sorted(moved)])


def write_lines(records: Sequence[Record], path: Path) -> None:
    with path.open("wb") as file:
        for record in records:
            head = {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
            }
            assert record.value is not None
            file.write(orjson.dumps(head)[:-1] + b',"value":' + record.value + b"}\n")


def test_the_data_is_what_it_should_be(invoices: list[Invoice]) -> None:
    """Deterministic, with everything in it that the contract knows."""
    records = log(invoices, PARTITIONS)
    assert records == log(invoices, PARTITIONS)
    assert {record.topic for record in records} == set(INPUT_TOPICS)
    assert {record.partition for record in records} == set(range(PARTITIONS))
    assert len({record.value for record in records}) < len(records), "some are delivered twice"
    most_lines = max(len(invoice.lines) for invoice in invoices)
    assert 100 < most_lines <= 1_000


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("order", ["as sent", "shuffled and duplicated"])
def test_replay_agrees_with_the_model(invoices: list[Invoice], order: str, tmp_path: Path) -> None:
    records = log(invoices, PARTITIONS)
    if order != "as sent":
        records = shuffled_within(records, 2.0, seed=2)
    write_lines(records, tmp_path / "in.jsonl")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "processor.cli", "replay", str(tmp_path / "in.jsonl")),
            *("--partitions", str(PARTITIONS), "--output", str(tmp_path / "out.jsonl")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    model = SwiftModel(partitions=PARTITIONS)
    demanded = [
        emitted.value
        for record in records
        for emitted in model.feed(record).emitted
        if emitted.value is not None
    ]
    found = [orjson.loads(line) for line in (tmp_path / "out.jsonl").open("rb")]
    for number, (want, have) in enumerate(zip(demanded, found, strict=False)):
        assert have == want, f"record {number}"
    assert len(found) == len(demanded)
    changes = Counter(value["change"] for value in found)
    assert min(changes[change] for change in ("opened", "changed", "ended")) > len(invoices) / 50


def as_items(records: Sequence[Record], chance: random.Random) -> list[Item]:
    """Add what is no event at random places, one record in a hundred or more, some with headers."""
    scopes, cases = too_many_scopes()
    strange = [record for _, record, _ in malformed_records()]
    strange += [case for _, case, code in cases if code == "too_many_scopes"]
    wanted = max(len(strange), len(records) // 100)
    strange += chance.choices(strange[:-1], k=wanted - len(strange))
    places = sorted(chance.choices(range(len(records)), k=len(strange)))
    chance.shuffle(strange)
    # What fills an order with scopes must have come before the one too many.
    mixed = list(scopes)
    for at, record in enumerate(records):
        mixed.append(record)
        while places and places[0] == at:
            places.pop(0)
            mixed.append(strange.pop())
    assert not strange
    headers = (("trace", b"\x00\xff"), ("trace", b"again"), ("empty", b""), ("null", None))
    return [
        Item(
            r.topic,
            r.partition,
            r.timestamp,
            r.key,
            r.value,
            headers if chance.random() < 0.2 else (),
        )
        for r in mixed
    ]


@pytest.mark.timeout(3_600)
def test_the_year_through_kafka_with_kills(
    invoices: list[Invoice], make_fleet: Callable[..., Fleet]
) -> None:
    """Two workers, kill -9 of each in turn; exactly the halts that the model demands come out."""
    chance = random.Random(1)
    items = as_items(log(invoices, PARTITIONS), chance)
    fleet = make_fleet(partitions=PARTITIONS, create_time=True)
    names = ["w0", "w1"]
    for name in names:
        fleet.start(name)
    kills = max(6, len(items) // 5_000)
    with fleet.load(items, per_second=len(items) / (kills * 3)):
        for number in range(kills):
            applied = chance.uniform(number, number + 1) * len(items) / kills
            fleet.wait(lambda: fleet.view.applied() >= applied, f"{applied:.0f} records")  # noqa: B023
            fleet.kill(names[number % 2])
    fleet.wait_until_applied()
    fleet.stop()
    evidence = fleet.view.gather()
    model = SwiftModel(evidence.prefix, partitions=PARTITIONS, dataschema=DATA_SCHEMA)
    verdict = verify(evidence, model)
    assert verdict.problems == [], fleet.log_tails()
    assert verdict.inputs == len(items)
    assert len(verdict.reasons) == 5
    assert set(verdict.rejected) == {
        "too_large",
        "empty_record",
        "malformed_json",
        "invalid_event",
        "key_mismatch",
        "wrong_partition",
        "too_many_scopes",
    }
    print(dict(fleet.deaths), verdict)
