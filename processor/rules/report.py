"""What a shard tells its observer once a commit window: what has changed, never what there is.

Everything here is a difference since the last report, so whoever adds up all reports of a shard, from
the rows that recovery loads on, has its present state without ever looking through it. A report is
taken together with the changed rows, so it counts exactly when they do. It is no input of any rule.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from processor.rules.judge import IN_FLIGHT
from processor.rules.rows import TABLES, Balance, Halt, Placed

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


Move = tuple[Placed | None, Halt | None, Placed | None, Halt | None]
"""The order and its halt before, and both now, of one that came into flight, left it, or was halted
otherwise. The first of each two is None where it was or is not in flight, the second where not
halted."""


class Report:
    """What has happened since the last one."""

    __slots__ = ("balances", "effectless", "moves", "rows", "stale", "touched", "unchecked")

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.rows: dict[str, int] = dict.fromkeys(TABLES, 0)
        """Table → rows that it has more, or fewer."""
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

    def order(self, studio: Studio, order: OrderState, *, kept: bool) -> None:
        """Tell what an order has become since it was last told; `kept`: it is still in the table."""
        placed = order.placed if kept and order.phase is IN_FLIGHT else None
        halt = order.halt
        if halt is not None and (placed is None or not halt.reasons):
            halt = None
        if placed is not order.told_placed or halt is not order.told_halt:
            self.moves.append((order.told_placed, order.told_halt, placed, halt))
            order.told_placed, order.told_halt = placed, halt
            self.touched.add(studio)
        if kept is not order.told_row:
            order.told_row = kept
            self.rows[_ORDERS] += 1 if kept else -1

    def close(self) -> None:
        """Tell what the accounts that were touched have become."""
        for studio in self.touched:
            for account in studio.accounts.values():
                balance = account.balance
                if balance is None or not account.told_row or not account.queue.entries:
                    self._account(account, balance)
                    continue
                # As nearly all are: a balance is known, and orders wait.
                decides = None if balance.credit_limit_minor is None else balance.occurred_at
                if decides != account.told_decides:
                    self._decide(account, decides)
        self.touched.clear()

    def _account(self, account: Account, balance: Balance | None) -> None:
        waiting = len(account.queue.entries)
        unchecked = waiting if balance is None else 0
        self.unchecked += unchecked - account.told_unchecked
        account.told_unchecked = unchecked
        decides = None
        if balance is not None and waiting and balance.credit_limit_minor is not None:
            decides = balance.occurred_at
        if decides != account.told_decides:
            self._decide(account, decides)
        is_row = balance is not None
        if is_row is not account.told_row:
            account.told_row = is_row
            self.rows[_BALANCES] += 1 if is_row else -1

    def _decide(self, account: Account, decides: int | None) -> None:
        self.balances.append((account.told_decides, decides))
        account.told_decides = decides


NOTHING: Final = Report()
"""For a machine that reports nothing; never changed."""
