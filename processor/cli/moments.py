"""Instants on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

import click

_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Instant(click.ParamType):
    """An instant of RFC 3339, as microseconds since 1970 UTC; without an offset it is UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        if isinstance(value, int):
            return value
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(self._fault(value), param, ctx)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return int(instant.timestamp() * 1_000_000)

    def _fault(self, value: str) -> str:
        return f"{value!r} is not an instant such as 2026-01-05T08:00:00Z"


class Moment(Instant):
    """An instant, or how long ago it was: 30s, 15m, 2h, 7d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        ago = _AGO.fullmatch(value) if isinstance(value, str) else None
        if ago is None:
            return super().convert(value, param, ctx)
        return (time.time_ns() // 1000) - int(ago[1]) * _UNIT_SECONDS[ago[2]] * 1_000_000

    def _fault(self, value: str) -> str:
        return f"{super()._fault(value)}, nor an age such as 15m, 2h or 7d"
