"""A rectangle of a figure, in pixels from its upper left corner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

BACKGROUND: Final = "#f3f4f7"
INK: Final = "#24292f"
MUTED: Final = "#6b7280"
GRID: Final = "#e8eaef"
#: For series whose colour nobody has fixed.
PALETTE: Final = (
    *("#3b78c2", "#e8833a", "#4a9d5b", "#d64550", "#8a5fbf"),
    *("#2a9d9f", "#d9a514", "#c25b9e", "#7a8699", "#8c6d46"),
)


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where one thing is drawn."""

    figure: Figure
    left: float
    top: float
    width: float
    height: float

    def box(self) -> tuple[float, float, float, float]:
        """Give x, y, width and height in the figure's own units, from below."""
        full_width, full_height = self.figure.get_size_inches() * self.figure.dpi
        return (
            self.left / full_width,
            1 - (self.top + self.height) / full_height,
            self.width / full_width,
            self.height / full_height,
        )

    def inner(
        self, *, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0
    ) -> Canvas:
        """Give what is left inside margins."""
        return Canvas(
            self.figure,
            self.left + left,
            self.top + top,
            self.width - left - right,
            self.height - top - bottom,
        )

    def axes(self) -> Axes:
        """Make axes that fill it."""
        axes = self.figure.add_axes(self.box())
        axes.set_facecolor("none")
        return axes

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 9,
        colour: str = INK,
        weight: str = "normal",
        align: str = "left",
    ) -> float:
        """Write at a place, centred in height; give the width that it takes, in pixels."""
        full_width, full_height = self.figure.get_size_inches() * self.figure.dpi
        written = self.figure.text(
            (self.left + x) / full_width,
            1 - (self.top + y) / full_height,
            words,
            fontsize=size,
            color=colour,
            fontweight=weight,
            ha=align,
            va="center",
        )
        return float(written.get_window_extent().width)
