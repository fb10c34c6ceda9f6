"""The state machine of one partition: an event in, records to emit and changed rows out.

    apply(event, at) ─▶ merge the fact ─▶ judge the orders it affects ─▶ emit the differences
                                                                       ─▶ forget what is old

Which orders an event affects is looked up in indexes; what they are is a function of the facts
alone (contract.md §3-§5). No I/O, no clock, no randomness: the same events in the same order make
the same records and rows, in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from processor.rules import facts
from processor.rules.changes import Changes
from processor.rules.conclusion import Affected, Concluder, Coordinates, in_memory
from processor.rules.forgetting import Forgetting, Retention
from processor.rules.judge import IN_FLIGHT, SECURED, unsecured_lines
from processor.rules.order import OrderState
from processor.rules.report import Effectless
from processor.rules.rows import FAILED, INLINE_TRANSFERS, SUCCEEDED, Mark, Transfer, unpacked
from processor.rules.studio import Studio
from schemas import events
from schemas.errors import Rejection, RejectionCode
from schemas.halted import Emission
from schemas.partitioning import default_partition

#: Raised whenever the same facts are judged otherwise than by the release before (contract.md §5).
RULES_VERSION = 1

_TABLE_OF = {"product": 0, "photo": 1, "package": 2}


class Shard:
    """The live state of one partition."""

    def __init__(
        self,
        partition: int,
        *,
        topic_prefix: str = "",
        retention: Retention | None = None,
        partitions: int | None = None,
    ) -> None:
        """Make an empty shard; `partitions`: check studios against Kafka's default partitioner."""
        self.partition = partition
        self.partition_time: int | None = None
        """The highest record timestamp of the orders placed so far, in milliseconds (§7)."""
        self.studios: dict[str, Studio] = {}
        self.changes = Changes()
        """The rows changed since they were last drained."""
        self._partitions = partitions
        self.forgetting = Forgetting(self.studios, self.changes, retention or Retention())
        self._concluder = Concluder(self.changes, topic_prefix)

    # ---- events

    def apply(self, event: Any, at: Coordinates) -> list[Emission]:
        """Take one event, of a kind in schemas.events, into the shard.

        Raises Rejection, before anything has changed, as `wrong_partition` or `too_many_scopes`.
        """
        studio = self.studios.get(event.studio_id)
        if studio is None:
            studio = self._meet(event.studio_id)
        kind = type(event)
        now, touched = self.partition_time, at.timestamp_ms
        if now is not None and touched <= now:
            touched = now
        elif kind is events.OrderPlaced:
            self.partition_time = now = touched
        affected = _APPLY[kind](self, studio, event, touched)
        emitted = self._concluder.conclude(studio, affected, event, at)
        if studio.released_marks:
            self.forgetting.watch_released(studio)
        if now is not None and now >= self.forgetting.due_ms:
            self.forgetting.forget(now, emitted)
        return emitted

    def _meet(self, studio_id: str) -> Studio:
        count = self._partitions
        if count is not None and default_partition(studio_id.encode(), count) != self.partition:
            raise Rejection(
                RejectionCode.WRONG_PARTITION,
                f"studio_id: Kafka's default partitioner puts this studio into partition "
                f"{default_partition(studio_id.encode(), count)} of {count}, not {self.partition}.",
                "studio_id",
            )
        studio = self.studios[studio_id] = Studio(studio_id)
        return studio

    def _order_placed(self, studio: Studio, event: events.OrderPlaced, touched: int) -> Affected:
        order = studio.orders.get(event.order_id)
        if order is None:
            order = studio.orders[event.order_id] = OrderState(event.order_id)
            order.placed = facts.merge_placed(None, event)
            return self._settle_down(studio, order, touched, watched=False)
        order = studio.take(event.order_id)
        assert order is not None
        if order.forgotten_ms is not None:
            return self._stale(event)
        watched = self._stir(studio, order)
        placed = facts.merge_placed(order.placed, event)
        if placed is None:
            self._stale(event)
        else:
            order.placed = placed
        return self._settle_down(studio, order, touched, watched=watched)

    def _standing_changed(
        self, studio: Studio, event: events.OrderCancelled | events.OrderReinstated, touched: int
    ) -> Affected:
        order, watched = self._named(studio, event.order_id)
        if order.forgotten_ms is not None:
            return self._stale(event)
        standing = facts.merge_standing(order.standing, event)
        if standing is None:
            self._stale(event)
        else:
            order.standing = standing
        if order.placed is None:
            self._effectless(
                Effectless.CANCELLATION_UNKNOWN_ORDER
                if type(event) is events.OrderCancelled
                else Effectless.REINSTATEMENT_UNKNOWN_ORDER
            )
        return self._settle_down(studio, order, touched, watched=watched)

    def _lab_transfer(self, studio: Studio, event: events.LabTransfer, touched: int) -> Affected:
        order = studio.take(event.order_id)
        if order is not None and order.forgotten_ms is not None:
            return self._stale(event)
        before = order.transfers if order is not None else ()
        # Nothing may have changed where this raises.
        transfers, at = facts.merge_transfers(before, event)
        if at < 0:
            self._stale(event)
        elif at >= INLINE_TRANSFERS:
            self.changes.transfer(studio, event.order_id, event.package_id)
        if len(transfers) > len(before):
            self._check_scope(order, event.package_id)
        if order is not None and order.phase is IN_FLIGHT:
            return self._transfer_in_flight(studio, order, transfers, at, touched)
        order, watched = self._named(studio, event.order_id)
        order.transfers = transfers
        return self._settle_down(studio, order, touched, watched=watched)

    def _transfer_in_flight(
        self,
        studio: Studio,
        order: OrderState,
        transfers: tuple[Transfer, ...],
        at: int,
        touched: int,
    ) -> Affected:
        """Take the transfers of an order in flight, of which the one `at` has changed (-1: none)."""
        if touched > order.touched_ms:
            order.touched_ms = touched
        self.changes.order(studio, order)
        if at < 0:
            return ()
        changed, placed = transfers[at], order.placed
        assert placed is not None
        lines = order.lines
        if changed.status == SUCCEEDED:
            lines = unsecured_lines(placed, transfers)
            if not lines:
                studio.withdraw(order)
                order.transfers = transfers
                order.close()
                studio.enter(order)
                self.forgetting.watch_order(order.touched_ms, studio.id, order.id)
                return (order,)
        is_first = not order.transfers
        order.transfers, order.lines = transfers, lines
        if is_first:
            studio.move_up(order)
        if order.halt is None and (changed.status != FAILED or changed.will_retry):
            # Only a transfer that failed for good gives a reason to an order that has none.
            return ()
        return (order,)

    # ---- orders in general

    def _named(self, studio: Studio, order_id: str) -> tuple[OrderState, bool]:
        """Give the order that an event names, ready to be changed, and whether a timer watches it."""
        order = studio.take(order_id)
        if order is None:
            order = studio.orders[order_id] = OrderState(order_id)
            return order, False
        return order, self._stir(studio, order)

    def _stir(self, studio: Studio, order: OrderState) -> bool:
        """Make an order ready to be changed; tell whether a timer watches it."""
        if order.phase is IN_FLIGHT:
            studio.withdraw(order)
            return False
        if order.phase is SECURED:
            studio.withdraw(order)
            return not self.forgetting.let_go(studio, order)
        return True

    def _settle_down(
        self, studio: Studio, order: OrderState, touched: int, *, watched: bool
    ) -> Affected:
        """Take an order in again after its facts have changed."""
        if touched > order.touched_ms:
            order.touched_ms = touched
        self.changes.order(studio, order)
        order.stand()
        studio.enter(order)
        if not watched and order.phase is not IN_FLIGHT:
            self.forgetting.watch_order(order.touched_ms, studio.id, order.id)
        return (order,)

    def _asset_changed(
        self, studio: Studio, event: events.AssetDeleted | events.AssetRestored, touched: int
    ) -> Affected:
        table, assets = _TABLE_OF[event.asset_type], event.asset_ids
        mark = facts.make_mark(event, touched)
        marks, users = studio.marks[table], studio.users[table]
        affected: dict[str, None] = {}
        known = len(marks)
        if marks.keys().isdisjoint(assets):
            marks.update(dict.fromkeys(assets, mark))
            if mark.gone and not users.keys().isdisjoint(assets):
                for asset in assets:
                    affected.update(dict.fromkeys(studio.users_of(table, asset)))
            unwatched, changed = assets, assets
        else:
            unwatched, changed, is_news = self._merge_marks(studio, table, assets, mark, affected)
            if not is_news:
                self._stale(event)
        if unwatched:
            self.changes.count_marks(table, len(marks) - known)
            self.forgetting.watch_marks(touched, table, studio.id, unwatched)
        self.changes.marks(studio, table, changed)
        return [in_memory(studio, order_id) for order_id in affected]

    def _merge_marks(
        self,
        studio: Studio,
        table: int,
        assets: tuple[str, ...],
        mark: Mark,
        affected: dict[str, None],
    ) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """Merge one mark into those kept of some assets.

        Gives the assets that had none, those whose row has changed, and whether any took this mark.
        """
        marks, users = studio.marks[table], studio.users[table]
        touched = mark.touched_ms
        unwatched, changed = [], []
        is_news = False
        for asset in assets:
            packed = marks.get(asset)
            old = None if packed is None else unpacked(packed)
            if old is None:
                unwatched.append(asset)
                kept = mark
                is_news = True
            elif facts.mark_wins(old, mark):
                is_news = True
                kept = mark if old.touched_ms <= touched else facts.touch_mark(mark, old.touched_ms)
            elif old.touched_ms < touched:
                kept = facts.touch_mark(old, touched)
            else:
                continue
            marks[asset] = kept
            changed.append(asset)
            if asset in users and (kept.gone or (old is not None and old.gone)):
                affected.update(dict.fromkeys(studio.users_of(table, asset)))
        return tuple(unwatched), tuple(changed), is_news

    def _balance_changed(
        self, studio: Studio, event: events.BalanceChanged, touched: int
    ) -> Affected:
        currency = event.balance.currency
        account = studio.account(currency)
        balance = facts.merge_balance(account.balance, event)
        if balance is not None:
            counted = account.checked, account.contained_until
            account.set_balance(balance)
            self.changes.balance(studio, currency)
            if account.held and counted != (account.checked, account.contained_until):
                self.forgetting.watch_held(studio, account)
        settled = event.settled_order_ids or ()
        if balance is None and all(_is_settled(studio, x, currency) for x in settled):
            self._stale(event)
        return [
            order
            for order_id in settled
            for order in self._order_settled(studio, order_id, currency, touched)
        ]

    def _order_settled(
        self, studio: Studio, order_id: str, currency: str, touched: int
    ) -> Affected:
        order, watched = self._named(studio, order_id)
        if order.forgotten_ms is not None:
            return ()
        if order.placed is None:
            self._effectless(Effectless.SETTLEMENT_UNKNOWN_ORDER)
        if currency not in order.settled:
            order.settled = (*order.settled, currency)
            self.changes.account_of(studio)
        return self._settle_down(studio, order, touched, watched=watched)

    # ---- what an observer is told besides (`report`)

    def _stale(self, event: Any) -> Affected:
        """Note an event that changes no fact, and so affects no order."""
        report = self.changes.report
        if report is not None:
            report.count_stale(type(event))
        return ()

    def _effectless(self, kind: Effectless) -> None:
        report = self.changes.report
        if report is not None:
            report.count_effectless(kind)

    def _check_scope(self, order: OrderState | None, package_id: str | None) -> None:
        """Note the first transfer of a scope that is none of its order's."""
        if order is None or order.placed is None:
            self._effectless(Effectless.TRANSFER_UNKNOWN_ORDER)
        elif package_id is not None:
            for line in order.placed.lines:
                if line.package_id == package_id:
                    return
            self._effectless(Effectless.TRANSFER_UNKNOWN_PACKAGE)

    def rejudge(self, version: int) -> list[Emission]:
        """Judge again what is in flight or halted, under rules of another version (contract.md §5)."""
        emitted: list[Emission] = []
        for _, studio in sorted(self.studios.items()):
            at = Coordinates("", -1, version, self.partition_time or 0)
            emitted += self._concluder.conclude(studio, _in_flight_or_halted(studio), None, at)
        return emitted


