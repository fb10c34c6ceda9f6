"""Large numbers over small curves, and bars by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.observability.drawing.canvas import MUTED, Canvas
from tests.observability.drawing.fields import field, names_and_colours, threshold_colour
from tests.observability.drawing.units import shown
from tests.observability.results import Series, Span


def draw_numbers(
    canvas: Canvas, panel: Mapping[str, Any], series: list[Series], span: Span
) -> None:
    """Draw Grafana's stat: one number a series, side by side."""
    width = canvas.width / len(series)
    for index, one in enumerate(series):
        part = Canvas(canvas.figure, canvas.left + index * width, canvas.top, width, canvas.height)
        if panel["options"]["textMode"] == "name":
            part.text(width / 2, part.height / 2, one.name, size=13, align="center")
            continue
        _draw_number(part, panel, one, span, name=one.name if len(series) > 1 else "")


def _draw_number(
    canvas: Canvas, panel: Mapping[str, Any], one: Series, span: Span, *, name: str
) -> None:
    value = one.values[-1]
    colour = threshold_colour(panel, value)
    words = shown(value, str(field(panel, "unit")), field(panel, "decimals"))
    # A bold digit is nearly as many pixels wide as the font has points.
    size = min(26.0, 0.85 * canvas.width / len(words))
    canvas.text(
        canvas.width / 2, 24, words, size=size, colour=colour, weight="bold", align="center"
    )
    if name:
        canvas.text(canvas.width / 2, 56, name, size=10, colour=MUTED, align="center")
    if panel["options"]["graphMode"] == "none":
        return
    axes = canvas.inner(left=4, right=4, top=canvas.height * 0.62).axes()
    axes.set_axis_off()
    axes.plot(one.times, one.values, color=colour, linewidth=1.4)
    axes.fill_between(one.times, one.values, min(0, *one.values), color=colour, alpha=0.12)
    axes.margins(y=0.15)
    axes.set_xlim(span.start, span.end)


def draw_ranking(
    canvas: Canvas, panel: Mapping[str, Any], series: list[Series], span: Span
) -> None:
    """Draw Grafana's bar gauge, lying: a name, a bar, a number for each series."""
    highest = max((one.values[-1] for one in series), default=0) or 1
    row = canvas.height / len(series)
    name_width, value_width = canvas.width * 0.36, canvas.width * 0.16
    for index, (one, (name, colour)) in enumerate(
        zip(series, names_and_colours(panel, series), strict=True)
    ):
        middle = row * (index + 0.5)
        value = one.values[-1]
        canvas.text(0, middle, name, size=9.5)
        words = shown(value, str(field(panel, "unit")), field(panel, "decimals"))
        canvas.text(
            canvas.width, middle, words, size=12, weight="bold", colour=colour, align="right"
        )
        thickness = min(row * 0.6, 22)
        axes = Canvas(
            canvas.figure,
            canvas.left + name_width,
            canvas.top + middle - thickness / 2,
            canvas.width - name_width - value_width,
            thickness,
        ).axes()
        axes.set_axis_off()
        axes.set_xlim(0, highest)
        axes.barh([0], [highest], color="#eef0f4", height=1)
        axes.barh([0], [value], color=colour, height=1)
        axes.margins(y=0)
