"""The Prometheus objects behind `names`: those that count, each child made at once, at 0."""

from __future__ import annotations

import itertools
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from processor.metrics import names
from processor.metrics.names import Kind, Metric

# Each counter would get a second series with the time at which it was made: always the start.
disable_created_metrics()

_ORDER_KEY = "order_key"
#: What OpenMetrics allows an exemplar's names and values together.
_EXEMPLAR_MAX_CHARACTERS = 128


class Family:
    """A counter or histogram with all its children."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        parent: Any
        if metric.kind is Kind.COUNTER:
            parent = Counter(metric.name, metric.help, metric.labels, registry=registry)
        else:
            parent = Histogram(
                metric.name,
                metric.help,
                metric.labels,
                registry=registry,
                buckets=metric.buckets,
            )
        self._children: dict[tuple[str, ...], Any] = {
            values: parent.labels(*values) if values else parent
            for values in itertools.product(*(names.VALUES[label] for label in metric.labels))
        }

    def add(self, amount: float, *labels: str, order_key: str = "") -> None:
        """Count; `order_key` is the exemplar."""
        self._children[labels].inc(amount, exemplar(order_key))

    def observe(self, amount: float, *labels: str, order_key: str = "") -> None:
        """Take a value into a histogram; `order_key` is the exemplar."""
        self._children[labels].observe(amount, exemplar(order_key))


def exemplar(order_key: str) -> dict[str, str] | None:
    """Make an exemplar of an order key; None for one that is longer than an exemplar may be.

    Cut it would be another order's.
    """
    if not order_key or len(_ORDER_KEY) + len(order_key) > _EXEMPLAR_MAX_CHARACTERS:
        return None
    return {_ORDER_KEY: order_key}
