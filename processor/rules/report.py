"""What a shard tells its observer once a commit window: what has changed, never what there is.

Everything here is a difference since the last report, so whoever adds up all reports of a shard, from
the rows that recovery loads on, has its present state without ever looking through it. A report is
taken together with the changed rows, so it counts exactly when they do. It is no input of any rule.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from processor.rules.judge import IN_FLIGHT, Phase
from processor.rules.rows import TABLES, Halt, Placed

if TYPE_CHECKING:
    from processor.rules.credit import Account
    from processor.rules.order import OrderState
    from processor.rules.studio import Studio

_ORDERS: Final = "orders"
_BALANCES: Final = "balances"


class Effectless(StrEnum):
    """A fact that is kept, but concerned nothing known when it came: too early, or a mistake."""

    TRANSFER_UNKNOWN_ORDER = "transfer_unknown_order"
    TRANSFER_UNKNOWN_PACKAGE = "transfer_unknown_package"
    """No line of the order has the package."""
    SETTLEMENT_UNKNOWN_ORDER = "settlement_unknown_order"
    CANCELLATION_UNKNOWN_ORDER = "cancellation_unknown_order"
    REINSTATEMENT_UNKNOWN_ORDER = "reinstatement_unknown_order"


# Plain tuples: one that has names takes ten times as long to make.
Halted = tuple[Placed, Halt]
"""An order that is halted, as an observer sees it."""
Said = tuple[Halt | None, Halt, Phase, int, int | None, bytes]
"""A record of `order-halted`, as far as it is counted: the halt before, the halt now, the order's phase,
the instant of its cause in microseconds, the timestamp of the input record that caused it in milliseconds
(None where new rules did), and its key."""


class Report:
    """What has happened since the last one."""

    __slots__ = (
        "balances", "effectless", "entered", "forgotten", "halted", "left", "rows", "said", "stale",
        "touched", "unchecked", "written",
    )  # fmt: skip

    def __init__(self) -> None:
        self.entered: list[int] = []
        """`placed_at`, in microseconds, of orders that came into flight."""
        self.left: list[int] = []
        """The same of orders that left it. An order that was amended did both."""
        self.halted: list[tuple[Halted | None, Halted | None]] = []
        """Orders that are halted otherwise than before, or are no more: before and now."""
        self.said: list[Said] = []
        """The records of `order-halted`, but tombstones, in their order."""
        self.forgotten = 0
        """Tombstones of `order-halted`."""
        self.rows: dict[str, int] = dict.fromkeys(TABLES, 0)
        """Table → rows that it has more, or fewer."""
        self.written: dict[str, int] = {}
        """Table → changed rows that were drained."""
        self.unchecked = 0
        """Orders more, or fewer, in flight and with a cost to be checked, whose account has no known
        balance."""
        self.balances: list[tuple[int | None, int | None]] = []
        """`occurred_at` before and now, in microseconds, of balances with a limit that an order in
        flight is checked against; None where there was or is no such balance or order."""
        self.stale: dict[type, int] = {}
        """Kind of event (`schemas.events`) → those that changed no fact."""
        self.effectless: dict[Effectless, int] = {}
        self.touched: set[Studio] = set()
        """Studios of which an account may have changed."""

    def count_stale(self, kind: type) -> None:
        """Note an event that changed no fact."""
        self.stale[kind] = self.stale.get(kind, 0) + 1

    def count_effectless(self, kind: Effectless) -> None:
        """Note a fact that concerns nothing known."""
        self.effectless[kind] = self.effectless.get(kind, 0) + 1

    # ---- orders

    def order(self, studio: Studio, order: OrderState, kept: bool) -> None:
        """Tell what an order has become since it was last told; `kept`: it is still in the table."""
        order.moved = False
        placed = order.placed if kept and order.phase is IN_FLIGHT else None
        told = order.told_placed
        if placed is not told:
            order.told_placed = placed
            if told is not None:
                self.left.append(told.placed_at)
            if placed is not None:
                self.entered.append(placed.placed_at)
                if told is not None:
                    self.touched.add(studio)
            some = placed or told
            assert some is not None
            account = studio.accounts.get(some.currency)
            if account is not None and (
                account.balance is None
                # Its queue was empty and is no more, or the other way round.
                or (account.told_decides is None) is bool(account.queue.entries)
            ):
                self.touched.add(studio)
        halt = order.halt
        if halt is not None or order.told_halted is not None:
            self._halt(order, placed, halt)
        if kept is not order.told_row:
            order.told_row = kept
            self.rows[_ORDERS] += 1 if kept else -1

    def _halt(self, order: OrderState, placed: Placed | None, halt: Halt | None) -> None:
        before = order.told_halted
        is_halted = placed is not None and halt is not None and bool(halt.reasons)
        if not is_halted and before is None:
            return
        if is_halted and before is not None and before[0] is placed and before[1] is halt:
            return
        now = (placed, halt) if placed is not None and halt is not None and is_halted else None
        self.halted.append((before, now))
        order.told_halted = now

    # ---- accounts

    def close(self) -> None:
        """Tell what the accounts that were touched have become."""
        for studio in self.touched:
            for account in studio.accounts.values():
                self._account(account)
        self.touched.clear()

    def _account(self, account: Account) -> None:
        balance, waiting = account.balance, len(account.queue.entries)
        unchecked = waiting if balance is None else 0
        self.unchecked += unchecked - account.told_unchecked
        account.told_unchecked = unchecked
        decides = (
            balance.occurred_at if balance is not None and account.checked and waiting else None
        )
        if decides != account.told_decides:
            self.balances.append((account.told_decides, decides))
            account.told_decides = decides
        is_row = balance is not None
        if is_row is not account.told_row:
            account.told_row = is_row
            self.rows[_BALANCES] += 1 if is_row else -1


NOTHING: Final = Report()
"""For a machine that reports nothing; never changed."""
