"""The state machine of one partition: an event in, records to emit and changed rows out.

    apply(event, at) ─▶ merge the fact ─▶ judge the orders it affects ─▶ emit the differences
                                                                       ─▶ forget what is old

Which orders an event affects is looked up in indexes; what they are is a function of the facts
alone (contract.md §3-§5). No I/O, no clock, no randomness: the same events in the same order make
the same records and rows, in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from processor.rules import facts
from processor.rules.changes import Changes
from processor.rules.forgetting import Forgetting, Retention
from processor.rules.judge import (
    CREDIT,
    IN_FLIGHT,
    PACKAGE,
    SECURED,
    UNPLACED,
    Finding,
    Phase,
    find_reasons,
    phase_of,
    standing_of,
)
from processor.rules.records import Cause, Writer
from processor.rules.rows import (
    INLINE_TRANSFERS,
    NEW_ORDER,
    Line,
    Order,
    Transfer,
    amend,
    with_halt,
)
from processor.rules.studio import Studio
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

Judged = dict[str, tuple[Order, Phase, tuple[Finding, ...]]]
"""Order id → row, phase and reasons but credit, of the orders that an event affects."""


class Coordinates(Struct, frozen=True, gc=False):
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
        judged: Judged = {}
        _APPLY[kind](self, studio, event, touched, judged)
        emitted = self._conclude(studio, judged, event, at)
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

    def _order_placed(
        self,
        studio: Studio,
        event: events.OrderPlaced,
        touched: int,
        judged: Judged,
    ) -> None:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return
        placed = facts.merge_placed(old.placed, event)
        new = amend(old, touched, placed or old.placed, old.standing, old.transfers, old.settled)
        self._replace_order(studio, event.order_id, old, new, judged)

    def _standing_changed(
        self,
        studio: Studio,
        event: events.OrderCancelled | events.OrderReinstated,
        touched: int,
        judged: Judged,
    ) -> None:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return
        standing = facts.merge_standing(old.standing, event)
        new = amend(old, touched, old.placed, standing or old.standing, old.transfers, old.settled)
        self._replace_order(studio, event.order_id, old, new, judged)

    def _lab_transfer(
        self,
        studio: Studio,
        event: events.LabTransfer,
        touched: int,
        judged: Judged,
    ) -> None:
        old = studio.order(event.order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return
        transfers, at = _merge_transfers(old.transfers, event)
        if at >= INLINE_TRANSFERS:
            self.changes.transfer(studio, event.order_id, event.package_id)
        new = amend(old, touched, old.placed, old.standing, transfers, old.settled)
        self._replace_order(studio, event.order_id, old, new, judged)

    def _replace_order(
        self, studio: Studio, order_id: str, old: Order, new: Order, judged: Judged
    ) -> None:
        """Put an order's new row and judge it."""
        is_new = old is NEW_ORDER
        before = UNPLACED if is_new else phase_of(old)
        after, lines = standing_of(new)
        studio.put_order(order_id, None if is_new else old, before, new, after)
        self.changes.order(studio, order_id)
        if after is IN_FLIGHT:
            if before is SECURED:
                self.forgetting.let_go(studio, order_id, old)
            self._judge(studio, order_id, new, lines, judged)
        else:
            judged[order_id] = (new, after, ())
            # The timer of an order that was not in flight before is set already.
            unwatched = is_new or before is IN_FLIGHT
            if unwatched or self.forgetting.let_go(studio, order_id, old):
                self.forgetting.watch_order(new.touched_ms, studio.id, order_id)

    def _asset_changed(
        self,
        studio: Studio,
        event: events.AssetDeleted | events.AssetRestored,
        touched: int,
        judged: Judged,
    ) -> None:
        table = _TABLE_OF[event.asset_type]
        mark = facts.make_mark(event, touched)
        marks, users = studio.marks[table], studio.users[table]
        changed = self.changes.mark
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
            changed(studio, table, asset)
            if asset in users and (kept.gone or (old is not None and old.gone)):
                affected.update(studio.users_of(table, asset))
        if unwatched:
            self.forgetting.watch_marks(touched, table, studio.id, tuple(unwatched))
        self._judge_all(studio, affected, judged)

    def _balance_changed(
        self,
        studio: Studio,
        event: events.BalanceChanged,
        touched: int,
        judged: Judged,
    ) -> None:
        currency = event.balance.currency
        account = studio.account(currency)
        balance = facts.merge_balance(account.balance, event)
        if balance is not None:
            counted = account.checked, account.contained_until
            account.set_balance(balance)
            self.changes.balance(studio, currency)
            if account.held and counted != (account.checked, account.contained_until):
                self.forgetting.watch_held(studio, account)
        for order_id in event.settled_order_ids or ():
            self._settle(studio, order_id, currency, touched, judged)

    def _settle(
        self, studio: Studio, order_id: str, currency: str, touched: int, judged: Judged
    ) -> None:
        old = studio.order(order_id) or NEW_ORDER
        if old.forgotten_ms is not None:
            return
        listed = old.settled if currency in old.settled else (*old.settled, currency)
        new = amend(old, touched, old.placed, old.standing, old.transfers, listed)
        self._replace_order(studio, order_id, old, new, judged)

    # ---- judgement

    def _judge(
        self,
        studio: Studio,
        order_id: str,
        order: Order,
        lines: tuple[Line, ...],
        judged: Judged,
    ) -> None:
        """Find the reasons but credit of an order in flight, and tell its account of them."""
        findings = find_reasons(lines, order.transfers, studio.marks)
        judged[order_id] = (order, IN_FLIGHT, findings)
        assert order.placed is not None
        account = studio.accounts.get(order.placed.currency)
        if account is not None:
            account.set_missing(order_id, bool(findings) and findings[0].code <= PACKAGE)

    def _judge_all(self, studio: Studio, order_ids: Iterable[str], judged: Judged) -> None:
        for order_id in order_ids:
            if order_id in judged:
                continue
            order = studio.order(order_id)
            assert order is not None, "an index names an order that is there"
            phase, lines = standing_of(order)
            if phase is IN_FLIGHT:
                self._judge(studio, order_id, order, lines, judged)
            else:
                judged[order_id] = (order, phase, ())

    def _conclude(
        self, studio: Studio, judged: Judged, event: Any, at: Coordinates
    ) -> list[Emission]:
        """Fund the accounts that have changed, and emit what is new of the orders judged."""
        for changed in studio.accounts.values():
            if changed.changed:
                flipped = changed.fund()
                if flipped:
                    self._judge_all(studio, flipped, judged)
        emitted: list[Emission] = []
        for order_id in sorted(judged) if len(judged) > 1 else judged:
            order, phase, findings = judged[order_id]
            placed, halt = order.placed, order.halt
            if placed is None:
                continue
            account = studio.accounts.get(placed.currency)
            if account is not None and order_id in account.queue.short:
                findings = tuple(sorted((*findings, _CREDIT_FINDING)))
            elif not findings and (halt is None or not halt.reasons):
                continue
            said = self._writer.write(
                studio.id, order_id, order, phase, findings, account, _cause(event, at)
            )
            if said is not None:
                studio.put_halt(order_id, with_halt(order, said[0]))
                self.changes.order(studio, order_id)
                emitted.append(said[1])
        return emitted

    def rejudge(self, version: int) -> list[Emission]:
        """Judge again what is in flight or halted, under rules of another version (contract.md §5)."""
        emitted: list[Emission] = []
        for _, studio in sorted(self.studios.items()):
            judged: Judged = {}
            self._judge_all(studio, _in_flight_or_halted(studio), judged)
            at = Coordinates("", -1, version, self.partition_time or 0)
            emitted += self._conclude(studio, judged, None, at)
        return emitted


