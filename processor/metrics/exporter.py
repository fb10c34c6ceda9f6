"""The observer that keeps a worker's metrics.

Everything that a transaction brings about is taken when it is through, never before: what was
applied and not committed counts for nothing, here as in Kafka. That is one pass a window, on the
event loop, under one lock, which a scrape takes too: it sees whole transactions.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from processor.metrics import names
from processor.metrics.health import Health
from processor.metrics.instruments import CounterFamily, HistogramFamily
from processor.metrics.lag import Lag
from processor.metrics.names import Kind, Metric, Outcome
from processor.metrics.pauses import GarbagePauses
from processor.metrics.published import Published, difference, published
from processor.metrics.scraped import ScrapedState
from processor.metrics.state import PartitionState
from processor.rules.report import NOTHING, Report
from processor.runtime.protocol import Committed, Observer, Recovered
from schemas import topics

#: Kind of event → topic without prefix.
_TOPIC_OF: Final = {topic.value: topic.name for topic in topics.INPUTS}
_DELAY: Final = names.HALT_DELAY_SECONDS
_DURATION: Final = names.HALT_DURATION_SECONDS
#: Counted by the collector's callback and by prometheus-client.
_OTHERS: Final = (names.GC_PAUSE_SECONDS, names.PROCESS_CPU_SECONDS_TOTAL)


class Exporter(Observer):
    """Told by the runtime, asked by scrapes."""

    def __init__(
        self,
        *,
        topic_prefix: str = "",
        overdue_age_seconds: float,
        lag: Lag,
        health: Health,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.registry = CollectorRegistry()
        self.lag = lag
        self.health = health
        self.lock = threading.Lock()
        """Held while anything of the below is changed or read."""
        self.states: dict[int, PartitionState] = {}
        self.open_windows: dict[int, deque[float]] = {}
        """Partition → when its windows that are not committed began; monotonic clock."""
        self.waiting: set[int] = set()
        """Partitions whose inputs are paused."""
        self._prefix_length = len(topic_prefix)
        self._overdue_age_us = round(overdue_age_seconds * 1_000_000)
        self._clock = clock
        self.counters = {x.name: CounterFamily(x) for x in _counted(Kind.COUNTER)}
        self.histograms = {x.name: HistogramFamily(x) for x in _counted(Kind.HISTOGRAM)}
        self.pauses = GarbagePauses()
        self.registry.register(ScrapedState(self, clock))
        ProcessCollector(namespace=names.PREFIX.rstrip("_"), registry=self.registry)

    def _counter(self, metric: Metric) -> CounterFamily:
        return self.counters[metric.name]

    def _histogram(self, metric: Metric) -> HistogramFamily:
        return self.histograms[metric.name]

    def _add(self, metric: Metric, amount: float, *labels: str) -> None:
        self.counters[metric.name].add(amount, *labels)

    def _observe(self, metric: Metric, value: float, *labels: str) -> None:
        self.histograms[metric.name].observe(value, *labels)

    def unprefixed(self, topic: str) -> str:
        """Give the label's value of an input topic."""
        return topic[self._prefix_length :]

    def loop_was_late(self, seconds: float) -> None:
        """Take the delay of one timer of the event loop."""
        with self.lock:
            self._observe(names.EVENT_LOOP_DELAY_SECONDS, seconds)

    # ---- what the runtime tells

    def stopping(self) -> None:
        """Be ready no more."""
        self.health.stopping = True

    def suspended(self) -> None:
        """Be ready no more until the next assignment is taken over."""
        self.health.partitions = None
        with self.lock:
            self.waiting.clear()

    def recovered(self, recovered: Recovered) -> None:
        """Take in a partition as it was found."""
        state = PartitionState(self._overdue_age_us)
        state.recover(_report(recovered.report))
        with self.lock:
            self.states[recovered.partition] = state
            self.open_windows[recovered.partition] = deque()
            self._observe(names.RECOVERY_SECONDS, recovered.seconds)
            self._add(names.RECOVERY_ROWS_TOTAL, recovered.rows)
        self.lag.begin(
            recovered.partition,
            recovered.offsets,
            now=time.monotonic(),
            now_ms=self._clock() * 1000,
        )

    def given_up(self, partitions: frozenset[int]) -> None:
        """Forget partitions that go elsewhere."""
        with self.lock:
            for gone in self.states.keys() & partitions:
                del self.states[gone], self.open_windows[gone]
        self.lag.drop(partitions)

    def owned(self, partitions: frozenset[int]) -> None:
        """Be ready."""
        self.health.partitions = partitions
        with self.lock:
            self._add(names.REBALANCES_TOTAL, 1)

    def paused(self, partition: int) -> None:
        """Note that a partition's inputs wait."""
        with self.lock:
            self.waiting.add(partition)

    def resumed(self, partition: int) -> None:
        """Note that they wait no longer."""
        with self.lock:
            self.waiting.discard(partition)

    def opened(self, partition: int, at: float) -> None:
        """Note a window that has its first record."""
        with self.lock:
            if (windows := self.open_windows.get(partition)) is not None:
                windows.append(at)

    def committed(self, committed: Committed) -> None:
        """Count all that a transaction has made count."""
        report = _report(committed.report)
        said = published(report.said, report.forgotten, self._clock() * 1000)
        with self.lock:
            self._move_state(committed, report)
            self._count_commit(committed, report)
            self._count_records(committed, report)
            self._count_halts(said)
        self.lag.commit(
            committed.partition, committed.offsets, committed.last_ms, now=committed.ended_at
        )

    def _move_state(self, committed: Committed, report: Report) -> None:
        state = self.states.get(committed.partition)
        if state is None:
            return  # Given up while its last window was committed.
        state.take(report)
        state.expected += difference(committed.emissions)
        if committed.opened_at is not None:
            self.open_windows[committed.partition].popleft()

    def _count_commit(self, committed: Committed, report: Report) -> None:
        if committed.opened_at is not None:
            seconds = committed.ended_at - committed.opened_at
            self._observe(names.COMMIT_WINDOW_SECONDS, seconds)
            self._observe(names.COMMIT_WINDOW_EVENTS, sum(committed.records.values()))
        seconds = committed.ended_at - committed.sealed_at
        self._observe(names.COMMIT_TRANSACTION_SECONDS, seconds)
        for table, count in report.written.items():
            self._add(names.ROWS_WRITTEN_TOTAL, count, table)

    def _count_records(self, committed: Committed, report: Report) -> None:
        rejected: Counter[str] = Counter()
        for topic, code in committed.rejections:
            name = self.unprefixed(topic)
            rejected[name] += 1
            self._add(names.REJECTED_TOTAL, 1, name, names.known(code, names.CODES))
        stale = {_TOPIC_OF[kind]: count for kind, count in report.stale.items()}
        for topic, records in committed.records.items():
            name = self.unprefixed(topic)
            late = stale.get(name, 0)
            applied = records - rejected[name] - late
            self._add(names.EVENTS_TOTAL, applied, name, Outcome.APPLIED)
            self._add(names.EVENTS_TOTAL, late, name, Outcome.STALE)
            self._add(names.EVENTS_TOTAL, rejected[name], name, Outcome.REJECTED)
        for kind, count in report.effectless.items():
            self._add(names.FACTS_WITHOUT_EFFECT_TOTAL, count, kind)

    def _count_halts(self, said: Published) -> None:
        for change, count in said.changes.items():
            self._add(names.HALT_RECORDS_TOTAL, count, change)
        halted, delays = self._counter(names.ORDERS_HALTED_TOTAL), self._histogram(_DELAY)
        for reason, delay, key in said.opened:
            halted.add_order(1, key, reason)
            if delay is not None:
                delays.observe_order(delay, key, reason)
        ended, durations = self._counter(names.HALTS_ENDED_TOTAL), self._histogram(_DURATION)
        for status, lasted, key in said.ended:
            ended.add_order(1, key, status)
            durations.observe(lasted, status)


def _counted(kind: Kind) -> list[Metric]:
    """Give the metrics of a kind that are counted here."""
    return [x for x in names.ALL if x.kind is kind and x not in _OTHERS]


def _report(report: object) -> Report:
    assert report is None or isinstance(report, Report), "a shard reports to a metrics observer"
    return NOTHING if report is None else report
