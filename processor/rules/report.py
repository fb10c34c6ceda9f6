"""What a shard tells its observer once a commit window: what has changed, never what there is.

Everything here is a difference since the last report, so whoever adds up all reports of a shard, from
the rows that recovery loads on, has its present state without ever looking through it. A report is
taken together with the changed rows, so it counts exactly when they do. It is no input of any rule.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from processor.rules.rows import TABLES, Halt, Placed


class Effectless(StrEnum):
    """A fact that is kept, but concerned nothing known when it came: too early, or a mistake."""

    TRANSFER_UNKNOWN_ORDER = "transfer_unknown_order"
    TRANSFER_UNKNOWN_PACKAGE = "transfer_unknown_package"
    """No line of the order has the package."""
    SETTLEMENT_UNKNOWN_ORDER = "settlement_unknown_order"
    CANCELLATION_UNKNOWN_ORDER = "cancellation_unknown_order"
    REINSTATEMENT_UNKNOWN_ORDER = "reinstatement_unknown_order"


class Move(NamedTuple):
    """One order that came into flight, left it, or was halted otherwise."""

    placed_before: Placed | None
    """None where it was not in flight."""
    halt_before: Halt | None
    """None where it was not halted."""
    placed: Placed | None
    halt: Halt | None


class Report:
    """What has happened since the last one."""

    __slots__ = ("balances", "effectless", "moves", "rows", "stale", "unchecked")

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.rows: dict[str, int] = dict.fromkeys(TABLES, 0)
        """Table → rows that it has more, or fewer."""
        self.unchecked = 0
        """Orders more, or fewer, in flight whose account has no known balance."""
        self.balances: list[tuple[int | None, int | None]] = []
        """`occurred_at` before and now, in microseconds, of balances with a limit that an order in
        flight is checked against; None where there was or is no such balance or order."""
        self.stale: dict[type, int] = {}
        """Kind of event (`schemas.events`) → those that changed no fact."""
        self.effectless: dict[Effectless, int] = {}

    def count_stale(self, kind: type) -> None:
        """Note an event that changed no fact."""
        self.stale[kind] = self.stale.get(kind, 0) + 1

    def count_effectless(self, kind: Effectless) -> None:
        """Note a fact that concerns nothing known."""
        self.effectless[kind] = self.effectless.get(kind, 0) + 1


NOTHING: Final = Report()
"""For a machine that keeps none; never changed."""
