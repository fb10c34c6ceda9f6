"""Ask Prometheus what every panel asks, over the time shown, as Grafana would."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.observability import queries

#: Grafana asks for about as many points as a panel has pixels; so many are enough to see.
_POINTS: Final = 160
_PLACEHOLDER: Final = re.compile(r"{{\s*(\w+)\s*}}")


class Asked(Protocol):
    """Whoever answers: Prometheus."""

    def query_range(
        self, expr: str, start: float, end: float, step_seconds: int
    ) -> list[dict[str, Any]]:
        """Ask for series over time."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that is shown."""

    start: float
    """Unix time, in seconds."""
    end: float
    scrape_seconds: int = 1

    @property
    def step_seconds(self) -> int:
        """From point to point."""
        return max(self.scrape_seconds, math.ceil((self.end - self.start) / _POINTS))

    @property
    def rate_interval_seconds(self) -> int:
        """Grafana's `$__rate_interval`: four scrapes at least, so that a rate has enough of them."""
        return max(self.step_seconds + self.scrape_seconds, 4 * self.scrape_seconds)


@dataclass(frozen=True, slots=True)
class Series:
    """One curve."""

    name: str
    """As the legend would have it; empty where the query names nothing."""
    labels: Mapping[str, str]
    times: list[float]
    values: list[float]


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query of one panel gave."""

    place: str
    series: list[Series]
    may_be_empty: bool

    @property
    def empty(self) -> bool:
        """Whether there is no number in it."""
        return not any(not math.isnan(v) for s in self.series for v in s.values)


def ask(prometheus: Asked, document: Mapping[str, Any], span: Span) -> dict[int, list[Answer]]:
    """Give the answers to the queries of each panel, by the panel's id; raises as Prometheus does."""
    return {
        panel["id"]: [
            _ask(prometheus, document, panel, target, span) for target in panel["targets"]
        ]
        for panel in queries.panels(document)
    }


def _ask(
    prometheus: Asked,
    document: Mapping[str, Any],
    panel: Mapping[str, Any],
    target: Mapping[str, Any],
    span: Span,
) -> Answer:
    expr = queries.substituted(
        target["expr"],
        range_seconds=round(span.end - span.start),
        rate_interval_seconds=span.rate_interval_seconds,
    )
    found = prometheus.query_range(expr, span.start, span.end, span.step_seconds)
    return Answer(
        f"{document['title']} / {panel['title']} [{target['refId']}]",
        [_series(x, target["legendFormat"]) for x in found],
        queries.MAY_BE_EMPTY in panel["description"],
    )


def _series(found: Mapping[str, Any], legend: str) -> Series:
    labels = found["metric"]
    auto = ", ".join(f"{k}={v}" for k, v in labels.items())
    name = auto if legend == "__auto" else _PLACEHOLDER.sub(lambda m: labels.get(m[1], ""), legend)
    return Series(
        name,
        labels,
        [float(at) for at, _ in found["values"]],
        [float(value) for _, value in found["values"]],
    )
