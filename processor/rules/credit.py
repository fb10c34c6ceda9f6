"""The credit check of one account: a studio and a currency (contract.md §4).

An account keeps its orders in two places, and nothing of an order but what the check needs:

    queue    in flight, not settled, cost > 0, by (no transfer known, placed_at, order_id)
    secured  secured entirely, not cancelled, not listed, cost > 0, by (closing, order_id)

    available = balance + limit - costs of the secured ones that the balance does not contain
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Set
from typing import Final

from processor.rules.queue import FundingQueue, Turn
from processor.rules.rows import Balance
from schemas.halted import Credit

#: A secured order: (closing, order_id, cost).
Secured = tuple[int, str, int]

_NOBODY: Final = frozenset[str]()
_ALL: Final = -1
"""A threshold before every closing: no order is settled by date."""


class Account:
    """The orders of one studio whose cost is in one currency, and who of them is short."""

    __slots__ = (
        "_total",
        "balance",
        "changed",
        "contained_until",
        "currency",
        "held",
        "queue",
        "secured",
        "spent",
        "told_decides",
        "told_row",
        "told_unchecked",
    )

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.balance: Balance | None = None
        self._total: int | None = None
        """Balance and limit; None where there is no limit, or no balance is known."""
        self.queue = FundingQueue()
        self.secured: list[Secured] = []
        self.contained_until = _ALL
        """The kept balance contains the secured orders whose closing is not after this."""
        self.spent = 0
        """Total cost of the secured orders that the balance does not contain."""
        self.held: set[str] = set()
        """Closed orders past their age that still count (contract.md §7)."""
        self.changed = False
        """Whether `fund` has something to do."""
        self.told_unchecked = 0
        """What an observer was last told (`report`), as are the two below; nothing else reads it."""
        self.told_decides: int | None = None
        self.told_row = False

    # ---- what changes it

    def enqueue(self, turn: Turn, cost: int, *, missing: bool, short: bool) -> None:
        """Put an order into the queue; `short`: it was not funded when the state was written."""
        self.queue.add(turn, cost, missing=missing, short=short)
        self.changed = True

    def dequeue(self, order_id: str) -> None:
        """Take an order out of the queue, if it is in it."""
        if self.queue.remove(order_id):
            self.changed = True

    def move(self, order_id: str, turn: Turn) -> None:
        """Give an order of the queue another turn."""
        if self.queue.move(order_id, turn):
            self.changed = True

    def set_missing(self, order_id: str, missing: bool) -> None:
        """Note whether an asset of an order is missing; an order outside the queue has no say."""
        if self.queue.set_missing(order_id, missing):
            self.changed = True

    def add_secured(self, closing: int, order_id: str, cost: int) -> None:
        """Count the cost of an order that is secured entirely."""
        item = (closing, order_id, cost)
        if not self.secured or self.secured[-1] < item:
            self.secured.append(item)
        else:
            insort(self.secured, item)
        if closing > self.contained_until:
            self.spent += cost
            self.changed = True

    def remove_secured(self, closing: int, order_id: str, cost: int) -> None:
        """Count it no longer: it was listed, cancelled, amended or forgotten."""
        at = bisect_left(self.secured, (closing, order_id, cost))
        assert self.secured[at] == (closing, order_id, cost), "a secured order is listed once"
        del self.secured[at]
        if closing > self.contained_until:
            self.spent -= cost
            self.changed = True

    def set_balance(self, balance: Balance | None) -> None:
        """Take the balance as kept."""
        self.balance = balance
        self._total = None
        if balance is not None and balance.credit_limit_minor is not None:
            self._total = balance.balance_minor + balance.credit_limit_minor
        until = _ALL if balance is None or balance.lists else balance.occurred_at
        if until != self.contained_until:
            low, high = sorted((until, self.contained_until))
            between = self.secured[self._after(low) : self._after(high)]
            cost = sum([cost for _, _, cost in between])
            self.spent += -cost if until > self.contained_until else cost
            self.contained_until = until
        self.changed = True

    def _after(self, closing: int) -> int:
        return bisect_right(self.secured, closing, key=_closing)

    # ---- what it says

    @property
    def short(self) -> set[str]:
        """The orders that are not funded, as of the last `fund`."""
        return self.queue.short

    @property
    def checked(self) -> bool:
        """Whether there is a balance with a limit; without one nobody is short."""
        return self._total is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is left that this account is for."""
        return self.balance is None and not self.queue.entries and not self.secured

    def counts(self, closing: int) -> bool:
        """Tell whether the cost of a secured order still counts, which keeps it (§7)."""
        return self.checked and closing > self.contained_until

    def available(self) -> int | None:
        """Give what the queue can be funded with, in minor units; None where nobody checks."""
        return None if self._total is None else self._total - self.spent

    def fund(self) -> Set[str]:
        """Fund the queue; give the orders that became short or are so no longer."""
        self.changed = False
        queue, total = self.queue, self._total
        if total is None:
            return queue.fund(None) if queue.short else _NOBODY
        available = total - self.spent
        if queue.total <= available and not queue.short:
            if queue.is_ordered:
                queue.rest()
            return _NOBODY
        return queue.fund(available)

    def sums(self, order_id: str) -> Credit:
        """Give what the check says to an order that is short."""
        balance, available = self.balance, self.available()
        assert balance is not None and balance.credit_limit_minor is not None
        assert available is not None
        left, before = self.queue.sums(order_id)
        cost = self.queue.entries[order_id].cost
        return Credit(
            currency=self.currency,
            cost_minor=cost,
            balance_minor=balance.balance_minor,
            credit_limit_minor=balance.credit_limit_minor,
            available_minor=left,
            shortfall_minor=cost - left,
            top_up_minor=max(0, before + cost - available),
        )


def _closing(secured: Secured) -> int:
    return secured[0]
