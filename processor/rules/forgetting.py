"""What has reached its age, and is forgotten (contract.md §7).

Ages count from a row's `touched_ms`. A timer is set once, when a row may be forgotten some day, and
may be early: whoever takes it looks at the row, and sets it again where the row was touched since.
So an event that touches a row costs nothing here. What is past its age but still needed is held
without a timer until it is let go: a mark by the last order in flight that refers to it, a closed
order by the balance that contains its cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from processor.rules.changes import Changes
from processor.rules.credit import Account
from processor.rules.judge import IN_FLIGHT, SECURED, closing
from processor.rules.order import OrderState
from processor.rules.records import order_key
from processor.rules.rows import unpacked
from processor.rules.studio import Studio
from processor.rules.timers import NEVER, Timers
from schemas.halted import Emission, tombstone

DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is closed is kept, in milliseconds of partition time."""

    closed_ms: int = 7 * DAY_MS
    asset_ms: int = 90 * DAY_MS
    forgotten_ms: int = 400 * DAY_MS


OldOrder = tuple[int, str, str]
"""(touched_ms, studio_id, order_id)."""


class Forgetting:
    """The timers of one shard, and what happens when they run out."""

    __slots__ = (
        "_changes",
        "_forgotten",
        "_marks",
        "_orders",
        "_retention",
        "_studios",
        "due_ms",
    )

    def __init__(self, studios: dict[str, Studio], changes: Changes, retention: Retention) -> None:
        self._studios = studios
        self._changes = changes
        self._retention = retention
        self._orders = Timers()
        self._marks = (Timers(), Timers(), Timers())
        self._forgotten = Timers()
        self.due_ms = NEVER
        """Before this partition time no timer runs out."""

    # ---- setting timers

    def watch_order(self, since_ms: int, studio_id: str, order_id: str) -> None:
        """Look at an order that is not in flight when it has reached its age."""
        self._orders.set(since_ms, studio_id, order_id)
        self._expect(since_ms + self._retention.closed_ms)

    def watch_marks(
        self, since_ms: int, table: int, studio_id: str, assets: tuple[str, ...]
    ) -> None:
        """Look at marks when they have reached their age."""
        item = assets[0] if len(assets) == 1 else assets
        self._marks[table].set(since_ms, studio_id, item)
        self._expect(since_ms + self._retention.asset_ms)

    def watch_forgotten(self, since_ms: int, studio_id: str, order_id: str) -> None:
        """Look at an id that stayed behind when it has reached its age."""
        self._forgotten.set(since_ms, studio_id, order_id)
        self._expect(since_ms + self._retention.forgotten_ms)

    def _expect(self, due_ms: int) -> None:
        if due_ms < self.due_ms:
            self.due_ms = due_ms

    def drop_timers(self) -> None:
        """Forget nothing by itself: a replica is told by the changelogs what has gone."""
        for timers in (self._orders, *self._marks, self._forgotten):
            timers.clear()
        self.due_ms = NEVER

    def watch_released(self, studio: Studio) -> None:
        """Look at once at held marks that no order in flight refers to any more."""
        for table, asset in studio.released_marks:
            self.watch_marks(
                unpacked(studio.marks[table][asset]).touched_ms, table, studio.id, (asset,)
            )
        studio.released_marks.clear()

    def watch_held(self, studio: Studio, account: Account) -> None:
        """Look at once at held orders whose cost counts no longer."""
        for order_id in sorted(account.held):
            order = studio.order(order_id)
            assert order is not None, "a held order is there"
            if not account.counts(closing(order)):
                account.held.remove(order_id)
                self.watch_order(order.touched_ms, studio.id, order_id)

    def let_go(self, studio: Studio, order: OrderState) -> bool:
        """Hold an order no longer, because an event named it; tell whether it was held."""
        account = studio.accounts.get(order.currency)
        if account is None or order.id not in account.held:
            return False
        account.held.remove(order.id)
        return True

    # ---- forgetting

    def forget(self, now: int, emitted: list[Emission]) -> None:
        """Forget all that has reached its age at the partition time `now`, in milliseconds.

        What goes in which order depends on the rows alone, never on when a timer was set: a shard
        after recovery has other timers and must emit the same tombstones.
        """
        retention = self._retention
        for _, studio_id, order_id in sorted(set(self._old_orders(now - retention.closed_ms))):
            self._forget_order(studio_id, order_id, now, emitted)
        for table in range(len(self._marks)):
            self._forget_marks(table, now - retention.asset_ms)
        self._drop_forgotten(now - retention.forgotten_ms)
        self.due_ms = min(
            self._orders.first_ms + retention.closed_ms,
            min([timers.first_ms for timers in self._marks]) + retention.asset_ms,
            self._forgotten.first_ms + retention.forgotten_ms,
        )

    def _old_orders(self, until: int) -> Iterator[OldOrder]:
        """Give those that are to be forgotten; set the timers of the others again."""
        for studio_id, order_id in list(self._orders.take(until)):
            assert isinstance(order_id, str), "each order has its timer"
            studio = self._studios.get(studio_id)
            order = None if studio is None else studio.order(order_id)
            if studio is None or order is None or order.forgotten_ms is not None:
                continue
            if order.phase is IN_FLIGHT:
                continue
            if order.touched_ms > until:
                self._orders.again(order.touched_ms, studio_id, order_id, until)
            elif order.phase is not SECURED or not _hold(studio, order):
                yield order.touched_ms, studio_id, order_id

    def _forget_order(
        self, studio_id: str, order_id: str, now: int, emitted: list[Emission]
    ) -> None:
        studio = self._studios[studio_id]
        order = studio.take(order_id)
        assert order is not None
        if order.halt is None:
            self._drop_order(studio, order)
            return
        self._changes.transfers_of(studio, order)
        studio.withdraw(order)
        order.forget(now)
        self._changes.order(studio, order)
        self.watch_forgotten(now, studio_id, order_id)
        emitted.append(tombstone(order_key(studio_id, order_id)))
        self._changes.count_tombstone()

    def _drop_order(self, studio: Studio, order: OrderState) -> None:
        self._changes.transfers_of(studio, order)
        studio.withdraw(order)
        del studio.orders[order.id]
        self._changes.order(studio, order)
        self._drop_if_empty(studio)

    def _drop_forgotten(self, until: int) -> None:
        for studio_id, order_id in list(self._forgotten.take(until)):
            assert isinstance(order_id, str), "each order has its timer"
            studio = self._studios.get(studio_id)
            order = None if studio is None else studio.order(order_id)
            if studio is None or order is None or order.forgotten_ms is None:
                continue
            if order.forgotten_ms > until:
                self._forgotten.again(order.forgotten_ms, studio_id, order_id, until)
            else:
                self._drop_order(studio, order)

    def _forget_marks(self, table: int, until: int) -> None:
        timers = self._marks[table]
        for studio_id, item in list(timers.take(until)):
            studio = self._studios.get(studio_id)
            if studio is None:
                continue
            later: dict[int, list[str]] = {}
            dropped: list[str] = []
            marks = studio.marks[table]
            for asset in (item,) if isinstance(item, str) else item:
                packed = marks.get(asset)
                if packed is None:
                    continue
                mark = unpacked(packed)
                if mark.touched_ms > until:
                    later.setdefault(mark.touched_ms, []).append(asset)
                elif asset in studio.users[table]:
                    studio.hold_mark(table, asset)
                else:
                    del marks[asset]
                    dropped.append(asset)
            if dropped:
                self._changes.marks(studio, table, dropped)
                self._changes.count_marks(table, -len(dropped))
            for touched, ids in later.items():
                timers.again(touched, studio_id, ids[0] if len(ids) == 1 else tuple(ids), until)
            self._drop_if_empty(studio)

    def _drop_if_empty(self, studio: Studio) -> None:
        if studio.empty:
            del self._studios[studio.id]


def _hold(studio: Studio, order: OrderState) -> bool:
    """Hold a secured order while its cost still counts; tell whether it does."""
    if not order.cost:
        return False
    account = studio.accounts[order.currency]
    if not account.counts(closing(order)):
        return False
    account.held.add(order.id)
    return True
