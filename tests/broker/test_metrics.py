"""A scripted day on a real Kafka: what is scraped equals what was counted by hand."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

import pytest
from confluent_kafka import Producer

from processor.metrics import names
from schemas.partitioning import default_partition
from tests.broker.fleet import Fleet
from tests.metrics.cluster import Scraped, read, total
from tests.metrics.scraping import Asked
from tests.support.processes import wait_until

PARTITIONS = 2
MakeFleet = Callable[..., Fleet]


def studio_of(partition: int) -> str:
    """Name a studio of a partition."""
    found = (f"studio-{n}" for n in range(100))
    return next(x for x in found if default_partition(x.encode(), PARTITIONS) == partition)


ANNA, BERT = studio_of(0), studio_of(1)


class Day:
    """Events of an hour ago, so many seconds after its start, numbered as they are sent."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.start = time.time() - 3600
        self._prefix = prefix
        self._sent = 0
        self._producer = Producer({"bootstrap.servers": servers})

    def at(self, seconds: float) -> str:
        return datetime.fromtimestamp(self.start + seconds, UTC).isoformat()

    def send(self, topic: str, studio: str, second: float, **fields: Any) -> bytes:
        self._sent += 1
        event = {
            "event_id": f"e{self._sent}",
            "occurred_at": self.at(second),
            "studio_id": studio,
            **fields,
        }
        value = json.dumps(event).encode()
        self.send_raw(topic, studio, value)
        return value

    def send_raw(self, topic: str, studio: str, value: bytes | None) -> None:
        partition = default_partition(studio.encode(), PARTITIONS)
        self._producer.produce(self._prefix + topic, value, studio.encode(), partition)
        assert self._producer.flush(20) == 0

    def place(
        self,
        studio: str,
        order: str,
        cost: int,
        *,
        currency: str = "EUR",
        placed_hours_ago: float = 1,
        photo: str = "fine",
        product: str = "print",
        package: str | None = None,
    ) -> bytes:
        line = {"line_id": "1", "product_id": product, "photo_ids": [photo], "package_id": package}
        return self.send(
            "order-placed",
            studio,
            0,
            order_id=order,
            placed_at=self.at(3600 - placed_hours_ago * 3600),
            lines=[line],
            production_cost={"amount_minor": cost, "currency": currency},
            paid=False,
        )

    def delete(self, studio: str, second: float, kind: str, asset: str) -> None:
        self.send("asset-deleted", studio, second, asset_type=kind, asset_ids=[asset])

    def transfer(
        self, studio: str, second: float, order: str, status: str, package: str | None = None
    ) -> None:
        self.send(
            "lab-transfer",
            studio,
            second,
            order_id=order,
            transfer_id=f"t{self._sent}",
            package_id=package,
            attempt=1,
            status=status,
        )

    def balance(self, studio: str, second: float, amount: int, version: int, **more: Any) -> None:
        self.send(
            "balance-changed",
            studio,
            second,
            balance={"amount_minor": amount, "currency": "EUR"},
            credit_limit_minor=0,
            version=version,
            **more,
        )


def a_morning(day: Day, settled: Callable[[], object]) -> None:
    """Halts by each reason, orders that are not halted, and records that are no events.

    `settled` waits: which of two topics is read first is the worker's choice, and shows in counts of
    what came too early.
    """
    day.balance(BERT, 1, 0, 1)
    first = day.place(ANNA, "a1", 100, product="gone")
    day.place(ANNA, "a2", 200, photo="gone")
    day.place(ANNA, "a3", 300, package="gone")
    day.place(ANNA, "a4", 400)
    day.place(ANNA, "a5", 1, package="p5")
    day.place(BERT, "b1", 500)
    day.place(BERT, "b2", 600, currency="USD", placed_hours_ago=100)
    settled()
    for kind in ("product", "photo", "package"):
        day.delete(ANNA, 10, kind, "gone")
    day.transfer(ANNA, 20, "a4", "failed")
    # A duplicate, and facts that concern nothing known.
    day.send_raw("order-placed", ANNA, first)
    day.transfer(ANNA, 30, "a5", "started", "no-package-of-a5")
    day.transfer(BERT, 30, "b9", "started")
    day.send("order-cancelled", BERT, 30, order_id="b8")
    settled()
    day.send("order-reinstated", BERT, 31, order_id="b8")
    day.balance(BERT, 30, 0, 2, settled_order_ids=["b7"])
    # What is no event.
    day.send_raw("order-placed", ANNA, b"{")
    day.send_raw("order-placed", BERT, b"{")
    day.send_raw("lab-transfer", ANNA, first.replace(ANNA.encode(), BERT.encode()))
    day.send_raw("balance-changed", ANNA, None)
    day.send("order-cancelled", ANNA, 40)


