"""What the index knows of one halted order: enough to sort, filter, group and count it.

All else is asked of the rules when a page shows it (`processor.rules.inquiry`).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from processor.rules.judge import PACKAGE, Finding, find_reasons, standing_of
from processor.rules.rows import Order
from processor.rules.studio import Studio
from schemas.partitioning import join_key
from schemas.reasons import PRECEDENCE, ReasonCode

#: Sorts after every instant: nothing to be restored, or not for a limited time.
NO_DEADLINE: Final = 1 << 62


class Entry(Struct, frozen=True, gc=False):
    """One halted order. Instants are in microseconds."""

    key: str
    """The order key of contract.md §1."""
    studio_id: str
    order_id: str
    since_us: int
    placed_us: int
    deadline_us: int
    """The earliest end of what can still be restored; NO_DEADLINE: there is none."""
    cause: str
    """The event that deleted the assets behind its primary reason, the last one of several; empty
    where its primary reason is another. Orders that share it were broken by one deletion."""
    codes: tuple[int, ...]
    """Positions of its reasons in PRECEDENCE."""
    paid: bool
    cost_minor: int
    currency: str
    sequence: int

    @property
    def reasons(self) -> tuple[ReasonCode, ...]:
        """Its reason codes by precedence."""
        return tuple([PRECEDENCE[code] for code in self.codes])


def order_key_of(row_key: bytes) -> str:
    """Give the order key of a row of table `orders`; single transfers have longer ones."""
    return "/".join(row_key.decode().split("/", 2)[:2])


def entry_of(studio: Studio, order_id: str, order: Order) -> Entry | None:
    """Give the entry of an order that its worker has said to be halted; None for any other."""
    placed, halt = order.placed, order.halt
    if placed is None or halt is None or not halt.reasons:
        return None
    codes = tuple([code for code, _ in halt.reasons])
    missing: tuple[Finding, ...] = ()
    if codes[0] <= PACKAGE:
        _, unsecured = standing_of(order)
        found = find_reasons(unsecured, order.transfers, studio.marks)
        missing = tuple([finding for finding in found if finding.assets])
    return Entry(
        studio.key_prefix + join_key(order_id),
        studio.id,
        order_id,
        halt.halted_since,
        placed.placed_at,
        _deadline(missing),
        _cause(missing, codes[0]),
        codes,
        placed.paid,
        placed.cost_minor,
        placed.currency,
        halt.sequence,
    )


def _cause(missing: tuple[Finding, ...], primary: int) -> str:
    marks = [mark for finding in missing if finding.code == primary for _, mark in finding.assets]
    if not marks:
        return ""
    return max((mark.occurred_at, mark.event_id) for mark in marks)[1]


def _deadline(missing: tuple[Finding, ...]) -> int:
    untils = [mark.restorable_until for finding in missing for _, mark in finding.assets]
    return min((until for until in untils if until is not None), default=NO_DEADLINE)
