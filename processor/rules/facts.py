"""How events merge into facts (contract.md §3).

Every merge takes the greater of two ranks, so it is idempotent, commutative and associative. A
merge gives the new fact, or None where the kept one stands.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import astuple

from processor.rules.rows import (
    FAILED,
    FORMAT,
    STARTED,
    SUCCEEDED,
    Balance,
    Line,
    Mark,
    Placed,
    Standing,
    Transfer,
)
from schemas import events
from schemas.errors import Rejection, RejectionCode

#: At most so many package scopes an order, besides the whole order (contract.md §2).
SCOPES_MAX = 1000

#: Products, packages and currencies: those of more orders than so many are not worth the room.
_WORDS_MAX: Final = 4096
_words: dict[str, str] = {}

_STATUS = {"started": STARTED, "failed": FAILED, "succeeded": SUCCEEDED}


def merge_placed(kept: Placed | None, event: events.OrderPlaced) -> Placed | None:
    """Keep the highest version; then the later event, then the greater event_id."""
    version = event.version or 1
    if kept is not None and (version, event.occurred_at, event.event_id) <= (
        kept.version,
        kept.occurred_at,
        kept.event_id,
    ):
        return None
    cost = event.production_cost
    return Placed(
        version,
        event.occurred_at,
        event.event_id,
        event.placed_at,
        tuple([_line(line) for line in event.lines]),
        cost.amount_minor,
        _shared(cost.currency),
        event.paid,
    )


def _line(line: events.OrderLine) -> Line:
    # Both have the same fields, and one by one they take three times as long.
    line_id, product_id, photo_ids, package_id = astuple(line)
    package_id = None if package_id is None else _shared(package_id)
    return Line(line_id, _shared(product_id), photo_ids, package_id)


def _shared(word: str) -> str:
    """Give the same object for the same word, of those that many orders share."""
    if len(_words) >= _WORDS_MAX:
        _words.clear()
    return _words.setdefault(word, word)


def merge_standing(
    kept: Standing | None, event: events.OrderCancelled | events.OrderReinstated
) -> Standing | None:
    """Keep the latest; cancelled beats reinstated, then the greater event_id."""
    cancelled = type(event) is events.OrderCancelled
    if kept is not None and (event.occurred_at, cancelled, event.event_id) <= (
        kept.occurred_at,
        kept.cancelled,
        kept.event_id,
    ):
        return None
    return Standing(event.occurred_at, cancelled, event.event_id)


def merge_transfers(
    transfers: tuple[Transfer, ...], event: events.LabTransfer
) -> tuple[tuple[Transfer, ...], int]:
    """Give the transfers with the event merged in, and the place of the changed one, or -1.

    A scope keeps its place for ever: the first INLINE_TRANSFERS stand in the order's own row.
    """
    scope = event.package_id
    for at, kept in enumerate(transfers):
        if kept.package_id == scope:
            merged = merge_transfer(kept, event)
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
    merged = merge_transfer(None, event)
    assert merged is not None, "a first transfer is always kept"
    return (*transfers, merged), len(transfers)


def merge_transfer(kept: Transfer | None, event: events.LabTransfer) -> Transfer | None:
    """Keep the earliest success, else the highest attempt, each with its ties."""
    status = _STATUS[event.status]
    if kept is not None and not _beats(status, event, kept):
        return None
    error = event.error
    return Transfer(
        event.package_id,
        status,
        event.attempt,
        bool(event.will_retry),
        event.occurred_at,
        event.event_id,
        event.transfer_id,
        event.lab_id,
        None if error is None else (error.code, error.message),
    )


def _beats(status: int, event: events.LabTransfer, kept: Transfer) -> bool:
    if status == SUCCEEDED or kept.status == SUCCEEDED:
        if status != kept.status:
            return status == SUCCEEDED
        return (event.occurred_at, event.event_id) < (kept.occurred_at, kept.event_id)
    return (event.attempt, status, not event.will_retry, event.occurred_at, event.event_id) > (
        kept.attempt,
        kept.status,
        not kept.will_retry,
        kept.occurred_at,
        kept.event_id,
    )


def mark_wins(kept: Mark, mark: Mark) -> bool:
    """Tell whether `mark` is kept: the latest; deleted beats restored, then the greater event_id."""
    return (mark.occurred_at, mark.gone, mark.event_id) > (
        kept.occurred_at,
        kept.gone,
        kept.event_id,
    )


def make_mark(event: events.AssetDeleted | events.AssetRestored, touched_ms: int) -> Mark:
    """Make the mark that all assets of one event share."""
    at = event.occurred_at
    if isinstance(event, events.AssetDeleted):
        return Mark(
            FORMAT,
            touched_ms,
            at,
            True,
            event.event_id,
            event.deleted_by,
            event.restorable_until,
        )
    return Mark(FORMAT, touched_ms, at, False, event.event_id, None, None)


def touch_mark(mark: Mark, touched_ms: int) -> Mark:
    """Give the mark as named again by a later event."""
    return Mark(
        FORMAT,
        touched_ms,
        mark.occurred_at,
        mark.gone,
        mark.event_id,
        mark.deleted_by,
        mark.restorable_until,
    )


def merge_balance(kept: Balance | None, event: events.BalanceChanged) -> Balance | None:
    """Keep the highest version; then the later event, then the greater event_id."""
    if kept is not None and (event.version, event.occurred_at, event.event_id) <= (
        kept.version,
        kept.occurred_at,
        kept.event_id,
    ):
        return None
    return Balance(
        FORMAT,
        event.version,
        event.occurred_at,
        event.event_id,
        event.balance.amount_minor,
        event.credit_limit_minor,
        event.settled_order_ids is not None,
    )
