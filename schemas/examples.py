"""One lawful value of every topic, for schemas, documents and whoever wants to see one.

They tell one story: an order is placed, one of its photos is deleted, and it is halted.
"""

from __future__ import annotations

from typing import Any, Final

_STUDIO: Final = "studio-7"
_ORDER: Final = "2026-1138"

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "order-placed": {
        "event_id": "9f0c1d52-placed-1",
        "occurred_at": "2026-03-02T09:15:00.250Z",
        "studio_id": _STUDIO,
        "order_id": _ORDER,
        "version": 1,
        "placed_at": "2026-03-02T09:14:58Z",
        "lines": [
            {
                "line_id": "1",
                "product_id": "canvas-40x60",
                "photo_ids": ["img-0412"],
                "package_id": "prints",
            },
            {"line_id": "2", "product_id": "mug", "photo_ids": ["img-0412", "img-0415"]},
        ],
        "production_cost": {"amount_minor": 4990, "currency": "EUR"},
        "paid": False,
    },
    "order-cancelled": {
        "event_id": "9f0c1d52-cancelled-1",
        "occurred_at": "2026-03-03T08:00:00Z",
        "studio_id": _STUDIO,
        "order_id": _ORDER,
    },
    "order-reinstated": {
        "event_id": "9f0c1d52-reinstated-1",
        "occurred_at": "2026-03-03T08:05:00Z",
        "studio_id": _STUDIO,
        "order_id": _ORDER,
    },
    "asset-deleted": {
        "event_id": "77aa-deleted-1",
        "occurred_at": "2026-03-02T10:30:00+01:00",
        "studio_id": _STUDIO,
        "asset_type": "photo",
        "asset_ids": ["img-0412"],
        "deleted_by": "user-3",
        "restorable_until": "2026-04-01T00:00:00Z",
    },
    "asset-restored": {
        "event_id": "77aa-restored-1",
        "occurred_at": "2026-03-02T11:00:00+01:00",
        "studio_id": _STUDIO,
        "asset_type": "photo",
        "asset_ids": ["img-0412"],
    },
    "lab-transfer": {
        "event_id": "lab-5-55012",
        "occurred_at": "2026-03-02T09:40:00Z",
        "studio_id": _STUDIO,
        "order_id": _ORDER,
        "transfer_id": "55012",
        "package_id": "prints",
        "attempt": 1,
        "status": "failed",
        "will_retry": True,
        "lab_id": "lab-5",
        "error": {"code": "timeout", "message": "The lab did not answer in time."},
    },
    "balance-changed": {
        "event_id": "ledger-118",
        "occurred_at": "2026-03-02T12:00:00Z",
        "studio_id": _STUDIO,
        "balance": {"amount_minor": -2500, "currency": "EUR"},
        "credit_limit_minor": 10000,
        "version": 118,
        "settled_order_ids": ["2026-1002", "2026-1005"],
    },
    "order-halted": {
        "event_id": "6c8a3a1c-26c7-5d2a-9d6c-0d8d0c8f1c55",
        "occurred_at": "2026-03-02T09:30:00.000000Z",
        "studio_id": _STUDIO,
        "order_id": _ORDER,
        "order_version": 1,
        "placed_at": "2026-03-02T09:14:58.000000Z",
        "paid": False,
        "production_cost": {"amount_minor": 4990, "currency": "EUR"},
        "sequence": 1,
        "change": "opened",
        "status": "halted",
        "episode": 1,
        "halted_since": "2026-03-02T09:30:00.000000Z",
        "primary_reason": "photos_missing",
        "reasons": [
            {
                "code": "photos_missing",
                "since": "2026-03-02T09:30:00.000000Z",
                "line_ids": ["1", "2"],
                "line_count": 2,
                "subjects": [
                    {
                        "type": "photo",
                        "id": "img-0412",
                        "deleted_at": "2026-03-02T09:30:00.000000Z",
                        "deleted_by": "user-3",
                        "restorable_until": "2026-04-01T00:00:00.000000Z",
                    }
                ],
                "subject_count": 1,
                "restorable_until": "2026-04-01T00:00:00.000000Z",
                "actions": ["restore_assets", "cancel_order", "create_new_order"],
            }
        ],
        "ended_reasons": [],
        "caused_by": {
            "topic": "asset-deleted",
            "partition": 3,
            "offset": 17,
            "event_id": "77aa-deleted-1",
        },
    },
}
