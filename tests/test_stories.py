"""Five short stories, one per reason: an order is placed, something breaks, and somebody mends it.

Anna's studio "anna" sells prints and albums to her customers. An album is a package: its pages go to
the lab together. All happens on January 1st, 2026; an hour stands before each step.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from processor.rules.machine import Machine
from schemas.events import (
    AssetDeleted,
    AssetRestored,
    BalanceChanged,
    LabTransfer,
    OrderCancelled,
    OrderPlaced,
)
from schemas.topics import INPUTS

pytestmark = pytest.mark.rules

TOPIC_OF = {topic.value: topic.name for topic in INPUTS}
NEW_YEAR_MS = 1_767_225_600_000
IN_A_MONTH = "2026-02-01T00:00:00.000000Z"

#: What is left when an asset cannot be restored: until it is paid, an order can still be replaced.
LEFT = {False: ["cancel_order", "create_new_order"], True: ["contact_customer_care"]}
unpaid_and_paid = pytest.mark.parametrize("paid", [False, True], ids=["unpaid", "paid"])

ALBUM = {
    "line_id": "album",
    "product_id": "album-30x30",
    "photo_ids": ["first-kiss", "rings"],
    "package_id": "wedding-album",
}
PRINT = {"line_id": "print", "product_id": "print-20x30", "photo_ids": ["first-kiss"]}


def at(hour: int) -> str:
    return f"2026-01-01T{hour:02}:00:00.000000Z"


class Shop:
    """Anna's shop. Every step gives the record that it puts on order-halted, or None."""

    def __init__(self) -> None:
        self.machine = Machine(0)
        self.events = 0

    def tell(self, kind: type, hour: int, **fields: Any) -> dict[str, Any] | None:
        self.events += 1
        event = {"event_id": f"e{self.events}", "occurred_at": at(hour), "studio_id": "anna"}
        value = json.dumps({**event, **fields}).encode()
        offset, timestamp = self.events, NEW_YEAR_MS + hour * 3_600_000
        emitted = self.machine.apply(TOPIC_OF[kind], 0, offset, timestamp, b"anna", value)
        assert len(emitted) <= 1
        for key, text, _ in emitted:
            assert key == b"anna/smith"
            assert text is not None
            record: dict[str, Any] = json.loads(text)
            return record
        return None

    def order(
        self, hour: int, *lines: Any, paid: bool = False, cost: int = 0, version: int = 1
    ) -> dict[str, Any] | None:
        return self.tell(
            OrderPlaced,
            hour,
            order_id="smith",
            version=version,
            placed_at=at(9),
            lines=list(lines),
            production_cost={"amount_minor": cost, "currency": "EUR"},
            paid=paid,
        )

    def cancel(self, hour: int) -> dict[str, Any] | None:
        return self.tell(OrderCancelled, hour, order_id="smith")

    def delete(
        self, hour: int, kind: str, *ids: str, restorable_until: str | None = None
    ) -> dict[str, Any] | None:
        return self.tell(
            AssetDeleted,
            hour,
            asset_type=kind,
            asset_ids=list(ids),
            deleted_by="anna",
            restorable_until=restorable_until,
        )

    def restore(self, hour: int, kind: str, *ids: str) -> dict[str, Any] | None:
        return self.tell(AssetRestored, hour, asset_type=kind, asset_ids=list(ids))

    def transfer(
        self, hour: int, package: str | None, attempt: int, status: str, **more: Any
    ) -> dict[str, Any] | None:
        return self.tell(
            LabTransfer,
            hour,
            order_id="smith",
            transfer_id=f"t{attempt}",
            package_id=package,
            attempt=attempt,
            status=status,
            **more,
        )

    def balance(self, hour: int, amount: int, limit: int, version: int) -> dict[str, Any] | None:
        return self.tell(
            BalanceChanged,
            hour,
            balance={"amount_minor": amount, "currency": "EUR"},
            credit_limit_minor=limit,
            version=version,
        )


def asset(kind: str, name: str, hour: int, until: str | None = None) -> dict[str, Any]:
    """How a reason names an asset that Anna deleted."""
    deleted = {"deleted_at": at(hour), "deleted_by": "anna", "restorable_until": until}
    return {"type": kind, "id": name, **deleted}


def only_reason(record: dict[str, Any] | None) -> dict[str, Any]:
    """The order is halted for one reason."""
    assert record is not None
    assert record["status"] == "halted"
    (reason,) = record["reasons"]
    assert record["primary_reason"] == reason["code"]
    found: dict[str, Any] = reason
    return found


def how_it_ends(record: dict[str, Any] | None) -> tuple[str, list[str]]:
    """The order is not halted any more: its status, and the reasons that have ended."""
    assert record is not None
    assert (record["change"], record["reasons"], record["primary_reason"]) == ("ended", [], None)
    return record["status"], [ended["code"] for ended in record["ended_reasons"]]


@unpaid_and_paid
def test_a_product_is_deleted_after_it_was_ordered(paid: bool) -> None:
    """Anna takes the album off her price list while an order for one is open."""
    shop = Shop()
    assert shop.order(9, ALBUM, PRINT, paid=paid) is None
    halted = shop.delete(10, "product", "album-30x30", restorable_until=IN_A_MONTH)
    reason = only_reason(halted)
    assert reason["code"] == "product_missing"
    assert reason["line_ids"] == ["album"]
    assert reason["subjects"] == [asset("product", "album-30x30", 10, IN_A_MONTH)]
    assert reason["actions"] == ["restore_assets", *LEFT[paid]]
    assert reason["restorable_until"] == IN_A_MONTH
    # She puts it back, and the order goes on.
    assert how_it_ends(shop.restore(11, "product", "album-30x30")) == (
        "released",
        ["product_missing"],
    )
    # Next time it is for good, and the customer cancels.
    again = shop.delete(12, "product", "album-30x30")
    assert again is not None
    assert (again["episode"], again["sequence"], again["change"]) == (2, 3, "opened")
    assert only_reason(again)["actions"] == LEFT[paid]
    assert how_it_ends(shop.cancel(13)) == ("cancelled", ["product_missing"])
    # Whatever happens to it now is nobody's concern.
    assert shop.restore(14, "product", "album-30x30") is None


