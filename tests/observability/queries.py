"""Every PromQL expression that we ship, from the generated dashboards and the rule files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import promql_parser
import yaml

from processor.metrics import names

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
DASHBOARDS: Final = DEPLOY / "grafana" / "dashboards"
RULES: Final = DEPLOY / "prometheus" / "rules"
MAY_BE_EMPTY: Final = "May be empty:"

#: What Prometheus adds to a scrape by itself.
_OF_PROMETHEUS: Final = {"up"}
_SUFFIXES: Final = ("_bucket", "_count", "_sum")


@dataclass(frozen=True, slots=True)
class Shipped:
    """One expression, and where it stands."""

    place: str
    """`Halts / Value at stake [A]`, or a rule's name."""
    expr: str
    """As it stands in the file, variables and all."""
    may_be_empty: bool = False
    alert: bool = False


def documents() -> dict[str, dict[str, Any]]:
    """Read the generated dashboards: file name → document."""
    return {path.name: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the panels that ask something, in reading order."""
    return [panel for panel in document["panels"] if panel.get("targets")]


def of_dashboards() -> list[Shipped]:
    """Give every query of every panel."""
    found = []
    for document in documents().values():
        for panel in panels(document):
            may_be_empty = MAY_BE_EMPTY in panel["description"]
            for target in panel["targets"]:
                place = f"{document['title']} / {panel['title']} [{target['refId']}]"
                found.append(Shipped(place, target["expr"], may_be_empty))
    return found


def rules() -> list[dict[str, Any]]:
    """Read every rule, as it stands in its file."""
    return [
        rule
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def of_rules() -> list[Shipped]:
    """Give every rule's expression; an alert's is empty while all is well."""
    return [
        Shipped(rule.get("record") or rule["alert"], rule["expr"], "alert" in rule, "alert" in rule)
        for rule in rules()
    ]


def substituted(expr: str, *, range_seconds: int, rate_interval_seconds: int) -> str:
    """Put values for the variables, as Grafana does when everything is picked."""
    values = {
        "$__rate_interval": f"{rate_interval_seconds}s",
        "$__range": f"{range_seconds}s",
        "$job": ".+",
        "$instance": ".+",
    }
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    return expr


def parsed(expr: str) -> Any:
    """Parse an expression; raises ValueError where it is none."""
    return promql_parser.parse(substituted(expr, range_seconds=3_600, rate_interval_seconds=60))


def nodes(tree: Any) -> Iterator[Any]:
    """Walk an expression's tree, from the outside in."""
    yield tree
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(tree, name, None)
        if child is not None:
            yield from nodes(child)
    for child in getattr(tree, "args", ()):
        yield from nodes(child)


def selectors(expr: str) -> list[Any]:
    """Give the vector selectors of an expression, those of ranges included."""
    kind = promql_parser.VectorSelector
    return [node for node in nodes(parsed(expr)) if isinstance(node, kind)]


def metric_of(series: str) -> names.Metric | None:
    """Find the metric that a series name belongs to."""
    if series in names.BY_NAME:
        found = names.BY_NAME[series]
        return None if found.kind is names.Kind.HISTOGRAM else found
    for suffix in _SUFFIXES:
        found_base = names.BY_NAME.get(series.removesuffix(suffix))
        if series.endswith(suffix) and found_base and found_base.kind is names.Kind.HISTOGRAM:
            return found_base
    return None


def recorded() -> set[str]:
    """Give the names of what recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def unknown_series(expr: str) -> set[str]:
    """Give the series names of an expression that nobody exports."""
    used = {selector.name for selector in selectors(expr)}
    return {x for x in used - recorded() - _OF_PROMETHEUS if metric_of(x) is None}


def unknown_labels(expr: str) -> set[str]:
    """Give the labels of matchers that their metric does not have: they would match nothing."""
    unknown = set()
    for selector in selectors(expr):
        metric = metric_of(selector.name)
        if metric is None:
            continue
        known = {"job", "instance", *metric.labels}
        if metric.kind is names.Kind.HISTOGRAM:
            known.add("le")
        asked = {matcher.name for matcher in selector.matchers.matchers}
        unknown |= {f"{selector.name}: {label}" for label in asked - known}
    return unknown


def used_metrics() -> set[str]:
    """Give the names of the metrics that any panel or rule uses."""
    used = {s.name for x in [*of_dashboards(), *of_rules()] for s in selectors(x.expr)}
    return {metric.name for series in used if (metric := metric_of(series))}
