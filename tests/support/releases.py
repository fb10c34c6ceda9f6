"""Two releases that follow one another, made of this one: other rules, and rows with a field more.

`before` has the rules of this release and its rows, and can read the next format already. `after` does
not halt an order for a photo that is gone, and writes the next format: rows of orders say how many
lines there are. As a program: `python -m tests.support.releases after worker …`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from processor.rules import judge, order, rows, shard
from processor.rules.judge import Finding
from processor.rules.order import OrderState
from processor.rules.rows import Line, Marks, Order, Transfer

Put = Callable[[Any, str, Any], None]
"""`setattr`, or pytest's, which is taken back."""

NEXT_RULES: Final = shard.RULES_VERSION + 1
NEXT_FORMAT: Final = rows.FORMAT + 1
#: The reason that `after` does not know.
DROPPED_CODE: Final = "photos_missing"

_find_reasons: Final = judge.find_reasons
_fields: Final = OrderState.fields


def _without_photos(
    lines: tuple[Line, ...], transfers: tuple[Transfer, ...], marks: Marks
) -> tuple[Finding, ...]:
    return tuple(x for x in _find_reasons(lines, transfers, marks) if x.code != judge.PHOTO)


class _NextOrder(Order, frozen=True, gc=False, array_like=True):
    line_count: int = 0


def _next_fields(self: OrderState, transfers: tuple[Transfer, ...]) -> tuple[Any, ...]:
    lines = () if self.placed is None else self.placed.lines
    return (*_fields(self, transfers), len(lines))


def put_everywhere(put: Put, name: str, value: object) -> None:
    """Replace a name in every module of the processor that has imported it."""
    for path, module in sorted(sys.modules.items()):
        if path.startswith(("processor.rules.", "processor.verify.")) and hasattr(module, name):
            put(module, name, value)


def before(put: Put) -> None:
    """Become the release before the next rules and rows."""
    put_everywhere(put, "READS", NEXT_FORMAT)


def after(put: Put) -> None:
    """Become the next release."""
    put_everywhere(put, "READS", NEXT_FORMAT)
    put_everywhere(put, "FORMAT", NEXT_FORMAT)
    put_everywhere(put, "RULES_VERSION", NEXT_RULES)
    put_everywhere(put, "find_reasons", _without_photos)
    put(order, "Order", _NextOrder)
    put(OrderState, "fields", _next_fields)


RELEASES: Final = {"before": before, "after": after}

if __name__ == "__main__":
    from processor import cli
    from processor.cli import worker  # noqa: F401 - all modules are there before names are replaced

    RELEASES[sys.argv.pop(1)](setattr)
    cli.main()