# Functions and not bound methods: a shard that referred to itself would outlive its partition, since
# the collector never walks what it has frozen (processor.runtime.garbage).
_APPLY: dict[Any, Callable[[Shard, Studio, Any, int], Affected]] = {
    events.OrderPlaced: Shard._order_placed,  # noqa: SLF001
    events.OrderCancelled: Shard._standing_changed,  # noqa: SLF001
    events.OrderReinstated: Shard._standing_changed,  # noqa: SLF001
    events.AssetDeleted: Shard._asset_changed,  # noqa: SLF001
    events.AssetRestored: Shard._asset_changed,  # noqa: SLF001
    events.LabTransfer: Shard._lab_transfer,  # noqa: SLF001
    events.BalanceChanged: Shard._balance_changed,  # noqa: SLF001
}


def _is_settled(studio: Studio, order_id: str, currency: str) -> bool:
    """Tell whether a settlement of the order is known already, or comes too late."""
    order = studio.order(order_id)
    return order is not None and (currency in order.settled or order.forgotten_ms is not None)


def _in_flight_or_halted(studio: Studio) -> list[OrderState]:
    found = []
    for order_id in list(studio.orders):
        order = studio.order(order_id)
        assert order is not None
        if order.phase is IN_FLIGHT:
            found.append(order)
        elif order.halt is not None and order.halt.reasons:
            studio.orders[order_id] = order
            found.append(order)
    return found
