"""Workers without Kafka: partitions that move between them, crash and come back from their rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from processor.metrics import names
from processor.metrics.exporter import Exporter
from processor.metrics.health import Health
from processor.metrics.lag import Lag
from processor.rules.machine import Machine
from processor.runtime.protocol import Committed, Recovered
from schemas.errors import Rejection
from tests.engine import Rows, keep
from tests.model import Record

OVERDUE_SECONDS = 72 * 3600


class Clock:
    """A wall clock that stands still until it is told."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def make_exporter(clock: Clock, overdue_seconds: float = OVERDUE_SECONDS) -> Exporter:
    lag = Lag()
    health = Health(lag)
    return Exporter(overdue_age_seconds=overdue_seconds, lag=lag, health=health, clock=clock)


@dataclass
class Log:
    """What Kafka would hold of one partition."""

    rows: Rows = field(default_factory=dict)
    checkpoint: bytes | None = None


@dataclass
class Window:
    """What was applied to one partition and is not committed."""

    records: list[Record] = field(default_factory=list)
    emissions: list[Any] = field(default_factory=list)
    rejections: list[Any] = field(default_factory=list)


class Worker:
    """An exporter, and the machines that report to it through what the runtime would say."""

    def __init__(self, clock: Clock) -> None:
        self.exporter = make_exporter(clock)
        self.machines: dict[int, Machine] = {}
        self.windows: dict[int, Window] = {}

    def recover(self, partition: int, log: Log, partitions: int) -> None:
        machine = Machine(partition, partitions=partitions, reports=True)
        for (table, key), value in log.rows.items():
            machine.load(table, key, value)
        assert machine.resume(log.checkpoint) == []
        self.machines[partition], self.windows[partition] = machine, Window()
        self.exporter.recovered(Recovered(partition, len(log.rows), 0.1, {}, machine.report()))

    def own(self) -> None:
        self.exporter.owned(frozenset(self.machines))

    def give_up(self, partition: int) -> None:
        del self.machines[partition], self.windows[partition]
        self.exporter.given_up(frozenset([partition]))

    def apply(self, record: Record) -> None:
        window = self.windows[record.partition]
        if not window.records:
            self.exporter.opened(record.partition, time.monotonic())
        window.records.append(record)
        try:
            emitted = self.machines[record.partition].apply(*record)
        except Rejection as rejection:
            window.rejections.append((record.topic, rejection.code))
            return
        if emitted:
            window.emissions += emitted

    def commit(self, partition: int, log: Log) -> list[Record]:
        """Commit a window; give its records."""
        machine, window = self.machines[partition], self.windows[partition]
        drained = machine.drain()
        keep(log.rows, drained)
        log.checkpoint = machine.checkpoint()
        now = time.monotonic()
        self.exporter.committed(
            Committed(
                partition=partition,
                emissions=window.emissions,
                records=Counter(record.topic for record in window.records),
                rejections=window.rejections,
                offsets={},
                last_ms={},
                report=machine.report(),
                opened_at=now if window.records else None,
                sealed_at=now,
                ended_at=now,
            )
        )
        self.windows[partition] = Window()
        return window.records


Scraped = dict[tuple[str, tuple[str, ...]], float]
"""(name of the sample, values of its labels in the order of their names) → value."""


def scrape(exporter: Exporter) -> Scraped:
    """Give every sample, as a scrape finds them."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in exporter.registry.collect()
        for sample in family.samples
    }


def read(scraped: Scraped, metric: names.Metric, *labels: str, suffix: str = "") -> float:
    """Give one value of a scrape; `labels` in the order of `metric.labels`."""
    named = sorted(zip(metric.labels, labels, strict=True))
    return scraped.get((metric.name + suffix, tuple(value for _, value in named)), 0.0)


def total(scrapes: Sequence[Scraped], metric: names.Metric, *labels: str, **more: Any) -> float:
    """Add up what scrapes of all workers find."""
    return sum(read(scraped, metric, *labels, **more) for scraped in scrapes)
