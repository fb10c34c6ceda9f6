"""The consumer of docs/consuming.md keeps a correct table, whatever dies, and after compaction.

It runs as a stranger would run it. What it should hold says the brute-force model, which is fed the
inputs in the order in which the workers took them.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from examples import halted_orders
from processor.localkafka import LocalKafka
from processor.simulator import Settings, simulate
from schemas.halted import DATA_SCHEMA
from schemas.topics import ORDER_HALTED
from tests.broker.evidence import Evidence
from tests.broker.fleet import Fleet, Item, items_of
from tests.broker.swift import SwiftModel
from tests.broker.verifier import outcomes_of, verify
from tests.golden.test_golden import golden_records
from tests.support.processes import ROOT, Worker, wait_until

PARTITIONS = 4
EVENTS = 5_000
#: A virtual month goes by, so that closed orders are forgotten; all of it long past.
SHOPS = Settings(
    seed=5,
    studios=60,
    events_per_second=0.002,
    orders_in_flight=200,
    start_us=1_577_865_600_000_000,
    trouble=4,
    malformed_share=0.01,
)
#: What makes the broker compact within seconds instead of days.
COMPACT_NOW = {
    "min.compaction.lag.ms": "0",
    "min.cleanable.dirty.ratio": "0.01",
    "segment.ms": "500",
}

Orders = dict[str, tuple[int, dict[str, Any]]]
"""Order key → sequence and record."""


# ---- the page


def test_the_page_shows_what_the_example_does() -> None:
    page = (ROOT / "docs" / "consuming.md").read_text("utf-8")
    shown = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    source = (ROOT / "examples" / "halted_orders.py").read_text("utf-8")
    assert shown
    assert all(block in source for block in shown)


def test_reading_again_from_anywhere_changes_nothing() -> None:
    """At least once, in the order of the partition: what a consumer without its own offsets gets."""
    records: list[tuple[bytes, bytes | None]] = [
        (item["key"].encode(), item["value"].encode()) for item in golden_records()
    ]
    records.insert(9, (records[0][0], None))

    def after(log: list[tuple[bytes, bytes | None]]) -> Orders:
        table = halted_orders.Table(":memory:")
        for key, value in log:
            halted_orders.apply(table, key, value)
        return orders_of(table._database)

    wanted = after(records)
    assert len(wanted) > 1
    for end in range(len(records) + 1):
        for start in range(end + 1):
            assert after([*records[:end], *records[start:]]) == wanted


def test_what_is_known_never_goes_back() -> None:
    """A record that comes again is dropped by its sequence, at every single step."""
    records = [(item["key"].encode(), item["value"].encode()) for item in golden_records()]
    table = halted_orders.Table(":memory:")
    for number, (key, value) in enumerate(records):
        halted_orders.apply(table, key, value)
        known = orders_of(table._database)
        for older_key, older in records[: number + 1]:
            halted_orders.apply(table, older_key, older)
            assert orders_of(table._database) == known


# ---- under fire


class Reader(NamedTuple):
    """A consumer process and its database."""

    process: Worker
    database: Path


class Readers:
    """Starts consumers; those that run end with the test."""

    def __init__(self, servers: str, topic: str, directory: Path) -> None:
        self._arguments = [str(ROOT / "examples" / "halted_orders.py")]
        self._arguments += ["--bootstrap-servers", servers, "--topic", topic]
        self._directory = directory
        self._running: list[Worker] = []

    def start(self, name: str) -> Reader:
        """Start one on the database of this name, new or as it was left."""
        database = self._directory / f"{name}.db"
        log = self._directory / f"{name}.log"
        process = Worker(log, [*self._arguments, "--database", str(database)], {})
        self._running.append(process)
        return Reader(process, database)

    def end(self) -> None:
        for process in self._running:
            if process.running:
                process.kill()


def orders_of(connection: sqlite3.Connection) -> Orders:
    rows = connection.execute("SELECT key, sequence, record FROM orders").fetchall()
    return {key: (sequence, json.loads(record)) for key, sequence, record in rows}


def orders_in(database: Path) -> Orders:
    with sqlite3.connect(database) as connection:
        return orders_of(connection)


def halted_in(database: Path) -> dict[tuple[str, str], str]:
    """Give what the view of the example shows: (studio, order) → primary reason."""
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT studio_id, order_id, primary_reason FROM halted")
        return {(studio, order): reason for studio, order, reason in rows}


def positions_in(database: Path) -> dict[int, int]:
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'positions'")
        if found.fetchone() is None:
            return {}  # it has only just been started
        return dict(connection.execute("SELECT partition, next FROM positions").fetchall())


@pytest.fixture(scope="module")
def quick_cleaner() -> Iterator[LocalKafka]:
    """A broker that looks for something to compact all the time."""
    with LocalKafka(properties={"log.cleaner.backoff.ms": "100"}) as broker:
        yield broker


@pytest.fixture
def fleet(quick_cleaner: LocalKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(
        quick_cleaner.bootstrap_servers,
        topic_prefix,
        tmp_path,
        partitions=PARTITIONS,
        create_time=True,
    )
    topic = ConfigResource(
        ResourceType.TOPIC,
        fleet.view.name(ORDER_HALTED),
        incremental_configs=[
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in COMPACT_NOW.items()
        ],
    )
    admin = AdminClient({"bootstrap.servers": quick_cleaner.bootstrap_servers})
    for future in admin.incremental_alter_configs([topic]).values():
        future.result(20)
    yield fleet
    fleet.end()


@pytest.fixture
def readers(fleet: Fleet, tmp_path: Path) -> Iterator[Readers]:
    readers = Readers(fleet.view.servers, fleet.view.name(ORDER_HALTED), tmp_path)
    yield readers
    readers.end()


def items() -> list[Item]:
    return items_of(islice(simulate(SHOPS), EVENTS), PARTITIONS)


def demanded(evidence: Evidence) -> tuple[Orders, int, int]:
    """Give what the contract leaves of every order, and how many records and tombstones made it."""
    model = SwiftModel(evidence.prefix, partitions=PARTITIONS, dataschema=DATA_SCHEMA)
    orders: Orders = {}
    records = tombstones = 0
    for partition in range(PARTITIONS):
        for _, emitted, _ in outcomes_of(evidence, partition, evidence.journal[partition], model):
            for one in emitted:
                records += 1
                if one.value is None:
                    tombstones += 1
                    del orders[one.key]
                else:
                    orders[one.key] = one.value["sequence"], one.value
    return orders, records, tombstones


def once_compacted(fleet: Fleet, records: int) -> Evidence:
    """Wait until the broker has compacted order-halted, the segments that are closed; look then."""
    found = [fleet.view.gather()]

    def left() -> int:
        found[0] = fleet.view.gather()
        return sum(map(len, found[0].halted.values()))

    wait_until(lambda: left() < records, 120, lambda: f"{left()} of {records} are left", 1.0)
    return found[0]


@pytest.mark.slow
def test_the_table_is_right(fleet: Fleet, readers: Readers) -> None:
    """Workers die by kill -9; one consumer dies and goes on, one loses its place, one starts over."""
    for name in ("w0", "w1"):
        fleet.start(name)
    reader = readers.start("follows")
    forgetful = readers.start("loses its place")
    with fleet.load(items(), per_second=1_000) as load:
        load.allowed = EVENTS // 5
        fleet.wait(lambda: fleet.view.applied() > EVENTS // 10, "the first events")
        for number, name in enumerate(("w0", "w1", "w0", "w1")):
            load.allowed = EVENTS * (number + 1) // 5
            fleet.die_at({name: "before_end@2"})
            reader.process.kill()
            reader = readers.start("follows")
            forgetful.process.kill()
            with sqlite3.connect(forgetful.database) as connection:
                connection.execute("DELETE FROM positions")
            forgetful = readers.start("loses its place")
    assert load.sent == EVENTS
    fleet.wait_until_applied()
    fleet.stop()
    orders, records, tombstones = demanded(fleet.view.gather())
    evidence = once_compacted(fleet, records)
    readable = sum(map(len, evidence.halted.values()))
    ends = {p: found[-1].offset + 1 for p, found in evidence.halted.items() if found}
    assert tombstones > 10
    anew = readers.start("starts over")
    for one in (reader, forgetful, anew):
        wait_until(
            lambda one=one: positions_in(one.database) == ends,  # type: ignore[misc]
            60,
            lambda one=one: f"{positions_in(one.database)}, {ends}: {one.process.log()[-2000:]}",  # type: ignore[misc]
        )
        assert orders_in(one.database) == orders, one.database.name
    halted = {
        (record["studio_id"], record["order_id"]): record["primary_reason"]
        for _, record in orders.values()
        if record["reasons"]
    }
    assert halted_in(anew.database) == halted
    assert 5 < len(halted) < len(orders)
    problems = [x for x in verify(evidence).problems if not x.startswith("order-halted")]
    assert problems == [], "but for what compaction has taken, all is as demanded"
    print(f"{records} records, {tombstones} of them tombstones; {readable} left by compaction")
    print(f"{len(orders)} orders, {len(halted)} of them halted; deaths: {dict(fleet.deaths)}")
