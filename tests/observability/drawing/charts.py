"""Curves, areas, bars, states and heat over time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from tests.observability.drawing.canvas import GRID, MUTED, Canvas
from tests.observability.drawing.fields import field, names_and_colours, thresholds
from tests.observability.drawing.units import shown, step_base
from tests.observability.results import Series, Span

_LEGEND_LINE: Final = 17
_AXIS_LEFT: Final = 58
_AXIS_BELOW: Final = 20
#: From one mark of the time axis to the next, in seconds.
_CLOCK_STEPS: Final = (5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)


def draw_curves(canvas: Canvas, panel: Mapping[str, Any], series: list[Series], span: Span) -> None:
    """Draw Grafana's time series: lines, stacked areas or stacked bars."""
    looks = names_and_colours(panel, series)
    lines = _draw_legend(canvas, looks)
    axes = _plot(canvas, lines, str(field(panel, "unit")))
    style = field(panel, "custom") or {}
    times, values = _aligned(series, span)
    colours = [colour for _, colour in looks]
    if style.get("stacking", {}).get("mode") == "normal":
        if style.get("drawStyle") == "bars":
            _draw_bars(axes, times, values, colours, span)
        else:
            axes.stackplot(times, np.nan_to_num(values), colors=colours, alpha=0.75, linewidth=0)
    else:
        for row, colour in zip(values, colours, strict=True):
            # The dots are for values without neighbours, which a line would not show.
            axes.plot(times, row, color=colour, linewidth=1.6, marker=".", markersize=2.5)
    _draw_thresholds(axes, panel)
    if np.nanmin(values) >= 0:
        axes.set_ylim(bottom=0)
    if np.nanmax(values) == 0 == np.nanmin(values):
        axes.set_ylim(0, 1)
    _mark(axes, span, str(field(panel, "unit")))


def _aligned(series: list[Series], span: Span) -> tuple[Any, Any]:
    """Put all series on the instants that were asked for; where one has nothing, not a number."""
    times = np.arange(span.start, span.end + span.step_seconds / 2, span.step_seconds)
    values = np.full((len(series), len(times)), math.nan)
    for row, one in enumerate(series):
        columns = np.rint((np.array(one.times) - span.start) / span.step_seconds).astype(int)
        values[row, columns] = one.values
    return times, values


def _draw_bars(axes: Axes, times: Any, values: Any, colours: list[str], span: Span) -> None:
    bottom = np.zeros(len(times))
    for row, colour in zip(np.nan_to_num(values), colours, strict=True):
        axes.bar(times, row, span.step_seconds, bottom=bottom, color=colour, linewidth=0)
        bottom = bottom + row


def _draw_thresholds(axes: Axes, panel: Mapping[str, Any]) -> None:
    """Draw those that are in sight: Grafana does not stretch the axis for them either."""
    for value, colour in thresholds(panel):
        if value <= axes.get_ylim()[1]:
            axes.axhline(value, color=colour, linewidth=1, linestyle="--")


def _draw_legend(canvas: Canvas, looks: list[tuple[str, str]]) -> int:
    """Write names under the plot, as many a line as fit; give how many lines they take."""
    placed: list[tuple[int, float, str, str]] = []
    line, x = 0, 0.0
    for name, colour in looks:
        width = 24 + 6.2 * len(name)
        if x and x + width > canvas.width:
            line, x = line + 1, 0.0
        placed.append((line, x, name, colour))
        x += width
    for number, at, name, colour in placed:
        y = canvas.height - (line - number) * _LEGEND_LINE - 6
        canvas.text(at, y, "▬", size=8, colour=colour)
        canvas.text(at + 13, y, name, size=8, colour=MUTED)
    return line + 1


def _plot(canvas: Canvas, legend_lines: int, unit: str) -> Axes:
    bottom = _AXIS_BELOW + legend_lines * _LEGEND_LINE
    axes = canvas.inner(left=_AXIS_LEFT, bottom=bottom, right=6).axes()
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=8)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, unit)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _clock(value)))
    return axes


def _mark(axes: Axes, span: Span, unit: str) -> None:
    """Put marks at round values and at full minutes."""
    bottom, top = axes.get_ylim()
    base = step_base(top - bottom, unit)
    whole = MaxNLocator(nbins=4, steps=[1, 2, 5, 10], integer=unit == "short" and top > 1)
    axes.yaxis.set_major_locator(
        FixedLocator([x * base for x in whole.tick_values(bottom / base, top / base)])
    )
    axes.set_ylim(bottom, top)
    first, last = span.start, span.end
    axes.set_xlim(first, last)
    most = max(2, axes.get_window_extent().width / 90)
    every = next((x for x in _CLOCK_STEPS if (last - first) / x <= most), _CLOCK_STEPS[-1])
    # None right at the edge, where the lowest value of the other axis stands.
    start = -(-(first + 0.04 * (last - first)) // every) * every
    axes.xaxis.set_major_locator(FixedLocator(list(np.arange(start, last, every))))


def _clock(value: float) -> str:
    return f"{datetime.fromtimestamp(value, UTC):%H:%M:%S}"


def draw_heatmap(
    canvas: Canvas, panel: Mapping[str, Any], series: list[Series], span: Span
) -> None:
    """Draw Grafana's heat map of a histogram: buckets upwards, the fuller the darker."""
    bounds = sorted(series, key=lambda one: float(one.labels["le"]))
    times, cumulative = _aligned(bounds, span)
    counts = np.diff(np.nan_to_num(cumulative), axis=0, prepend=0)
    axes = _plot(canvas, 0, "short")
    edges = np.append(times, times[-1] + span.step_seconds)
    painted = np.where(counts > 0.01, counts, math.nan)
    axes.pcolormesh(edges, np.arange(len(bounds) + 1), painted, cmap="Oranges", vmin=0)
    names = [_bound(one.labels["le"]) for one in bounds]
    shown_ones = range(0, len(bounds), max(1, len(bounds) // 7))
    _mark(axes, span, "none")
    axes.set_yticks([index + 1 for index in shown_ones], [names[index] for index in shown_ones])


def _bound(text: str) -> str:
    return "more" if math.isinf(float(text)) else shown(float(text), "s")


def draw_states(canvas: Canvas, panel: Mapping[str, Any], series: list[Series], span: Span) -> None:
    """Draw Grafana's state timeline: one line a series, coloured by its state."""
    options = field(panel, "mappings")[0]["options"]
    lines = _draw_legend(canvas, [(x["text"], x["color"]) for x in options.values()])
    axes = _plot(canvas, lines, "short")
    by_name: dict[str, list[Series]] = {}
    for one in series:
        by_name.setdefault(one.name, []).append(one)
    for row, name in enumerate(sorted(by_name, reverse=True)):
        for one in by_name[name]:
            for at, value in zip(one.times, one.values, strict=True):
                option = options.get(f"{value:g}")
                axes.barh(
                    row,
                    span.step_seconds,
                    left=at,
                    height=0.7,
                    color=option["color"] if option else MUTED,
                )
    _mark(axes, span, "none")
    axes.set_yticks(
        range(len(by_name)), [x.rpartition(":")[2] for x in sorted(by_name, reverse=True)]
    )
    axes.grid(visible=False, axis="y")
