"""Records for `order-halted`, field by field as contract §5 says, and when one is emitted."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .events import LabTransfer, OrderPlaced
from .facts import Order
from .judgement import PRECEDENCE, Cause, Subject, closing, is_cancelled
from .records import Emitted, order_key

MOST_LISTED = 100
RESTORE_FIRST = ("product_missing", "photos_missing", "package_missing")


@dataclass(frozen=True)
class Origin:
    """What causes a record, an input event or new rules, and the source that all records share."""

    cause_id: str
    """The event's, or `rules:` and the version."""
    occurred_at: datetime
    caused_by: dict[str, Any]
    prefix: str
    dataschema: str | None

    @property
    def source(self) -> str:
        """Return `ce_source`."""
        return f"/orderhalt/{self.prefix}" if self.prefix else "/orderhalt"


@lru_cache(maxsize=4096)
def instant(value: datetime) -> str:
    """Write an instant in UTC as `YYYY-MM-DDThh:mm:ss.ffffffZ`."""
    return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def optional_instant(value: datetime | None) -> str | None:
    """Write an instant, or null where there is none."""
    return None if value is None else instant(value)


# Reasons


def actions(code: str, paid: bool, restorable: bool) -> list[str]:
    """List what the studio can do, best first: the table of contract §5."""
    if code in RESTORE_FIRST:
        first = ["restore_assets"] if restorable else []
        return first + (["contact_customer_care"] if paid else ["cancel_order", "create_new_order"])
    if code == "credit_limit_reached":
        return ["top_up", "contact_customer_care"]
    return ["contact_support"] if paid else ["cancel_order", "create_new_order"]


def subject_json(subject: Subject) -> dict[str, Any]:
    """Write one item of `subjects`."""
    return {
        "type": subject.type,
        "id": subject.id,
        "deleted_at": optional_instant(subject.deleted_at),
        "deleted_by": subject.deleted_by,
        "restorable_until": optional_instant(subject.restorable_until),
    }


def transfer_json(transfer: LabTransfer) -> dict[str, Any]:
    """Write one item of `transfers`."""
    return {
        "transfer_id": transfer.transfer_id,
        "package_id": transfer.package_id,
        "attempt": transfer.attempt,
        "lab_id": transfer.lab_id,
        "error": None if transfer.error is None else transfer.error._asdict(),
    }


def reason_json(cause: Cause, since: datetime, paid: bool) -> dict[str, Any]:
    """Write a reason with all its lines, subjects and transfers: not truncated yet."""
    known = [s.restorable_until for s in cause.subjects if s.restorable_until is not None]
    restorable_until = min(known) if known and len(known) == len(cause.subjects) else None
    reason: dict[str, Any] = {
        "code": cause.code,
        "since": instant(since),
        "line_ids": list(cause.line_ids),
        "line_count": len(cause.line_ids),
        "subjects": [subject_json(subject) for subject in cause.subjects],
        "subject_count": len(cause.subjects),
        "restorable_until": optional_instant(restorable_until),
        "actions": actions(cause.code, paid, restorable_until is not None),
    }
    if cause.credit is not None:
        reason["credit"] = cause.credit._asdict()
    if cause.transfers:
        reason["transfers"] = [transfer_json(transfer) for transfer in cause.transfers]
        reason["transfer_count"] = len(cause.transfers)
    return reason


def truncated(reason: dict[str, Any]) -> dict[str, Any]:
    """Cut a reason to what is written: at most 100 lines, subjects and transfers."""
    return {
        name: value[:MOST_LISTED] if name in ("line_ids", "subjects", "transfers") else value
        for name, value in reason.items()
    }


def without_sums(reason: dict[str, Any]) -> dict[str, Any]:
    """Leave the credit sums out of a reason: alone they never cause a record."""
    return {name: value for name, value in reason.items() if name != "credit"}


# Emission


def emit(origin: Origin, order: Order, placed: OrderPlaced, causes: list[Cause]) -> list[Emitted]:
    """Compare a judgement with the last record of an order, and emit at most one record."""
    memory = order.memory
    before = memory.since
    occurred_at = origin.occurred_at
    memory.since = {cause.code: before.get(cause.code, occurred_at) for cause in causes}
    reasons = [reason_json(cause, memory.since[cause.code], placed.paid) for cause in causes]
    compared = None
    if reasons:
        named = [without_sums(reason) for reason in reasons]
        compared = (placed.version, placed.paid, placed.production_cost, named)
    if compared == memory.compared:
        return []
    change = "changed"
    if memory.compared is None:
        change = "opened"
        memory.episode += 1
        memory.halted_since = occurred_at
    elif compared is None:
        change = "ended"
    memory.compared = compared
    memory.sequence += 1
    ended = [code for code in PRECEDENCE if code in before and code not in memory.since]
    value = {
        **_order_json(origin, order, placed),
        "change": change,
        "status": "halted" if causes else _ended_status(order, placed),
        "primary_reason": causes[0].code if causes else None,
        "reasons": [truncated(reason) for reason in reasons],
        "ended_reasons": [{"code": code, "since": instant(before[code])} for code in ended],
    }
    return [_emitted(origin, placed, value)]


def _ended_status(order: Order, placed: OrderPlaced) -> str:
    if is_cancelled(order):
        return "cancelled"
    return "released" if closing(order, placed) is None else "transferred"


def _order_json(origin: Origin, order: Order, placed: OrderPlaced) -> dict[str, Any]:
    """Write the fields that do not depend on the reasons."""
    memory = order.memory
    key = order_key(placed.studio_id, placed.order_id)
    name = f"{origin.source}/{key}/{memory.sequence}/{origin.cause_id}"
    return {
        "event_id": str(uuid5(NAMESPACE_URL, name)),
        "occurred_at": instant(origin.occurred_at),
        "studio_id": placed.studio_id,
        "order_id": placed.order_id,
        "order_version": placed.version,
        "placed_at": instant(placed.placed_at),
        "paid": placed.paid,
        "production_cost": placed.production_cost._asdict(),
        "sequence": memory.sequence,
        "episode": memory.episode,
        "halted_since": optional_instant(memory.halted_since),
        "caused_by": origin.caused_by,
    }


def _emitted(origin: Origin, placed: OrderPlaced, value: dict[str, Any]) -> Emitted:
    """Put a value into CloudEvents 1.0, Kafka binary mode."""
    key = order_key(placed.studio_id, placed.order_id)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": value["event_id"],
        "ce_source": origin.source,
        "ce_type": f"orderhalt.halt.{value['change']}.v1",
        "ce_subject": key,
        "ce_time": value["occurred_at"],
        "content-type": "application/json",
    }
    if origin.dataschema is not None:
        headers["ce_dataschema"] = origin.dataschema
    return Emitted(key, value, headers)
