"""The state machine of one partition: an event in, records to emit and changed rows out.

    apply(event, at) ─▶ merge the fact ─▶ judge the orders it affects ─▶ emit the differences
                                                                       ─▶ forget what is old

Which orders an event affects is looked up in indexes; what they are is a function of the facts
alone (contract.md §3-§5). No I/O, no clock, no randomness: the same events in the same order make
the same records and rows, in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from processor.rules import facts
from processor.rules.changes import Changes
from processor.rules.credit import Account
from processor.rules.forgetting import Forgetting, Retention
from processor.rules.judge import CREDIT, PACKAGE, Finding, Phase, find_reasons, phase_of
from processor.rules.records import Cause, Writer
from processor.rules.rows import (
    FORMAT,
    INLINE_TRANSFERS,
    NEW_ORDER,
    Balance,
    Halt,
    Mark,
    Order,
    Transfer,
)
from processor.rules.studio import Studio, with_transfers
from schemas import events
from schemas.errors import Rejection, RejectionCode
from schemas.halted import Emission
from schemas.partitioning import default_partition

#: Raised whenever the same facts are judged otherwise than by the release before (contract.md §5).
RULES_VERSION = 1

#: At most so many package scopes an order, besides the whole order (contract.md §2).
SCOPES_MAX = 1000

_TABLE_OF = {"product": 0, "photo": 1, "package": 2}
_CREDIT_FINDING = Finding(CREDIT, ())


class Coordinates(NamedTuple):
    """Where an input event stands."""

    topic: str
    """With its prefix."""
    partition: int
    offset: int
    timestamp_ms: int
    """The record's."""


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
        self._writer = Writer(topic_prefix)
        self._apply: dict[Any, Callable[[Studio, Any, int], Collection[str]]] = {
            events.OrderPlaced: self._order_placed,
            events.OrderCancelled: self._standing_changed,
            events.OrderReinstated: self._standing_changed,
            events.AssetDeleted: self._asset_changed,
            events.AssetRestored: self._asset_changed,
            events.LabTransfer: self._lab_transfer,
            events.BalanceChanged: self._balance_changed,
        }

    # ---- events

    def apply(self, event: Any, at: Coordinates) -> list[Emission]:
        """Take one event, of a kind in schemas.events, into the shard.

        Raises Rejection, before anything has changed, as `wrong_partition` or `too_many_scopes`.
        """
        studio = self.studios.get(event.studio_id)
        if studio is None:
            studio = self._meet(event.studio_id)
        kind = type(event)
        timestamp = at.timestamp_ms
        now = self.partition_time
        if kind is events.OrderPlaced and (now is None or timestamp > now):
            self.partition_time = now = timestamp
        touched = timestamp if now is None or timestamp > now else now
        affected = self._apply[kind](studio, event, touched)
        cause = Cause(int(event.occurred_at), event.event_id, at.topic, at.partition, at.offset)
        emitted = self._conclude(studio, affected, cause)
        if studio.released_marks:
            self.forgetting.watch_released(studio)
        if now is not None:
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

    def _order_placed(
        self, studio: Studio, event: events.OrderPlaced, touched: int
    ) -> Collection[str]:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return ()
        placed = facts.merge_placed(old.placed, event)
        new = Order(
            FORMAT,
            max(touched, old.touched_ms),
            placed or old.placed,
            old.standing,
            old.transfers,
            old.settled,
            old.halt,
        )
        return self._replace_order(studio, event.order_id, old, new)

    def _standing_changed(
        self, studio: Studio, event: events.OrderCancelled | events.OrderReinstated, touched: int
    ) -> Collection[str]:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return ()
        standing = facts.merge_standing(old.standing, event)
        new = Order(
            FORMAT,
            max(touched, old.touched_ms),
            old.placed,
            standing or old.standing,
            old.transfers,
            old.settled,
            old.halt,
        )
        return self._replace_order(studio, event.order_id, old, new)

    def _lab_transfer(
        self, studio: Studio, event: events.LabTransfer, touched: int
    ) -> Collection[str]:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return ()
        transfers, at = _merge_transfers(old.transfers, event)
        if at >= INLINE_TRANSFERS:
            self.changes.transfer(studio, event.order_id, event.package_id)
        new = Order(
            FORMAT,
            max(touched, old.touched_ms),
            old.placed,
            old.standing,
            transfers,
            old.settled,
            old.halt,
        )
        return self._replace_order(studio, event.order_id, old, new)

    def _replace_order(
        self, studio: Studio, order_id: str, old: Order, new: Order
    ) -> Collection[str]:
        """Put an order's new row; give the order where it is affected."""
        is_new = old is NEW_ORDER
        phase = studio.put_order(order_id, None if is_new else old, new)
        self.changes.order(studio, order_id)
        if phase is not Phase.IN_FLIGHT:
            was_watched = not is_new and phase_of(old) is not Phase.IN_FLIGHT
            if not was_watched or self.forgetting.let_go(studio, order_id, old):
                self.forgetting.watch_order(new.touched_ms, studio.id, order_id)
        return (order_id,)

    def _asset_changed(
        self, studio: Studio, event: events.AssetDeleted | events.AssetRestored, touched: int
    ) -> Collection[str]:
        table = _TABLE_OF[event.asset_type]
        mark = facts.make_mark(event, touched)
        marks, users = studio.marks[table], studio.users[table]
        affected: set[str] = set()
        unwatched = []
        for asset in event.asset_ids:
            old = marks.get(asset)
            if old is None:
                unwatched.append(asset)
                kept = mark
            elif facts.mark_wins(old, mark):
                kept = mark if old.touched_ms <= touched else facts.touch_mark(mark, old.touched_ms)
            elif old.touched_ms < touched:
                kept = facts.touch_mark(old, touched)
            else:
                continue
            marks[asset] = kept
            self.changes.mark(studio, table, asset)
            if asset in users and (kept.gone or (old is not None and old.gone)):
                affected.update(studio.users_of(table, asset))
        if unwatched:
            self.forgetting.watch_marks(touched, table, studio.id, tuple(unwatched))
        return affected

    def _balance_changed(
        self, studio: Studio, event: events.BalanceChanged, touched: int
    ) -> Collection[str]:
        currency = event.balance.currency
        account = studio.account(currency)
        balance = facts.merge_balance(account.balance, event)
        if balance is not None:
            counted = account.checked, account.contained_until
            account.set_balance(balance)
            self.changes.balance(studio, currency)
            if account.held and counted != (account.checked, account.contained_until):
                self.forgetting.watch_held(studio, account)
        affected: set[str] = set()
        for order_id in event.settled_order_ids or ():
            affected.update(self._settle(studio, order_id, currency, touched))
        return affected

    def _settle(
        self, studio: Studio, order_id: str, currency: str, touched: int
    ) -> Collection[str]:
        old = studio.order(order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return ()
        listed = old.settled if currency in old.settled else (*old.settled, currency)
        new = Order(
            FORMAT,
            max(touched, old.touched_ms),
            old.placed,
            old.standing,
            old.transfers,
            listed,
            old.halt,
        )
        return self._replace_order(studio, order_id, old, new)

    # ---- judgement

    def _conclude(self, studio: Studio, affected: Collection[str], cause: Cause) -> list[Emission]:
        """Judge the affected orders, fund the accounts, and emit what has changed."""
        judged: dict[str, tuple[Order, Phase, tuple[Finding, ...]]] = {}
        for order_id in affected:
            self._judge(studio, order_id, judged)
        for account in studio.accounts.values():
            for order_id in account.fund():
                if order_id not in judged:
                    self._judge(studio, order_id, judged)
        emitted: list[Emission] = []
        for order_id in sorted(judged) if len(judged) > 1 else judged:
            order, phase, findings = judged[order_id]
            account_of = self._account_of(studio, order)
            if account_of is not None and order_id in account_of.short:
                findings = tuple(sorted((*findings, _CREDIT_FINDING)))
            if not findings and (order.halt is None or not order.halt.reasons):
                continue
            written = self._writer.write(
                studio.id, order_id, order, phase, findings, account_of, cause
            )
            if written is not None:
                halt, emission = written
                studio.put_halt(order_id, _with_halt(order, halt))
                self.changes.order(studio, order_id)
                emitted.append(emission)
        return emitted

    def _judge(
        self,
        studio: Studio,
        order_id: str,
        judged: dict[str, tuple[Order, Phase, tuple[Finding, ...]]],
    ) -> None:
        order = studio.order(order_id)
        assert order is not None, "an index names an order that is there"
        phase = phase_of(order)
        findings = find_reasons(order, studio.marks) if phase is Phase.IN_FLIGHT else ()
        judged[order_id] = (order, phase, findings)
        account = self._account_of(studio, order)
        if account is not None:
            account.set_missing(order_id, bool(findings) and findings[0].code <= PACKAGE)

    def _account_of(self, studio: Studio, order: Order) -> Account | None:
        return None if order.placed is None else studio.accounts.get(order.placed.currency)

    def rejudge(self, cause: Cause) -> list[Emission]:
        """Judge all orders in flight again, under new rules (contract.md §5)."""
        emitted = []
        for studio_id in sorted(self.studios):
            studio = self.studios[studio_id]
            in_flight = [
                order_id
                for order_id, row in studio.orders.items()
                if isinstance(row, Order) and phase_of(row) is Phase.IN_FLIGHT
            ]
            emitted += self._conclude(studio, in_flight, cause)
        return emitted

    # ---- rows, one at a time (recovery, replay, replicas)

    def replace_order(self, studio_id: str, order_id: str, row: Order | None) -> None:
        """Take an order's row as it stands in the changelog; None where it is gone."""
        studio = self._studio(studio_id)
        old = studio.order(order_id)
        if row is not None and row.forgotten_ms is None:
            loose = studio.loose_transfers.pop(order_id, {})
            apart = old.transfers[INLINE_TRANSFERS:] if old is not None else ()
            if loose or apart:
                row = with_transfers(row, (*row.transfers, *apart, *loose.values()))
        phase = studio.put_order(order_id, old, row)
        if row is None:
            self._drop_if_empty(studio)
        elif row.forgotten_ms is not None:
            self.forgetting.watch_forgotten(row.forgotten_ms, studio_id, order_id)
        elif phase is not Phase.IN_FLIGHT:
            self.forgetting.watch_order(row.touched_ms, studio_id, order_id)

    def replace_transfer(
        self, studio_id: str, order_id: str, scope: str | None, row: Transfer | None
    ) -> None:
        """Take a transfer that has a row of its own."""
        studio = self._studio(studio_id)
        studio.put_transfer(order_id, scope, row)
        self._drop_if_empty(studio)

    def replace_mark(self, table: int, studio_id: str, asset: str, row: Mark | None) -> None:
        """Take the mark of an asset."""
        studio = self._studio(studio_id)
        if row is None:
            studio.marks[table].pop(asset, None)
            self._drop_if_empty(studio)
        else:
            studio.marks[table][asset] = row
            self.forgetting.watch_marks(row.touched_ms, table, studio_id, (asset,))

    def replace_balance(self, studio_id: str, currency: str, row: Balance | None) -> None:
        """Take the balance of an account."""
        studio = self._studio(studio_id)
        studio.account(currency).set_balance(row)
        self._drop_if_empty(studio)

    def _studio(self, studio_id: str) -> Studio:
        studio = self.studios.get(studio_id)
        if studio is None:
            studio = self.studios[studio_id] = Studio(studio_id)
        return studio

    def _drop_if_empty(self, studio: Studio) -> None:
        if studio.empty:
            del self.studios[studio.id]

    def settle_in(self) -> list[tuple[str, str]]:
        """Check, once all rows are there, that they are what these rules made.

        Gives the (studio_id, order_id) whose credit the rules now see otherwise: none, unless the
        rules have changed since the rows were written.
        """
        return [
            (studio.id, order_id)
            for studio in self.studios.values()
            for account in studio.accounts.values()
            for order_id in account.fund()
        ]


def _merge_transfers(
    transfers: tuple[Transfer, ...], event: events.LabTransfer
) -> tuple[tuple[Transfer, ...], int]:
    """Give the transfers with the event merged in, and the place of the changed one, or -1.

    A scope keeps its place for ever: the first INLINE_TRANSFERS stand in the order's own row.
    """
    scope = event.package_id
    for at, kept in enumerate(transfers):
        if kept.package_id == scope:
            merged = facts.merge_transfer(kept, event)
            if merged is None:
                return transfers, -1
            return (*transfers[:at], merged, *transfers[at + 1 :]), at
    if scope is not None and len(transfers) >= SCOPES_MAX:
        packages = sum([x.package_id is not None for x in transfers])
        if packages >= SCOPES_MAX:
            raise Rejection(
                RejectionCode.TOO_MANY_SCOPES,
                f"package_id: the order has transfers of {SCOPES_MAX} packages already.",
                "package_id",
            )
    merged = facts.merge_transfer(None, event)
    assert merged is not None, "a first transfer is always kept"
    return (*transfers, merged), len(transfers)


def _with_halt(order: Order, halt: Halt) -> Order:
    return Order(
        FORMAT,
        order.touched_ms,
        order.placed,
        order.standing,
        order.transfers,
        order.settled,
        halt,
    )
