"""One order in memory: its facts as kept, and what they mean until a fact changes.

A row is a frozen value and is made when a window is committed; between two commits an order may
change many times, so its facts are changed in place. Whoever changes one calls `stand` afterwards,
and notes the change in `Changes`, which makes the row of the order as it is then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processor.rules.judge import SECURED, UNPLACED, Phase, standing_by
from processor.rules.rows import (
    FORMAT,
    Halt,
    Line,
    Order,
    Placed,
    Standing,
    Transfer,
    decode_order,
)

if TYPE_CHECKING:
    from processor.rules.report import Halted

_NEVER: Final = -(1 << 62)

Fields = tuple[
    int,
    int,
    Placed | None,
    Standing | None,
    tuple[Transfer, ...],
    tuple[str, ...],
    Halt | None,
    int | None,
]
"""Those of `rows.Order`, in its order."""


class OrderState:
    """All that is known of one order; the fields of `rows.Order` have the same names and meaning."""

    __slots__ = (
        "cost",
        "currency",
        "dirty",
        "forgotten_ms",
        "halt",
        "id",
        "lines",
        "moved",
        "phase",
        "placed",
        "settled",
        "standing",
        "told_halted",
        "told_placed",
        "told_row",
        "touched_ms",
        "transfers",
    )

    def __init__(self, order_id: str) -> None:
        """Make the order of which nothing is known yet."""
        self.id = order_id
        self.touched_ms = _NEVER
        self.placed: Placed | None = None
        self.standing: Standing | None = None
        self.transfers: tuple[Transfer, ...] = ()
        self.settled: tuple[str, ...] = ()
        self.halt: Halt | None = None
        self.forgotten_ms: int | None = None
        self.phase: Phase = UNPLACED
        """As of the last `stand`."""
        self.lines: tuple[Line, ...] = ()
        """Those not secured, while it is in flight; as of the last `stand`."""
        self.currency = ""
        """Of its cost; as of the last `stand`."""
        self.cost = 0
        """What the credit check counts, in minor units; as of the last `stand`."""
        self.dirty = False
        """Whether the change is noted already: a row is written once a commit."""
        self.moved = False
        """Whether an observer may have something to be told (`report`)."""
        self.told_placed: Placed | None = None
        """What an observer was last told, as are the two below; nothing else reads it."""
        self.told_halted: Halted | None = None
        self.told_row = False

    @classmethod
    def of_row(cls, order_id: str, row: Order) -> OrderState:
        """Make the order of its row."""
        order = cls(order_id)
        order.touched_ms = row.touched_ms
        order.placed = row.placed
        order.standing = row.standing
        order.transfers = row.transfers
        order.settled = row.settled
        order.halt = row.halt
        order.forgotten_ms = row.forgotten_ms
        order.stand()
        return order

    @classmethod
    def unpack(cls, order_id: str, value: bytes) -> OrderState:
        """Make the order of the bytes of its row, which was told, and is not in flight."""
        order = cls.of_row(order_id, decode_order(value))
        order.told_row = True
        return order

    def row(self, transfers: tuple[Transfer, ...] | None = None) -> Order:
        """Give the row as of now; `transfers`: those that are to stand in it."""
        return Order(*self.fields(self.transfers if transfers is None else transfers))

    def fields(self, transfers: tuple[Transfer, ...]) -> Fields:
        """Give the fields of the row: a struct is array-like, so they have the same bytes."""
        return (
            FORMAT,
            self.touched_ms,
            self.placed,
            self.standing,
            transfers,
            self.settled,
            self.halt,
            self.forgotten_ms,
        )

    def stand(self) -> None:
        """Find its phase and what else follows from its facts anew, after they have changed."""
        placed = self.placed
        self.phase, self.lines = standing_by(placed, self.standing, self.transfers)
        if placed is None:
            self.currency, self.cost = "", 0
        else:
            self.currency = placed.currency
            self.cost = 0 if self.currency in self.settled else placed.cost_minor
        self.moved = True

    def close(self) -> None:
        """Take note that its last line has been secured, when nothing else has changed."""
        self.phase, self.lines = SECURED, ()
        self.moved = True

    def forget(self, now_ms: int) -> None:
        """Forget all but the id."""
        self.placed = self.standing = self.halt = None
        self.transfers = self.settled = ()
        self.forgotten_ms = now_ms
        self.stand()
