"""From the orders that an event affects to the records that say what is new (contract.md §4, §5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from processor.rules.changes import Changes
from processor.rules.judge import CREDIT, IN_FLIGHT, PACKAGE, Finding, find_reasons
from processor.rules.order import OrderState
from processor.rules.records import Cause, Writer
from processor.rules.studio import Studio
from schemas.halted import Emission

_CREDIT_FINDING = Finding(CREDIT, ())

Affected = Sequence[OrderState]
"""The orders whose judgement an event may have changed, but for credit."""
Judged = dict[str, tuple[OrderState, tuple[Finding, ...]]]
"""Order id → the order and its reasons but credit."""


class Coordinates(Struct, frozen=True, gc=False):
    """Where an input event stands."""

    topic: str
    """With its prefix."""
    partition: int
    offset: int
    timestamp_ms: int
    """The record's."""


class Concluder:
    """Judges orders, and writes the records of one shard."""

    __slots__ = ("_changes", "_writer")

    def __init__(self, changes: Changes, topic_prefix: str) -> None:
        self._changes = changes
        self._writer = Writer(topic_prefix)

    def conclude(
        self, studio: Studio, affected: Affected, event: Any, at: Coordinates
    ) -> list[Emission]:
        """Judge what is affected, fund the accounts that have changed, and emit what is new."""
        judged: Judged = {}
        by_new_rules = event is None
        for order in affected:
            _judge(studio, order, judged, flipped=by_new_rules)
        for account in studio.accounts.values():
            if account.changed:
                for order_id in account.fund():
                    if order_id not in judged:
                        _judge(studio, in_memory(studio, order_id), judged, flipped=True)
        emitted: list[Emission] = []
        if not judged:
            return emitted
        for order_id in sorted(judged) if len(judged) > 1 else judged:
            order, findings = judged[order_id]
            said = self._say(studio, order, findings, event, at)
            if said is not None:
                emitted.append(said)
        return emitted

    def _say(
        self,
        studio: Studio,
        order: OrderState,
        findings: tuple[Finding, ...],
        event: Any,
        at: Coordinates,
    ) -> Emission | None:
        """Give the record of what is new of an order's halt, and keep that it was said."""
        placed = order.placed
        if placed is None:
            return None
        account = studio.accounts.get(order.currency)
        if account is not None and order.id in account.short:
            findings = tuple(sorted((*findings, _CREDIT_FINDING)))
        cause = _cause(event, at)
        said = self._writer.write(studio.id, order, findings, account, cause)
        if said is None:
            return None
        before, order.halt = order.halt, said[0]
        self._changes.order(studio, order)
        if self._changes.report is not None:
            order.moved = True
            cause_ms = None if event is None else at.timestamp_ms
            self._changes.report.said.append(
                (before, said[0], order.phase, cause.occurred_at, cause_ms, said[1].key)
            )
        return said[1]


def _judge(studio: Studio, order: OrderState, judged: Judged, *, flipped: bool = False) -> None:
    """Find the reasons but credit of an order, and tell its account of them.

    An order that has none and had none has nothing to say, unless its credit may have `flipped`.
    """
    if order.phase is not IN_FLIGHT:
        if order.halt is not None:
            judged[order.id] = (order, ())
        return
    findings = find_reasons(order.lines, order.transfers, studio.marks)
    if not findings and order.halt is None and not flipped:
        return
    judged[order.id] = (order, findings)
    account = studio.accounts.get(order.currency)
    if account is not None:
        account.set_missing(order.id, bool(findings) and findings[0].code <= PACKAGE)


def in_memory(studio: Studio, order_id: str) -> OrderState:
    """Give an order that an index names: one in flight, which is never packed."""
    order = studio.orders[order_id]
    assert isinstance(order, OrderState), "an order in flight is not packed"
    return order


def _cause(event: Any, at: Coordinates) -> Cause:
    """Name what caused a record; no event means new rules, whose version stands for the offset."""
    if event is None:
        return Cause(at.timestamp_ms * 1000, f"rules:{at.offset}", rules=at.offset)
    return Cause(event.occurred_at, event.event_id, at.topic, at.partition, at.offset)
