"""What is asked at a scrape and not before: the present state of the partitions and of the process.

Runs on the thread of the scrape. The locks that it takes are held for as long as it takes to add up
a few numbers a partition.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from processor.metrics import names
from processor.metrics.names import Metric

if TYPE_CHECKING:
    from processor.metrics.exporter import Exporter
    from processor.metrics.state import PartitionState


Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class ScrapedState(Collector):
    """All families but those of prometheus-client."""

    def __init__(self, exporter: Exporter, clock: Callable[[], float]) -> None:
        self._exporter = exporter
        self._clock = clock
        self._build = (version("orderhalt"), platform.python_version())
        self._currencies: set[str] = set()
        """All that were ever seen: a gauge that vanished would not go to 0."""

    def collect(self) -> Iterator[Family]:
        """Give everything that is ours."""
        exporter = self._exporter
        now = self._clock()
        with exporter.lock:
            counted: list[Family] = [x.family() for x in exporter.counters.values()]
            counted += [x.family() for x in exporter.histograms.values()]
            state = list(self._state(list(exporter.states.values()), now))
            open_windows = [x[0] for x in exporter.open_windows.values() if x]
            waiting = len(exporter.waiting)
        yield from counted
        yield exporter.pauses.family()
        yield from state
        oldest = time.monotonic() - min(open_windows) if open_windows else 0.0
        yield _gauge(names.COMMIT_WINDOW_OPEN_SECONDS, max(0.0, oldest))
        yield _gauge(names.PARTITIONS_PAUSED, waiting)
        yield from self._lag(now)
        health = exporter.health
        yield _gauge(names.PARTITIONS_OWNED, len(health.partitions or ()))
        yield _gauge(names.READY, health.ready().yes)
        yield _gauge(names.EVENT_LOOP_STALLED_SECONDS, health.stalled_seconds())
        build = _family(names.BUILD_INFO)
        build.add_metric(self._build, 1)
        yield build

    def _state(self, states: list[PartitionState], now: float) -> Iterable[GaugeMetricFamily]:
        for state in states:
            self._currencies.update(state.value_minor)
        yield _gauges(names.ORDERS_HALTED_ANY, _sum(names.REASONS, (x.by_reason for x in states)))
        yield _gauges(
            names.ORDERS_HALTED_PRIMARY, _sum(names.REASONS, (x.by_primary for x in states))
        )
        yield _gauges(
            names.HALTED_VALUE_MINOR,
            _sum(sorted(self._currencies), (x.value_minor for x in states)),
        )
        yield _gauges(names.TABLE_ROWS, _sum(names.TABLES, (x.rows for x in states)))
        yield _gauge(names.ORDERS_IN_FLIGHT, sum(x.in_flight for x in states))
        yield _gauge(names.ORDERS_OVERDUE, sum(x.overdue(round(now * 1e6)) for x in states))
        yield _gauge(names.ORDERS_WITHOUT_BALANCE, sum(x.unchecked for x in states))
        yield _gauge(names.HALTS_UNACCOUNTED, sum(x.unaccounted for x in states))
        halted_since = (x.halted_since.least() for x in states)
        yield _gauge(names.OLDEST_HALT_AGE_SECONDS, _age(halted_since, now))
        yield _gauge(names.BALANCE_AGE_SECONDS, _age((x.balances.least() for x in states), now))

    def _lag(self, now: float) -> Iterator[GaugeMetricFamily]:
        records = _family(names.CONSUMER_LAG_RECORDS)
        seconds = _family(names.CONSUMER_LAG_SECONDS)
        for reading in self._exporter.lag.readings(now * 1000):
            labels = (self._exporter.unprefixed(reading.topic), str(reading.partition))
            records.add_metric(labels, reading.records)
            seconds.add_metric(labels, reading.seconds)
        yield records
        yield seconds
        yield _gauge(names.LAG_CHECKED_TIMESTAMP_SECONDS, self._exporter.lag.looked_at)


def _sum(labels: Iterable[str], parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total = dict.fromkeys(labels, 0)
    for part in parts:
        for label, value in part.items():
            total[label] += value
    return total


def _age(instants_us: Iterable[int | None], now: float) -> float:
    known = [instant for instant in instants_us if instant is not None]
    return max(0.0, now - min(known) / 1e6) if known else 0.0


def _family(metric: Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)


def _gauge(metric: Metric, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, value=value)


def _gauges(metric: Metric, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = _family(metric)
    for label, value in values.items():
        family.add_metric([label], value)
    return family