Expected = dict[names.Metric, dict[Any, int]]
"""Metric → its labels' values, in the order of its labels → value; all others are 0."""
MORNING: Expected = {
    names.EVENTS_TOTAL: {
        ("order-placed", "applied"): 7,
        ("order-placed", "stale"): 1,
        ("order-placed", "rejected"): 2,
        ("order-cancelled", "applied"): 1,
        ("order-cancelled", "rejected"): 1,
        ("order-reinstated", "applied"): 1,
        ("asset-deleted", "applied"): 3,
        ("lab-transfer", "applied"): 3,
        ("lab-transfer", "rejected"): 1,
        ("balance-changed", "applied"): 2,
        ("balance-changed", "rejected"): 1,
    },
    names.REJECTED_TOTAL: {
        ("order-placed", "malformed_json"): 2,
        ("order-cancelled", "invalid_event"): 1,
        ("lab-transfer", "invalid_event"): 1,
        ("balance-changed", "empty_record"): 1,
    },
    names.FACTS_WITHOUT_EFFECT_TOTAL: {
        ("transfer_unknown_order",): 1,
        ("transfer_unknown_package",): 1,
        ("settlement_unknown_order",): 1,
        ("cancellation_unknown_order",): 1,
        ("reinstatement_unknown_order",): 1,
    },
    names.ORDERS_HALTED_TOTAL: {(reason,): 1 for reason in names.REASONS if reason != names.OTHER},
    names.HALTS_ENDED_TOTAL: {},
    names.HALT_RECORDS_TOTAL: {("opened",): 5},
}
HALTED_IN_THE_MORNING: Expected = {
    names.ORDERS_HALTED_PRIMARY: MORNING[names.ORDERS_HALTED_TOTAL],
    names.ORDERS_HALTED_ANY: MORNING[names.ORDERS_HALTED_TOTAL],
    names.HALTED_VALUE_MINOR: {("EUR",): 100 + 200 + 300 + 400 + 500},
    names.ORDERS_IN_FLIGHT: {(): 7},
    names.ORDERS_OVERDUE: {(): 1},
    # Of Anna no balance is known, of Bert none in USD.
    names.ORDERS_WITHOUT_BALANCE: {(): 5 + 1},
    names.HALTS_UNACCOUNTED: {},
    names.TABLE_ROWS: {
        # a1 to a5, b1, b2, and what came for b7, b8 and b9.
        ("orders",): 10,
        ("products",): 1,
        ("photos",): 1,
        ("packages",): 1,
        ("balances",): 1,
    },
}


def a_noon(day: Day) -> None:
    """Halts end, each in another way; all in Anna's partition."""
    day.send("order-cancelled", ANNA, 70, order_id="a1")
    day.send("asset-restored", ANNA, 130, asset_type="photo", asset_ids=["gone"])
    day.transfer(ANNA, 200, "a4", "succeeded")


