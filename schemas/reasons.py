"""Reason codes, their precedence, what a halt can become, and what a studio can do (contract.md §4, §5).

All four sets are open on the wire: a consumer takes a value that it does not know as "other".
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class ReasonCode(StrEnum):
    """Why an order is halted, in the order of precedence: the first active one is primary."""

    PRODUCT_MISSING = "product_missing"
    PHOTOS_MISSING = "photos_missing"
    PACKAGE_MISSING = "package_missing"
    CREDIT_LIMIT_REACHED = "credit_limit_reached"
    TRANSFER_FAILED = "transfer_failed"


#: The codes by precedence; a code's position is also how rows store it, so it never changes.
PRECEDENCE: Final = tuple(ReasonCode)

#: With one of these an order cannot be produced and reserves no money (contract.md §4).
MISSING_CODES: Final = PRECEDENCE[:3]


class AssetType(StrEnum):
    """What an order refers to and a studio can delete."""

    PRODUCT = "product"
    PHOTO = "photo"
    PACKAGE = "package"


#: The reason that a gone asset of each type gives.
MISSING_CODE: Final = dict(zip(AssetType, MISSING_CODES, strict=True))


class Change(StrEnum):
    """What a record says of a halt."""

    OPENED = "opened"
    CHANGED = "changed"
    ENDED = "ended"


class Status(StrEnum):
    """What the order is after a record; for an ended halt the first that applies, but `halted`."""

    HALTED = "halted"
    CANCELLED = "cancelled"
    TRANSFERRED = "transferred"
    RELEASED = "released"


class Action(StrEnum):
    """What the studio can do about a reason."""

    RESTORE_ASSETS = "restore_assets"
    CANCEL_ORDER = "cancel_order"
    CREATE_NEW_ORDER = "create_new_order"
    TOP_UP = "top_up"
    CONTACT_CUSTOMER_CARE = "contact_customer_care"
    CONTACT_SUPPORT = "contact_support"


_ASSETS_UNPAID: Final = (Action.CANCEL_ORDER, Action.CREATE_NEW_ORDER)
_ASSETS_PAID: Final = (Action.CONTACT_CUSTOMER_CARE,)
_CREDIT: Final = (Action.TOP_UP, Action.CONTACT_CUSTOMER_CARE)

#: (code, paid) → actions, best first. `restore_assets` comes before them where it is possible.
_ACTIONS: Final = {
    **{(code, False): _ASSETS_UNPAID for code in MISSING_CODES},
    **{(code, True): _ASSETS_PAID for code in MISSING_CODES},
    (ReasonCode.CREDIT_LIMIT_REACHED, False): _CREDIT,
    (ReasonCode.CREDIT_LIMIT_REACHED, True): _CREDIT,
    (ReasonCode.TRANSFER_FAILED, False): (Action.CANCEL_ORDER, Action.CREATE_NEW_ORDER),
    (ReasonCode.TRANSFER_FAILED, True): (Action.CONTACT_SUPPORT,),
}


def actions(code: ReasonCode, *, paid: bool, restorable: bool) -> tuple[Action, ...]:
    """Give what the studio can do, best first; `restorable`: the reason's restorable_until is set."""
    if restorable:
        return (Action.RESTORE_ASSETS, *_ACTIONS[code, paid])
    return _ACTIONS[code, paid]
