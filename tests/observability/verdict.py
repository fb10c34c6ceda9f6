"""What must hold of a Prometheus that has looked at the scene for a while; faults are sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from processor.metrics import names
from tests.observability import queries
from tests.observability.results import Answer
from tests.observability.server import Prometheus

#: What Prometheus adds to each scrape.
_OF_SCRAPES: Final = ("up", "scrape_")


def panel_faults(answers: Mapping[int, list[Answer]]) -> list[str]:
    """Every query of every panel succeeds, and gives something unless it may be empty."""
    return [
        f"{answer.place}: empty, and its description does not say that it may be"
        for panel in answers.values()
        for answer in panel
        if answer.empty and not answer.may_be_empty
    ]


def rule_faults(prometheus: Prometheus, at: float) -> list[str]:
    """Every rule is healthy; what is recorded exists; every series that an alert looks at exists."""
    loaded = prometheus.rules()
    faults = [
        f"{rule['name']}: {rule['health']}: {rule.get('lastError', '')}"
        for rule in loaded
        if rule["health"] != "ok"
    ]
    if len(loaded) != len(queries.rules()):
        faults.append(f"{len(queries.rules())} rules are shipped and {len(loaded)} are loaded")
    for rule in queries.of_rules():
        asked = [str(x) for x in queries.selectors(rule.expr)] if rule.alert else [rule.expr]
        prometheus.query(rule.expr, at)
        faults += [
            f"{rule.place}: {expr} is empty" for expr in asked if not prometheus.query(expr, at)
        ]
    return faults


def metric_faults(prometheus: Prometheus) -> list[str]:
    """What is used exists, what exists is used, and nothing has a name that is not in the list."""
    exported = {
        series
        for series in prometheus.series_names("orderhalt")
        if not series.startswith(_OF_SCRAPES)
        and series not in queries.recorded() | {"ALERTS", "ALERTS_FOR_STATE"}
    }
    metrics = {series: queries.metric_of(series) for series in exported}
    known = {metric.name for metric in metrics.values() if metric}
    used = queries.used_metrics()
    return [
        *(f"{series} is exported and not in names.py" for series, m in metrics.items() if not m),
        *(f"{name} is used and not exported" for name in sorted(used - known)),
        *(f"{name} is exported and not used" for name in sorted(known - used)),
    ]


def scene_faults(prometheus: Prometheus, at: float) -> list[str]:
    """The load was what it should be: every reason, every ending, every outcome, and exemplars."""
    wanted = {
        "orderhalt_orders_halted_total": ("reason", names.REASONS),
        "orderhalt_halts_ended_total": ("status", names.ENDED_STATUSES),
        "orderhalt_events_total": ("outcome", names.OUTCOMES),
    }
    faults = []
    for metric, (label, values) in wanted.items():
        counts = totals(prometheus, metric, label, at)
        missing = {x for x in values if x != names.OTHER and not counts.get(x)}
        faults += [f"{metric}: the load brought no {label} {x}" for x in sorted(missing)]
    if not prometheus.exemplars("orderhalt_orders_halted_total", at - 3_600, at):
        faults.append("orderhalt_orders_halted_total has no exemplars")
    return faults


def totals(prometheus: Prometheus, metric: str, label: str, at: float) -> dict[str, float]:
    """Give what a counter counted over all workers and restarts, by label."""
    found = prometheus.query(f"sum by ({label}) (increase({metric}[1h]))", at)
    return {x["metric"][label]: _number(x) for x in found}


def _number(sample: Mapping[str, Any]) -> float:
    value = float(sample["value"][1])
    return 0.0 if math.isnan(value) else value