NOON: Expected = {
    names.EVENTS_TOTAL: {
        ("order-cancelled", "applied"): 1,
        ("asset-restored", "applied"): 1,
        ("lab-transfer", "applied"): 1,
    },
    names.ORDERS_HALTED_TOTAL: {},
    names.HALTS_ENDED_TOTAL: {("cancelled",): 1, ("released",): 1, ("transferred",): 1},
    names.HALT_RECORDS_TOTAL: {("ended",): 3},
}
HALTED_AT_NOON: Expected = {
    names.ORDERS_HALTED_PRIMARY: {("package_missing",): 1, ("credit_limit_reached",): 1},
    names.ORDERS_HALTED_ANY: {("package_missing",): 1, ("credit_limit_reached",): 1},
    names.HALTED_VALUE_MINOR: {("EUR",): 300 + 500},
    names.ORDERS_IN_FLIGHT: {(): 5},
    names.ORDERS_OVERDUE: {(): 1},
    names.ORDERS_WITHOUT_BALANCE: {(): 3 + 1},
    names.HALTS_UNACCOUNTED: {},
    names.TABLE_ROWS: HALTED_IN_THE_MORNING[names.TABLE_ROWS],
}
HALTED_IN_THE_EVENING: Expected = HALTED_AT_NOON | {
    names.ORDERS_HALTED_PRIMARY: {("package_missing",): 1},
    names.ORDERS_HALTED_ANY: {("package_missing",): 1},
    names.HALTED_VALUE_MINOR: {("EUR",): 300},
}


def check(scrapes: list[Scraped], expected: Expected) -> None:
    """Compare every child of the metrics that are named; one that is not listed must be 0."""
    for metric, values in expected.items():
        children = {
            labels for scraped in scrapes for name, labels in scraped if name == metric.name
        }
        by_labels = {  # as scraped: in the order of the labels' names
            tuple(value for _, value in sorted(zip(metric.labels, labels, strict=True))): value
            for labels, value in values.items()
        }
        found = {
            labels: sum(scraped.get((metric.name, labels), 0) for scraped in scrapes)
            for labels in children
        }
        assert found == dict.fromkeys(children, 0) | by_labels, metric.name


def a_fleet(make_fleet: MakeFleet) -> Fleet:
    return make_fleet(partitions=PARTITIONS, environment={"ORDERHALT_ADMIN_PORT": "0"})


def scraped_when(asked: list[Asked], fleet: Fleet) -> list[Scraped]:
    """Scrape when all has been committed and counted: the commit comes a moment before."""
    fleet.wait_until_applied()
    time.sleep(0.5)
    return [one.scrape() for one in asked]


@pytest.mark.slow
def test_what_is_scraped_equals_what_was_counted_by_hand(
    make_fleet: MakeFleet, kafka: Any, topic_prefix: str
) -> None:
    fleet, day = a_fleet(make_fleet), Day(kafka.bootstrap_servers, topic_prefix)
    asked = Asked(fleet.start("w1"))
    a_morning(day, fleet.wait_until_applied)
    [morning] = scraped_when([asked], fleet)
    check([morning], MORNING | HALTED_IN_THE_MORNING)
    age = read(morning, names.OLDEST_HALT_AGE_SECONDS)
    # The credit halt was caused by the balance of second 1 or by the order of second 0.
    assert time.time() - day.start - 5 < age <= time.time() - day.start + 1
    delays = [
        read(morning, names.HALT_DELAY_SECONDS, reason, suffix="_count") for reason in names.REASONS
    ]
    assert delays == [1, 1, 1, 1, 1, 0]

    # Killed between two scrapes, with everything of the noon applied and nothing committed.
    fleet.die_at({"w1": "before_end@1"}, cause=lambda: a_noon(day))
    asked = Asked(fleet._workers["w1"])
    fleet.wait(lambda: asked.ready()[0], "w1 to be ready again")
    [noon] = scraped_when([asked], fleet)
    check([noon], NOON | HALTED_AT_NOON)
    durations = {
        status: read(noon, names.HALT_DURATION_SECONDS, status, suffix="_sum")
        for status in names.ENDED_STATUSES
    }
    assert durations == {
        "cancelled": pytest.approx(70 - 10, abs=0.001),
        "released": pytest.approx(130 - 10, abs=0.001),
        "transferred": pytest.approx(200 - 20, abs=0.001),
        "other": 0,
    }
    assert read(noon, names.RECOVERY_ROWS_TOTAL) > 0

    # A second worker takes one of the partitions.
    second = Asked(fleet.start("w2"))
    fleet.wait(lambda: fleet.owned("w2") == frozenset([1]), "w2 to own a partition")
    fleet.wait(lambda: asked.ready()[0] and second.ready()[0], "both to be ready")
    both = scraped_when([asked, second], fleet)
    check(both, HALTED_AT_NOON)
    assert [read(one, names.PARTITIONS_OWNED) for one in both] == [1, 1]
    day.balance(BERT, 300, 1000, 3)
    both = scraped_when([asked, second], fleet)
    check(both, HALTED_IN_THE_EVENING)
    assert total(both, names.HALTS_ENDED_TOTAL, "released") == 2
    assert total(both, names.BALANCE_AGE_SECONDS) == pytest.approx(
        time.time() - day.start - 300, abs=5
    )

    # And the first has both again, found by recovery, when the second leaves.
    fleet.leave("w2")
    fleet.wait(lambda: fleet.owned("w1") == frozenset([0, 1]), "w1 to own all again")
    check(scraped_when([asked], fleet), HALTED_IN_THE_EVENING)


