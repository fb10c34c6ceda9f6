"""§1, §2: the largest lawful records give rows and records that every topic must accept (4 MiB)."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from processor.rules.changes import ChangedRow
from processor.rules.machine import Machine
from schemas.events import VALUE_MAX_BYTES
from schemas.halted import LISTED_MAX, Emission
from schemas.topics import OUTPUT_MAX_MESSAGE_BYTES
from tests.contract.vocabulary import (
    DAY_0_MS,
    DAY_MS,
    Event,
    balance,
    deleted,
    line,
    placed,
    restored,
    transfer,
)
from tests.engine import Engine, Rows, keep
from tests.model import Record

pytestmark = pytest.mark.rules

#: What a message may have, less what Kafka itself puts around it.
MESSAGE_MAX_BYTES = OUTPUT_MAX_MESSAGE_BYTES - 1024
SCOPES = 1000


def longest(number: int, length: int = 256) -> str:
    """An id that takes most room: four bytes in UTF-8, twelve percent-encoded, a character."""
    return f"{number:05}".rjust(length, "\U0001f4f7")


STUDIO = longest(0, 128)


def record(event: Event, number: int, day: float = 0) -> Record:
    topic, fields = event
    value = {"studio_id": STUDIO, "event_id": longest(number, 128), **fields}
    body = json.dumps(value, ensure_ascii=False).encode()
    assert len(body) <= VALUE_MAX_BYTES, len(body)
    timestamp = DAY_0_MS + round(day * DAY_MS)
    return Record(topic, 0, number, timestamp, STUDIO.encode(), body)


def check_size(
    key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
) -> None:
    size = len(key) + len(value or b"") + sum(len(name) + len(text) for name, text in headers)
    assert size <= MESSAGE_MAX_BYTES, size


class Disk:
    """A machine whose rows are kept, and the size of whatever leaves it checked."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.rows = Rows()
        self.fed = 0

    def feed(self, *events: Event, day: float = 0) -> list[Emission]:
        emitted: list[Emission] = []
        for event in events:
            emitted += self.engine.apply(record(event, self.fed, day))
            self.fed += 1
        for emission in emitted:
            check_size(*emission)
        self.drain()
        return emitted

    def drain(self) -> list[ChangedRow]:
        drained = self.engine.machine(0).drain()
        for _, key, value in drained:
            check_size(key, value)
        keep(self.rows, drained)
        return drained

    def crash(self, seed: int = 0) -> Machine:
        rows = list(self.rows.items())
        random.Random(seed).shuffle(rows)
        checkpoint = self.engine.machine(0).checkpoint()
        judgements, remembered = self.engine.judgements(), self.engine.remembered()
        machine = self.engine.machines[0] = self.engine.recovered(0, rows)
        assert machine.resume(checkpoint) == []
        assert self.engine.judgements() == judgements
        assert self.engine.remembered() == remembered
        return machine


def last_value(emitted: list[Emission]) -> dict[str, Any]:
    value = emitted[-1].value
    assert value is not None
    found: dict[str, Any] = json.loads(value)
    return found


ORDER = longest(1)
# 1,000 lines with an id, a product and a package of 1,024 bytes each would not fit into a record.
LINES_OF_LONG_IDS: list[dict[str, Any]] = [
    {"line_id": longest(i, 80), "product_id": longest(i, 80), "photo_ids": [], "package_id": None}
    for i in range(SCOPES)
]
PHOTOS_OF_LONG_IDS = [longest(i) for i in range(990)]
ERROR = {"code": longest(0, 64), "message": "\U0001f4f7" * 500}


def test_the_largest_order_placed() -> None:
    disk = Disk()
    largest = placed(ORDER, *LINES_OF_LONG_IDS)
    assert len(record(largest, 0).value or b"") > 0.6 * VALUE_MAX_BYTES
    disk.feed(largest)
    products = " ".join(x["product_id"] for x in LINES_OF_LONG_IDS)
    value = last_value(disk.feed(deleted("product", products, deleted_by=longest(3))))
    (reason,) = value["reasons"]
    assert reason["line_count"] == reason["subject_count"] == SCOPES
    assert len(reason["subjects"]) == len(reason["line_ids"]) == LISTED_MAX
    disk.crash()
    assert last_value(disk.feed(restored("product", products, at=2)))["status"] == "released"