@unpaid_and_paid
def test_a_photo_is_deleted_after_it_was_ordered(paid: bool) -> None:
    """The kiss is on the album's first page and on a print: both lines show what is missing."""
    shop = Shop()
    assert shop.order(9, ALBUM, PRINT, paid=paid) is None
    reason = only_reason(shop.delete(10, "photo", "first-kiss", "another-wedding's"))
    assert reason["code"] == "photos_missing"
    assert reason["line_ids"] == ["album", "print"]
    assert reason["subjects"] == [asset("photo", "first-kiss", 10)]
    # The photo cannot be restored: who has paid is called, who has not may order anew.
    assert reason["actions"] == LEFT[paid]
    # They agree on another photo. The order is amended, and goes on.
    other = [{**line, "photo_ids": ["rings"]} for line in (ALBUM, PRINT)]
    assert how_it_ends(shop.order(11, *other, paid=paid, version=2)) == (
        "released",
        ["photos_missing"],
    )
    # It reaches the lab; that the photo is deleted afterwards does not matter.
    assert shop.transfer(12, None, 1, "succeeded") is None
    assert shop.delete(13, "photo", "rings") is None


@unpaid_and_paid
def test_a_package_is_deleted_after_it_was_ordered(paid: bool) -> None:
    """The album's design is deleted; the print beside it can be produced, and is delivered."""
    shop = Shop()
    assert shop.order(9, ALBUM, PRINT, paid=paid) is None
    halted = shop.delete(10, "package", "wedding-album", restorable_until=IN_A_MONTH)
    reason = only_reason(halted)
    assert reason["code"] == "package_missing"
    assert reason["line_ids"] == ["album"]
    assert reason["subjects"] == [asset("package", "wedding-album", 10, IN_A_MONTH)]
    assert reason["actions"] == ["restore_assets", *LEFT[paid]]
    # The lab had got it just before: all of the order has been delivered, so the halt is over.
    assert how_it_ends(shop.transfer(11, None, 1, "succeeded")) == (
        "transferred",
        ["package_missing"],
    )


@unpaid_and_paid
def test_the_production_cost_is_above_what_balance_and_credit_limit_leave(paid: bool) -> None:
    """Anna pays the lab from an account: 20 € on it, 30 € more on credit, and an order of 80 €."""
    shop = Shop()
    assert shop.balance(8, 2000, 3000, version=1) is None
    reason = only_reason(shop.order(9, ALBUM, paid=paid, cost=8000))
    assert reason["code"] == "credit_limit_reached"
    assert reason["subjects"] == reason["line_ids"] == []
    assert reason["credit"] == {
        "currency": "EUR",
        "cost_minor": 8000,
        "balance_minor": 2000,
        "credit_limit_minor": 3000,
        "available_minor": 5000,
        "shortfall_minor": 3000,
        "top_up_minor": 3000,
    }
    # Whether her customer has paid makes no difference: it is her own account.
    assert reason["actions"] == ["top_up", "contact_customer_care"]
    # One cent too little changes the sums alone, and is nothing to tell.
    assert shop.balance(10, 4999, 3000, version=2) is None
    assert how_it_ends(shop.balance(11, 5000, 3000, version=3)) == (
        "released",
        ["credit_limit_reached"],
    )


@pytest.mark.parametrize(
    ("paid", "actions"),
    [(False, ["cancel_order", "create_new_order"]), (True, ["contact_support"])],
    ids=["unpaid", "paid"],
)
def test_the_transfer_of_a_product_package_fails_for_good(paid: bool, actions: list[str]) -> None:
    """The lab rejects the album's pages twice; the first time it says that it will try again."""
    shop = Shop()
    assert shop.order(9, ALBUM, PRINT, paid=paid) is None
    assert shop.transfer(10, "wedding-album", 1, "started") is None
    assert shop.transfer(11, "wedding-album", 1, "failed", will_retry=True) is None
    assert shop.transfer(12, "wedding-album", 2, "started") is None
    error = {"code": "bad_profile", "message": "The colour profile cannot be read."}
    halted = shop.transfer(13, "wedding-album", 2, "failed", lab_id="lab-1", error=error)
    reason = only_reason(halted)
    assert reason["code"] == "transfer_failed"
    assert reason["line_ids"] == ["album"]
    assert [(s["type"], s["id"]) for s in reason["subjects"]] == [("package", "wedding-album")]
    assert reason["transfers"] == [
        {
            "transfer_id": "t2",
            "package_id": "wedding-album",
            "attempt": 2,
            "lab_id": "lab-1",
            "error": error,
        }
    ]
    assert reason["actions"] == actions
    # Support exports the pages anew and starts a third attempt: the order goes on at once.
    assert how_it_ends(shop.transfer(14, "wedding-album", 3, "started")) == (
        "released",
        ["transfer_failed"],
    )
    # Album and print arrive one after the other. A failure reported late changes nothing any more.
    assert shop.transfer(15, "wedding-album", 3, "succeeded") is None
    assert shop.transfer(16, None, 4, "succeeded") is None
    assert shop.transfer(17, "wedding-album", 9, "failed") is None
