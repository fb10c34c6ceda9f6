"""Numbers as Grafana writes them, for the units that our panels have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

_SECONDS: Final = (
    (1.0, "s"),
    (60.0, "min"),
    (3_600.0, "hours"),
    (86_400.0, "days"),
    (7 * 86_400.0, "weeks"),
)
_RATES: Final = {"cps": " c/s", "wps": " wr/s", "rps": " rd/s"}


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """Write `value`; without `decimals`, as many as tell something."""
    if math.isnan(value):
        return "none"
    match unit:
        case "s":
            return _seconds(value, decimals)
        case "percentunit":
            return f"{_plain(value * 100, decimals)} %"
        case "bytes":
            return _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB"), decimals)
        case "locale":
            return f"{value:,.{0 if decimals is None else decimals}f}"
        case _:
            return _scaled(value, 1000, ("", " K", " Mil", " Bil"), decimals) + _RATES.get(unit, "")


def _plain(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == round(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:.{decimals}f}"


def _scaled(value: float, base: int, names: Sequence[str], decimals: int | None) -> str:
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value /= base
        power += 1
    return _plain(value, decimals) + names[power]


def _seconds(value: float, decimals: int | None) -> str:
    if 0 < abs(value) < 1:
        milliseconds = value * 1000
        return f"{_plain(milliseconds, 0 if milliseconds >= 10 else 1)} ms"
    size, name = max((x for x in _SECONDS if x[0] <= abs(value)), default=_SECONDS[0])
    return f"{_plain(value / size, decimals)} {name}"


def step_base(span: float, unit: str) -> float:
    """Give the size in which an axis of so many counts: minutes, hours, mebibytes."""
    if unit == "s":
        return max((size for size, _ in _SECONDS if 1.5 * size <= span), default=1.0)
    if unit == "bytes":
        return 1024.0 ** max(0, int(math.log(max(span, 1), 1024)))
    return 1.0
