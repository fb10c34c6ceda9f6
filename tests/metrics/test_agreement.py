"""The sum over all workers is what a look through everything finds, whatever happened to them."""

from __future__ import annotations

import random

import pytest

from processor.metrics import names
from processor.metrics.state import SLOT_US
from tests.metrics.brute import CountingModel
from tests.metrics.cluster import OVERDUE_SECONDS, Clock, Log, Worker, read, scrape, total
from tests.model import Record
from tests.rules.conftest import tiny_limits  # noqa: F401 - a fixture
from tests.strategies import Shape, random_log

pytestmark = pytest.mark.usefixtures("tiny_limits")

PARTITIONS = 3
SHAPE = Shape(studios=3, orders=4)
NOON = 1_767_268_800.0
"""2026-01-01T12:00:00Z: the orders of all logs have been placed, and grow overdue in three days."""
SLOT_SECONDS = SLOT_US / 1e6
GAUGES = (
    names.ORDERS_HALTED_ANY,
    names.ORDERS_HALTED_PRIMARY,
    names.ORDERS_IN_FLIGHT,
    names.ORDERS_WITHOUT_BALANCE,
    names.TABLE_ROWS,
)
AGES = (names.OLDEST_HALT_AGE_SECONDS, names.BALANCE_AGE_SECONDS)


class Cluster:
    """Two or three workers, the logs, and the model, which takes what is committed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = Clock(NOON)
        self.model = CountingModel(partitions=PARTITIONS)
        self.logs = [Log() for _ in range(PARTITIONS)]
        self.workers = [Worker(self.clock) for _ in range(2)]
        self.dead: list[Worker] = []
        self.uncommitted: dict[int, list[Record]] = {p: [] for p in range(PARTITIONS)}
        for partition in range(PARTITIONS):
            self.recover(partition, self.rng.choice(self.workers))

    def recover(self, partition: int, worker: Worker) -> None:
        worker.recover(partition, self.logs[partition], PARTITIONS)
        worker.own()
        for record in self.uncommitted[partition]:
            worker.apply(record)

    def owner(self, partition: int) -> Worker:
        return next(worker for worker in self.workers if partition in worker.machines)

    def apply(self, record: Record) -> None:
        self.uncommitted[record.partition].append(record)
        self.owner(record.partition).apply(record)

    def commit(self, partition: int) -> None:
        for record in self.owner(partition).commit(partition, self.logs[partition]):
            self.model.take(record, self.clock.now * 1000)
        self.uncommitted[partition] = []

    def crash(self) -> None:
        """A worker dies, and what it had not committed is applied again by others."""
        victim = self.rng.choice(self.workers)
        self.workers.remove(victim)
        self.dead.append(victim)
        self.workers.append(Worker(self.clock))
        for partition in list(victim.machines):
            self.recover(partition, self.rng.choice(self.workers))

    def rebalance(self) -> None:
        """A partition is committed, given up, and taken over."""
        partition = self.rng.randrange(PARTITIONS)
        self.commit(partition)
        self.owner(partition).give_up(partition)
        self.recover(partition, self.rng.choice(self.workers))

    # ---- what is scraped

    def check_state(self) -> None:
        expected = self.model.state(self.clock.now, OVERDUE_SECONDS)
        live = [scrape(worker.exporter) for worker in self.workers]
        for metric in GAUGES:
            name = metric.name.removeprefix(names.PREFIX)
            for label in names.VALUES[metric.labels[0]] if metric.labels else ("",):
                found = total(live, metric, *([label] if label else []))
                assert found == expected.get((name, label), 0), (name, label)
        for currency in ("EUR", "USD"):
            found = total(live, names.HALTED_VALUE_MINOR, currency)
            assert found == expected.get(("halted_value_minor", currency), 0)
        for metric in AGES:
            found = max(read(scraped, metric) for scraped in live)
            wanted = expected.get((metric.name.removeprefix(names.PREFIX), ""), 0)
            assert found == pytest.approx(wanted, abs=1e-5), metric.name
        assert all(read(scraped, names.HALTS_UNACCOUNTED) == 0 for scraped in live)
        later = self.model.state(self.clock.now - SLOT_SECONDS, OVERDUE_SECONDS)
        overdue = total(live, names.ORDERS_OVERDUE)
        least, most = [x.get(("orders_overdue", ""), 0) for x in (later, expected)]
        assert least <= overdue <= most, "never too early, and a slot too late at most"

    def check_counters(self) -> None:
        model = self.model
        # What a dead worker had counted stays in Prometheus, and nothing of it is counted again.
        ever = [scrape(worker.exporter) for worker in (*self.workers, *self.dead)]
        for topic in names.TOPICS:
            for outcome in names.OUTCOMES:
                found = total(ever, names.EVENTS_TOTAL, topic, outcome)
                assert found == model.events[topic, outcome], (topic, outcome)
            for code in names.CODES:
                found = total(ever, names.REJECTED_TOTAL, topic, code)
                assert found == model.rejected[topic, code], (topic, code)
        for metric, counted in (
            (names.FACTS_WITHOUT_EFFECT_TOTAL, model.effectless),
            (names.ORDERS_HALTED_TOTAL, model.opened),
            (names.HALTS_ENDED_TOTAL, model.ended),
            (names.HALT_RECORDS_TOTAL, model.changes),
        ):
            for label in names.VALUES[metric.labels[0]]:
                assert total(ever, metric, label) == counted[label], (metric.name, label)
        delays = [
            (total(ever, names.HALT_DELAY_SECONDS, reason, suffix=suffix))
            for suffix in ("_count", "_sum")
            for reason in names.REASONS
        ]
        assert sum(delays[: len(names.REASONS)]) == len(model.delays_ms)
        seconds = sum(model.delays_ms) / 1000
        assert sum(delays[len(names.REASONS) :]) == pytest.approx(seconds)


def malformed(record: Record) -> Record:
    return record._replace(value=b"{")


@pytest.mark.parametrize("seed", range(30))
def test_the_sum_over_workers_is_what_a_look_through_everything_finds(seed: int) -> None:
    """Random logs, windows of any length, crashes with windows open, partitions that move."""
    cluster = Cluster(seed)
    rng = cluster.rng
    for record in random_log(seed, 150, SHAPE, PARTITIONS):
        cluster.apply(malformed(record) if rng.random() < 0.05 else record)
        if rng.random() < 0.3:
            cluster.commit(record.partition)
        if rng.random() < 0.03:
            cluster.crash()
        if rng.random() < 0.03:
            cluster.rebalance()
        cluster.clock.now += rng.random() * 2 * 3600
        if rng.random() < 0.1:
            cluster.check_state()
    for partition in range(PARTITIONS):
        cluster.commit(partition)
    cluster.check_state()
    cluster.check_counters()
