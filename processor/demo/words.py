"""Say in a sentence what a record of `order-halted` says in fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from schemas.reasons import Action, Change, ReasonCode, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.halted import OrderHalted, Reason

REASONS: Final = {
    ReasonCode.PRODUCT_MISSING: "product missing",
    ReasonCode.PHOTOS_MISSING: "photos missing",
    ReasonCode.PACKAGE_MISSING: "package missing",
    ReasonCode.CREDIT_LIMIT_REACHED: "credit limit reached",
    ReasonCode.TRANSFER_FAILED: "transfer failed",
}

_ACTIONS: Final = {
    Action.RESTORE_ASSETS: "restore",
    Action.CANCEL_ORDER: "cancel the order",
    Action.CREATE_NEW_ORDER: "create a new one",
    Action.TOP_UP: "top up",
    Action.CONTACT_CUSTOMER_CARE: "contact customer care",
    Action.CONTACT_SUPPORT: "contact support",
}

_ENDINGS: Final = {
    Status.RELEASED: "goes on",
    Status.CANCELLED: "was cancelled",
    Status.TRANSFERRED: "was transferred all the same",
}

_ENDED: Final = {
    ReasonCode.PRODUCT_MISSING: "the product is back",
    ReasonCode.PHOTOS_MISSING: "the photos are back",
    ReasonCode.PACKAGE_MISSING: "the package is back",
    ReasonCode.CREDIT_LIMIT_REACHED: "the account funds it",
    ReasonCode.TRANSFER_FAILED: "the transfer is tried again or done",
}


def describe(record: OrderHalted) -> str:
    """Say why an order is halted and what can be done, or how its halt has ended."""
    if record.change == Change.ENDED:
        ending = _ENDINGS.get(record.status, record.status)
        if record.status != Status.RELEASED:
            return ending
        return f"{ending}: {', '.join(_ENDED.get(x.code, x.code) for x in record.ended_reasons)}"
    first, *others = record.reasons
    also = f" (also: {', '.join(REASONS.get(x.code, x.code) for x in others)})" if others else ""
    actions = " or ".join(_ACTIONS.get(action, action) for action in first.actions)
    return f"{_cause(first)}{also} → {actions}"


def _cause(reason: Reason) -> str:
    if reason.credit:
        credit = reason.credit
        cost = money(credit.cost_minor, credit.currency)
        left = money(credit.available_minor, credit.currency)
        top_up = money(credit.top_up_minor, credit.currency)
        return f"costs {cost}, {left} left, {top_up} would fund it"
    if reason.transfers:
        return _failure(reason)
    subjects = _listed([f"{x.type} {x.id}" for x in reason.subjects], reason.subject_count)
    by = next((f" by {x.deleted_by}" for x in reason.subjects if x.deleted_by), "")
    until = f", restorable until {reason.restorable_until[:10]}" if reason.restorable_until else ""
    return f"{subjects} deleted{by}{until}"


def _failure(reason: Reason) -> str:
    assert reason.transfers, "asked for transfers only"
    failed = reason.transfers[0]
    what = f"package {failed.package_id}" if failed.package_id is not None else "the order"
    lab = f" to {failed.lab_id}" if failed.lab_id else ""
    error = f": {failed.error.message or failed.error.code}" if failed.error else ""
    return f"attempt {failed.attempt} to transfer {what}{lab} failed for good{error}"


def _listed(names: Sequence[str], count: int) -> str:
    shown = ", ".join(names[:2])
    return shown if count <= 2 else f"{shown} and {count - 2} more"


def money(amount_minor: int, currency: str) -> str:
    """Write an amount of a currency with two decimals, as all of the demo's have."""
    units, hundredths = divmod(abs(amount_minor), 100)
    return f"{'-' if amount_minor < 0 else ''}{units:,}.{hundredths:02d} {currency}"