# Functions and not bound methods: a shard that referred to itself would outlive its partition, since
# the collector never walks what it has frozen (processor.runtime.garbage).
_APPLY: dict[Any, Callable[[Shard, Studio, Any, int, Judged], None]] = {
    events.OrderPlaced: Shard._order_placed,  # noqa: SLF001
    events.OrderCancelled: Shard._standing_changed,  # noqa: SLF001
    events.OrderReinstated: Shard._standing_changed,  # noqa: SLF001
    events.AssetDeleted: Shard._asset_changed,  # noqa: SLF001
    events.AssetRestored: Shard._asset_changed,  # noqa: SLF001
    events.LabTransfer: Shard._lab_transfer,  # noqa: SLF001
    events.BalanceChanged: Shard._balance_changed,  # noqa: SLF001
}


def _in_flight_or_halted(studio: Studio) -> list[str]:
    found = []
    for order_id in studio.orders:
        order = studio.order(order_id)
        assert order is not None
        halted = order.halt is not None and order.halt.reasons
        if halted or phase_of(order) is IN_FLIGHT:
            found.append(order_id)
    return found


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


def _cause(event: Any, at: Coordinates) -> Cause:
    """Name what caused a record; no event means new rules, whose version stands for the offset."""
    if event is None:
        return Cause(at.timestamp_ms * 1000, f"rules:{at.offset}", rules=at.offset)
    return Cause(event.occurred_at, event.event_id, at.topic, at.partition, at.offset)
