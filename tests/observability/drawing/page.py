"""Lay a dashboard's panels out by their gridPos and draw each; write a PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from tests.observability.drawing.canvas import BACKGROUND, INK, MUTED, Canvas
from tests.observability.drawing.charts import draw_curves, draw_heatmap, draw_states
from tests.observability.drawing.numbers import draw_numbers, draw_ranking
from tests.observability.results import Answer, Span

_COLUMNS: Final = 24
_DRAW: Final = {
    "timeseries": draw_curves,
    "heatmap": draw_heatmap,
    "state-timeline": draw_states,
    "stat": draw_numbers,
    "bargauge": draw_ranking,
}
_COLUMN_PIXELS: Final = 68
_ROW_PIXELS: Final = 34
_GAP_PIXELS: Final = 8
_HEADER_PIXELS: Final = 74
_FOOTER_PIXELS: Final = 12
_DPI: Final = 100


def draw(
    document: Mapping[str, Any],
    answers: Mapping[int, list[Answer]],
    span: Span,
    caption: str,
    path: Path,
) -> Path:
    """Draw `document` with what its panels were answered; `caption` says where that comes from."""
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 9, "axes.unicode_minus": False})
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in document["panels"])
    width = _COLUMNS * _COLUMN_PIXELS + 2 * _GAP_PIXELS
    height = _HEADER_PIXELS + rows * _ROW_PIXELS + _FOOTER_PIXELS
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=BACKGROUND)
    header = Canvas(figure, 2 * _GAP_PIXELS, 0, width - 4 * _GAP_PIXELS, _HEADER_PIXELS)
    header.text(0, 26, document["title"], size=17, weight="bold")
    header.text(0, 52, f"{document['description']}   {caption}", size=9, colour=MUTED)
    for panel in document["panels"]:
        _draw_panel(_place(figure, panel["gridPos"]), panel, answers.get(panel["id"], []), span)
    # The same picture gives the same bytes: no date, no version.
    figure.savefig(path, metadata={"Software": None})
    return path


def _place(figure: Figure, grid: Mapping[str, int]) -> Canvas:
    return Canvas(
        figure,
        _GAP_PIXELS + grid["x"] * _COLUMN_PIXELS + _GAP_PIXELS / 2,
        _HEADER_PIXELS + grid["y"] * _ROW_PIXELS + _GAP_PIXELS / 2,
        grid["w"] * _COLUMN_PIXELS - _GAP_PIXELS,
        grid["h"] * _ROW_PIXELS - _GAP_PIXELS,
    )


def _draw_panel(
    canvas: Canvas, panel: Mapping[str, Any], answers: list[Answer], span: Span
) -> None:
    if panel["type"] == "row":
        canvas.text(4, canvas.height / 2, f"▾  {panel['title']}", size=11, weight="bold")
        return
    _draw_frame(canvas)
    canvas.text(12, 16, panel["title"], size=9.5, weight="bold")
    inside = canvas.inner(left=12, top=32, right=12, bottom=8)
    if panel["type"] == "text":
        _draw_text(inside, panel["options"]["content"])
    elif all(answer.empty for answer in answers):
        nothing = panel["fieldConfig"]["defaults"].get("noValue", "No data")
        inside.text(
            inside.width / 2, inside.height / 2, nothing, size=12, colour=MUTED, align="center"
        )
    else:
        series = [series for answer in answers for series in answer.series]
        _DRAW[panel["type"]](inside, panel, series, span)


def _draw_frame(canvas: Canvas) -> None:
    x, y, width, height = canvas.box()
    box = FancyBboxPatch(
        (x, y),
        width,
        height,
        boxstyle="square,pad=0",
        transform=canvas.figure.transFigure,
        facecolor="white",
        edgecolor="#dfe2e8",
        linewidth=0.8,
        zorder=-1,
    )
    canvas.figure.add_artist(box)


def _draw_text(canvas: Canvas, markdown: str) -> None:
    plain = markdown.replace("**", "").replace("*", "").replace("`", "").replace("(${runbook})", "")
    lines = textwrap.wrap(plain.replace("[", "").replace("]", ""), round(canvas.width / 7))
    for number, line in enumerate(lines):
        canvas.text(0, 10 + 16 * number, line, size=9, colour=INK)