def test_an_order_that_is_nothing_but_photos() -> None:
    disk = Disk()
    largest = placed(ORDER, {**line("l1"), "photo_ids": PHOTOS_OF_LONG_IDS})
    assert len(record(largest, 0).value or b"") > 0.95 * VALUE_MAX_BYTES
    disk.feed(largest)
    many = deleted("photo", " ".join(PHOTOS_OF_LONG_IDS), deleted_by=longest(3))
    (reason,) = last_value(disk.feed(many))["reasons"]
    assert reason["subject_count"] == len(PHOTOS_OF_LONG_IDS)
    disk.crash()


def test_5000_photos_a_line_and_10000_assets_an_event() -> None:
    disk = Disk()
    photos = [str(number) for number in range(5000)]
    disk.feed(placed(ORDER, *({**line(f"l{i}"), "photo_ids": photos} for i in range(20))))
    (reason,) = last_value(disk.feed(deleted("photo", " ".join(map(str, range(10_000))))))[
        "reasons"
    ]
    assert (reason["subject_count"], reason["line_count"]) == (5000, 20)
    disk.crash()


def test_10000_settled_orders_and_1000_short_ones() -> None:
    disk = Disk()
    settled = " ".join(f"{number}" for number in range(10_000))
    disk.feed(balance(-(2**53) + 1, 0, settled=settled))
    for number in range(10_000, 11_000):
        disk.engine.apply(record(placed(str(number), cost=2**53 - 1), disk.fed))
        disk.fed += 1
    disk.drain()
    assert len(disk.engine.machine(0).shard.studios[STUDIO].orders) == 11_000
    value = disk.engine.judgements()
    shortest = max(j["credit"]["top_up_minor"] for j in value.values() if j["credit"])
    assert shortest == 1001 * (2**53 - 1), "sums are not bound to what JSON numbers of events are"
    disk.crash()
    ended = disk.feed(balance(0, None, at=2, version=2))
    assert len(ended) == 1000


@pytest.fixture(scope="module")
def failing() -> Disk:
    """An order of 1,000 packages with the longest ids and errors, which all fail, and a crash."""
    disk = Disk()
    packages = [longest(i, 200) for i in range(SCOPES)]
    lines = [line(str(i), package=package) for i, package in enumerate(packages)]
    for package in packages:
        event = transfer("failed", ORDER, package, transfer_id=longest(7), lab_id=longest(8))
        event[1]["error"] = ERROR
        disk.engine.apply(record(event, disk.fed))
        disk.fed += 1
    emitted = disk.feed(placed(ORDER, *lines, paid=True))
    (reason,) = last_value(emitted)["reasons"]
    assert reason["transfer_count"] == reason["subject_count"] == reason["line_count"] == SCOPES
    assert len(reason["transfers"]) == LISTED_MAX
    assert len(emitted[0].value or b"") > 300_000
    return disk


def test_1000_failed_packages_survive_a_crash_in_rows_of_their_own(failing: Disk) -> None:
    """Then the whole order is delivered, forgotten, and none of its rows is left but the id."""
    orders = [key for table, key in failing.rows if table == "orders"]
    assert 900 < len(orders) <= SCOPES
    failing.crash(seed=1)
    assert failing.engine.machine(0).dirty == 0
    ended = failing.feed(transfer("succeeded", ORDER, attempt=9, at=3))
    assert last_value(ended)["status"] == "transferred"
    assert sum(key.endswith(b"/") for _, key in failing.rows) == 1, "the whole order's came last"
    failing.crash(seed=2)
    emitted = failing.feed(placed("another", line("l", "p2")), day=8)
    assert [value for _, value, _ in emitted] == [None]
    left = [key for table, key in failing.rows if table == "orders"]
    assert len(left) == 2, "the id that stays, and the other order"
    failing.crash(seed=3)
    failing.feed(placed("third", line("l", "p2")), day=408)
    left = [key for table, key in failing.rows if table == "orders"]
    assert len(left) == 2, "the two others alone"
