"""The credit check of one account: a studio and a currency (contract.md §4).

An account keeps two sorted lists of orders, and nothing of an order but what the check needs:

    queue    in flight, not settled, cost > 0, by (no transfer known, placed_at, order_id)
    secured  secured entirely, not cancelled, not listed, cost > 0, by (closing, order_id)

    available = balance + limit - costs of the secured ones that the balance does not contain

While all costs of the queue fit into what is available, nobody is short and no order is looked at.
Else one walk over the queue funds it in order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final, NamedTuple

from msgspec import Struct

from processor.rules.rows import Balance

#: Place of an order in the queue: (no transfer known, placed_at, order_id).
Turn = tuple[bool, int, str]
#: A secured order: (closing, order_id, cost).
Secured = tuple[int, str, int]

_ALL: Final = -1
"""A threshold before every closing: no order is settled by date."""


class Sums(NamedTuple):
    """What the check says to one order that is not funded, in minor units."""

    available: int
    """What is left at its turn."""
    top_up: int
    """What would fund it, with all before it that have no asset missing."""


class Entry(Struct, gc=False):
    """One order of the queue."""

    turn: Turn
    cost: int
    missing: bool
    """A product, photo or package is gone: it cannot be produced and reserves nothing."""


class Account:
    """The orders of one studio whose cost is in one currency, and who of them is short."""

    __slots__ = (
        "_sums",
        "balance",
        "changed",
        "contained_until",
        "currency",
        "entries",
        "exposure",
        "held",
        "queue",
        "secured",
        "short",
        "spent",
    )

    def __init__(self, currency: str) -> None:
        self.currency = currency
        self.balance: Balance | None = None
        self.queue: list[Turn] = []
        self.entries: dict[str, Entry] = {}
        self.exposure = 0
        """Total cost of the queue."""
        self.short: set[str] = set()
        """The orders of the queue that are not funded, as of the last `fund`."""
        self.secured: list[Secured] = []
        self.contained_until = _ALL
        """The kept balance contains the secured orders whose closing is not after this."""
        self.spent = 0
        """Total cost of the secured orders that the balance does not contain."""
        self.held: set[str] = set()
        """Closed orders past their age that still count (contract.md §7)."""
        self.changed = False
        """Whether `fund` has something to do."""
        self._sums: dict[str, Sums] | None = None
        """What `sums` says, until something changes."""

    # ---- what changes it

    def enqueue(self, turn: Turn, cost: int, *, missing: bool, short: bool = False) -> None:
        """Put an order into the queue; `short`: it was not funded when the state was written."""
        queue = self.queue
        if not queue or queue[-1] < turn:
            queue.append(turn)
        else:
            insort(queue, turn)
        order_id = turn[2]
        self.entries[order_id] = Entry(turn, cost, missing)
        self.exposure += cost
        if short:
            self.short.add(order_id)
        self.changed = True
        self._sums = None

    def dequeue(self, order_id: str) -> None:
        """Take an order out of the queue, if it is in it."""
        entry = self.entries.pop(order_id, None)
        if entry is None:
            return
        at = bisect_left(self.queue, entry.turn)
        assert self.queue[at] == entry.turn, "the queue holds what its entries say"
        del self.queue[at]
        self.exposure -= entry.cost
        self.short.discard(order_id)
        self.changed = True
        self._sums = None

    def set_missing(self, order_id: str, missing: bool) -> None:
        """Note whether an asset of an order of the queue is missing; others have no place here."""
        entry = self.entries.get(order_id)
        if entry is not None and entry.missing != missing:
            entry.missing = missing
            self.changed = True
            self._sums = None

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
            self._sums = None

    def remove_secured(self, closing: int, order_id: str, cost: int) -> None:
        """Count it no longer: it was listed, cancelled, amended or forgotten."""
        at = bisect_left(self.secured, (closing, order_id, cost))
        assert self.secured[at] == (closing, order_id, cost), "a secured order is listed once"
        del self.secured[at]
        if closing > self.contained_until:
            self.spent -= cost
            self.changed = True
            self._sums = None

    def set_balance(self, balance: Balance | None) -> None:
        """Take the balance as kept."""
        self.balance = balance
        until = _ALL if balance is None or balance.lists else balance.occurred_at
        if until != self.contained_until:
            low, high = sorted((until, self.contained_until))
            between = self.secured[self._after(low) : self._after(high)]
            cost = sum([cost for _, _, cost in between])
            self.spent += -cost if until > self.contained_until else cost
            self.contained_until = until
        self.changed = True
        self._sums = None

    def _after(self, closing: int) -> int:
        return bisect_right(self.secured, closing, key=_closing)

    # ---- what it says

    @property
    def checked(self) -> bool:
        """Whether there is a balance with a limit; without one nobody is short."""
        return self.balance is not None and self.balance.credit_limit_minor is not None

    @property
    def empty(self) -> bool:
        """Whether nothing is left that this account is for."""
        return self.balance is None and not self.entries and not self.secured

    def available(self) -> int:
        """Give what the queue can be funded with, in minor units. Only where it is `checked`."""
        assert self.balance is not None and self.balance.credit_limit_minor is not None
        return self.balance.balance_minor + self.balance.credit_limit_minor - self.spent

    def counts(self, closing: int) -> bool:
        """Tell whether the cost of a secured order still counts, which keeps it (§7)."""
        return self.checked and closing > self.contained_until

    def fund(self) -> set[str]:
        """Fund the queue; give the orders that became short or are so no longer."""
        self.changed = False
        balance = self.balance
        if (
            balance is None
            or balance.credit_limit_minor is None
            or self.exposure <= balance.balance_minor + balance.credit_limit_minor - self.spent
        ):
            # Nobody checks, or all of them fit: no order needs to be looked at.
            flipped, self.short = self.short, set()
            return flipped
        short = self._walk()
        flipped = short ^ self.short
        self.short = short
        return flipped

    def _walk(self) -> set[str]:
        left = self.available()
        entries = self.entries
        short = set()
        for turn in self.queue:
            entry = entries[turn[2]]
            if entry.cost > left:
                short.add(turn[2])
            elif not entry.missing:
                left -= entry.cost
        return short

    def sums(self, order_id: str) -> Sums:
        """Give the sums of an order that is short. One walk serves all until something changes."""
        if self._sums is None:
            self._sums = self._all_sums()
        return self._sums[order_id]

    def _all_sums(self) -> dict[str, Sums]:
        first = left = self.available()
        before = 0
        sums = {}
        for turn in self.queue:
            entry = self.entries[turn[2]]
            if entry.cost > left:
                sums[turn[2]] = Sums(left, max(0, before + entry.cost - first))
            elif not entry.missing:
                left -= entry.cost
            if not entry.missing:
                before += entry.cost
        return sums


def _closing(secured: Secured) -> int:
    return secured[0]
