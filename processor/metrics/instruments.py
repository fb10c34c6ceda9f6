"""Counters and histograms as plain numbers, and as Prometheus families when they are scraped.

prometheus-client's own objects take a lock for each number, and microseconds; several are changed per
commit, and thousands of halts may be opened in one. These are changed under one lock a commit, and
read under the same, so a scrape sees whole transactions and never a part of one.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, Exemplar, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from processor.metrics import names
from processor.metrics.names import Metric

_ORDER_KEY: Final = "order_key"
#: What OpenMetrics allows an exemplar's names and values together.
_EXEMPLAR_MAX_CHARACTERS: Final = 128

Labels = tuple[str, ...]


def _children(metric: Metric) -> Iterable[Labels]:
    return itertools.product(*(names.VALUES[label] for label in metric.labels))


class CounterFamily:
    """A counter with all its children, at 0."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._values: dict[Labels, float] = dict.fromkeys(_children(metric), 0)
        self._last: dict[Labels, bytes] = {}
        """The order that was counted last."""

    def add(self, amount: float, *labels: str) -> None:
        """Count."""
        self._values[labels] += amount

    def add_order(self, amount: float, order_key: bytes, *labels: str) -> None:
        """Count, and keep the order as the exemplar."""
        self._values[labels] += amount
        self._last[labels] = order_key

    def family(self) -> CounterMetricFamily:
        """Give what a scrape shows."""
        metric = self._metric
        family = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, value in self._values.items():
            exemplar = make_exemplar(self._last.get(labels), 1.0)
            family.add_metric(labels, value, exemplar=exemplar)
        return family


class HistogramFamily:
    """A histogram with all its children, at 0."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._bounds = (*metric.buckets, float("inf"))
        self._counts = {labels: [0] * len(self._bounds) for labels in _children(metric)}
        self._sums: dict[Labels, float] = dict.fromkeys(self._counts, 0.0)
        self._last: dict[tuple[Labels, int], tuple[bytes, float]] = {}
        """Labels and number of the bucket → the order that was counted last, and its value."""

    def observe(self, value: float, *labels: str) -> int:
        """Take a value in; give the number of its bucket."""
        bucket = bisect_left(self._bounds, value)
        self._counts[labels][bucket] += 1
        self._sums[labels] += value
        return bucket

    def observe_order(self, value: float, order_key: bytes, *labels: str) -> None:
        """Take a value in, and keep the order as the exemplar of its bucket."""
        self._last[labels, self.observe(value, *labels)] = order_key, value

    def family(self) -> HistogramMetricFamily:
        """Give what a scrape shows."""
        metric = self._metric
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for labels, counts in self._counts.items():
            buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
            totals = itertools.accumulate(counts)
            for number, (bound, total) in enumerate(zip(self._bounds, totals, strict=True)):
                bucket = floatToGoString(bound), total
                exemplar = make_exemplar(*self._last.get((labels, number), (None, 0.0)))
                buckets.append(bucket if exemplar is None else (*bucket, exemplar))
            family.add_metric(labels, buckets, self._sums[labels])
        return family


def make_exemplar(order_key: bytes | None, value: float) -> Exemplar | None:
    """Make an exemplar of an order key; None for one that is longer than an exemplar may be.

    Cut it would be another order's.
    """
    if order_key is None or len(_ORDER_KEY) + len(order_key) > _EXEMPLAR_MAX_CHARACTERS:
        return None
    return Exemplar({_ORDER_KEY: order_key.decode()}, value)
