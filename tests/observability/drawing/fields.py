"""What a panel says of its series: names, colours, thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.observability.drawing.canvas import INK, PALETTE
from tests.observability.results import Series

_GRAFANA: Final = {"text": INK, "green": "#4a9d5b", "red": "#d64550"}


def field(panel: Mapping[str, Any], key: str) -> Any:
    """Give a default of the panel's fields, or None."""
    return panel["fieldConfig"]["defaults"].get(key)


def names_and_colours(panel: Mapping[str, Any], series: Sequence[Series]) -> list[tuple[str, str]]:
    """Give for each series what it is called and its colour."""
    found = []
    free = iter(PALETTE * (1 + len(series) // len(PALETTE)))
    for one in series:
        fixed = _override(panel, one.name)
        colour = fixed["color"]["fixedColor"] if "color" in fixed else next(free)
        found.append((str(fixed.get("displayName", one.name)), str(colour)))
    return found


def _override(panel: Mapping[str, Any], name: str) -> dict[str, Any]:
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"] == {"id": "byName", "options": name}:
            return {x["id"]: x["value"] for x in override["properties"]}
    return {}


def threshold_colour(panel: Mapping[str, Any], value: float) -> str:
    """Give the colour of the highest threshold that `value` has reached."""
    colour = INK
    for step in field(panel, "thresholds")["steps"]:
        if step["value"] is None or value >= step["value"]:
            colour = _GRAFANA.get(step["color"], step["color"])
    return colour


def thresholds(panel: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Give the thresholds that a curve is drawn with: where, and in which colour."""
    style = (field(panel, "custom") or {}).get("thresholdsStyle", {}).get("mode", "off")
    if style == "off":
        return []
    steps = field(panel, "thresholds")["steps"]
    return [(float(x["value"]), x["color"]) for x in steps if x["value"] is not None]
