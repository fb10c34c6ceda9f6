"""The observer that keeps a worker's metrics.

Everything that a transaction brings about is taken when it is through, never before: what was
applied and not committed counts for nothing, here as in Kafka. That is one pass a window, on the
event loop. Scrapes come in on other threads: Prometheus's own objects have locks of their own, and
the sums of state are changed and read under one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.process_collector import ProcessCollector

from processor.metrics import names
from processor.metrics.health import Health
from processor.metrics.instruments import Family
from processor.metrics.lag import Lag
from processor.metrics.names import Kind, Outcome
from processor.metrics.pauses import GarbagePauses
from processor.metrics.published import Published, published
from processor.metrics.scraped import ScrapedState
from processor.metrics.state import PartitionState
from processor.rules.report import NOTHING, Report
from processor.runtime.protocol import Committed, Observer, Recovered
from schemas import topics

#: Kind of event → topic without prefix.
_TOPIC_OF: Final = {topic.value: topic.name for topic in topics.INPUTS}
#: What others make: the collector's pauses, the process, and gauges of state.
_NOT_OURS: Final = (names.GC_PAUSE_SECONDS, names.PROCESS_CPU_SECONDS_TOTAL)


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
        """Held while `states`, `open_windows` or `waiting` are changed or read."""
        self.states: dict[int, PartitionState] = {}
        self.open_windows: dict[int, deque[float]] = {}
        """Partition → when its windows that are not committed began; monotonic clock."""
        self.waiting: set[int] = set()
        """Partitions whose inputs are paused."""
        self._prefix_length = len(topic_prefix)
        self._overdue_age_us = round(overdue_age_seconds * 1_000_000)
        self._clock = clock
        self._families = {
            metric.name: Family(metric, self.registry)
            for metric in names.ALL
            if metric.kind is not Kind.GAUGE and metric not in _NOT_OURS
        }
        self.pauses = GarbagePauses()
        self.registry.register(self.pauses)
        self.registry.register(ScrapedState(self, clock))
        ProcessCollector(namespace=names.PREFIX.rstrip("_"), registry=self.registry)

    def _family(self, metric: names.Metric) -> Family:
        return self._families[metric.name]

    def unprefixed(self, topic: str) -> str:
        """Give the label's value of an input topic."""
        return topic[self._prefix_length :]

    def loop_was_late(self, seconds: float) -> None:
        """Take the delay of one timer of the event loop."""
        self._family(names.EVENT_LOOP_DELAY_SECONDS).observe(seconds)

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
        self.lag.begin(
            recovered.partition,
            recovered.offsets,
            now=time.monotonic(),
            now_ms=self._clock() * 1000,
        )
        self._family(names.RECOVERY_SECONDS).observe(recovered.seconds)
        self._family(names.RECOVERY_ROWS_TOTAL).add(recovered.rows)

    def given_up(self, partitions: frozenset[int]) -> None:
        """Forget partitions that go elsewhere."""
        with self.lock:
            for gone in self.states.keys() & partitions:
                del self.states[gone], self.open_windows[gone]
        self.lag.drop(partitions)

    def owned(self, partitions: frozenset[int]) -> None:
        """Be ready."""
        self.health.partitions = partitions
        self._family(names.REBALANCES_TOTAL).add(1)

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
        said = published(committed.emissions, committed.causes, self._clock() * 1000)
        self._move_state(committed, report, said)
        self.lag.commit(
            committed.partition, committed.offsets, committed.last_ms, now=committed.ended_at
        )
        self._count_commit(committed)
        self._count_records(committed, report)
        self._count_halts(said)

    def _move_state(self, committed: Committed, report: Report, said: Published) -> None:
        with self.lock:
            state = self.states.get(committed.partition)
            if state is None:
                return  # Given up while its last window was committed.
            state.take(report)
            state.expected += said.difference
            if committed.opened_at is not None:
                self.open_windows[committed.partition].popleft()

    def _count_commit(self, committed: Committed) -> None:
        if committed.opened_at is not None:
            seconds = committed.ended_at - committed.opened_at
            self._family(names.COMMIT_WINDOW_SECONDS).observe(seconds)
            self._family(names.COMMIT_WINDOW_EVENTS).observe(sum(committed.records.values()))
        seconds = committed.ended_at - committed.sealed_at
        self._family(names.COMMIT_TRANSACTION_SECONDS).observe(seconds)
        written: dict[str, int] = {}
        for table, _, _ in committed.rows:
            written[table] = written.get(table, 0) + 1
        for table, count in written.items():
            self._family(names.ROWS_WRITTEN_TOTAL).add(count, table)

    def _count_records(self, committed: Committed, report: Report) -> None:
        rejected: dict[str, int] = {}
        for topic, code in committed.rejections:
            name = self.unprefixed(topic)
            rejected[name] = rejected.get(name, 0) + 1
            self._family(names.REJECTED_TOTAL).add(1, name, names.known(code, names.CODES))
        stale = {_TOPIC_OF[kind]: count for kind, count in report.stale.items()}
        events = self._family(names.EVENTS_TOTAL)
        for topic, records in committed.records.items():
            name = self.unprefixed(topic)
            not_applied = {
                Outcome.REJECTED: rejected.get(name, 0),
                Outcome.STALE: stale.get(name, 0),
            }
            events.add(records - sum(not_applied.values()), name, Outcome.APPLIED)
            for outcome, count in not_applied.items():
                if count:
                    events.add(count, name, outcome)
        for kind, count in report.effectless.items():
            self._family(names.FACTS_WITHOUT_EFFECT_TOTAL).add(count, kind)

    def _count_halts(self, said: Published) -> None:
        for change, count in said.changes.items():
            self._family(names.HALT_RECORDS_TOTAL).add(count, change)
        for reason, tally in said.opened.items():
            self._family(names.ORDERS_HALTED_TOTAL).add(
                tally.count, reason, order_key=tally.order_key
            )
        for status, tally in said.ended.items():
            self._family(names.HALTS_ENDED_TOTAL).add(
                tally.count, status, order_key=tally.order_key
            )
        for reason, seconds, key in said.delays:
            self._family(names.HALT_DELAY_SECONDS).observe(seconds, reason, order_key=key)
        for status, seconds in said.durations:
            self._family(names.HALT_DURATION_SECONDS).observe(seconds, status)


def _report(report: object) -> Report:
    assert report is None or isinstance(report, Report), "a shard reports to a metrics observer"
    return NOTHING if report is None else report