def test_every_metric_is_there_from_the_start_in_both_formats(make_fleet: MakeFleet) -> None:
    """Before anything has come: each name of the file and no other, each child, at 0."""
    fleet = a_fleet(make_fleet)
    asked = Asked(fleet.start("w1"))
    fleet.wait(lambda: asked.ready()[0], "w1 to be ready")
    families = {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in asked.families()
    }
    assert families.keys() == names.BY_NAME.keys()
    for name, family in families.items():
        metric = names.BY_NAME[name]
        assert family.type == metric.kind
        assert family.documentation == metric.help
    assert {name for name, _ in asked.scrape() if name in names.BY_NAME} == {
        metric.name
        for metric in names.ALL
        if metric.kind != names.Kind.HISTOGRAM and metric != names.HALTED_VALUE_MINOR
    }


def test_ready_from_recovery_to_sigterm_and_live_all_along(make_fleet: MakeFleet) -> None:
    fleet = a_fleet(make_fleet)
    worker = fleet.start("w1")
    asked = Asked(worker)
    assert asked.live(), "the port is there before anything is recovered"
    fleet.wait(lambda: asked.ready()[0], "w1 to be ready")
    # What it had to end is held up, so that it can be asked meanwhile.
    worker.send(signal.SIGTERM)
    seen = []
    while worker.running:
        try:
            seen.append(asked.ready())
        except (OSError, HTTPException):
            # It has ended, in the midst of an answer maybe.
            break
    assert worker.wait(10) == 0
    assert seen[-1] == (False, ["The worker ends."]), seen


def test_the_lag_of_a_stuck_consumer_keeps_rising(
    make_fleet: MakeFleet, kafka: Any, topic_prefix: str
) -> None:
    """A producer's transaction that stays open holds back what comes after it."""
    fleet, day = a_fleet(make_fleet), Day(kafka.bootstrap_servers, topic_prefix)
    asked = Asked(fleet.start("w1"))
    day.place(ANNA, "a1", 100)
    fleet.wait(lambda: asked.ready()[0], "w1 to be ready")
    fleet.wait_until_applied()
    hanging = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": f"{topic_prefix}hangs"}
    )
    hanging.init_transactions(20)
    hanging.begin_transaction()
    hanging.produce(f"{topic_prefix}order-placed", b"{", ANNA.encode(), 0)
    assert hanging.flush(20) == 0
    stuck_at = time.time()
    for number in range(3):
        day.place(ANNA, f"late-{number}", 100)

    def lag() -> tuple[float, float]:
        scraped = asked.scrape()
        at = "order-placed", "0"
        return (
            read(scraped, names.CONSUMER_LAG_RECORDS, *at),
            read(scraped, names.CONSUMER_LAG_SECONDS, *at),
        )

    wait_until(lambda: lag()[0] == 4, 15, lambda: f"{lag()}")
    first, at = lag()[1], time.time()
    # No more than the time between two looks is added to the true age.
    assert at - stuck_at - 1 < first < at - stuck_at + 6
    day.place(ANNA, "late-3", 100)
    wait_until(lambda: lag()[0] == 5, 15)
    assert lag()[1] == pytest.approx(first + time.time() - at, abs=1), "it rises with the clock"
    hanging.commit_transaction(20)
    wait_until(lambda: lag() == (0, 0), 15, lambda: f"{lag()}")
