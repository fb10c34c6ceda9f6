"""A deployment that shows everything: every reason, groups, ids made to break pages."""

from __future__ import annotations

from typing import Any

from tests.console.shop import Shop
from tests.contract.vocabulary import balance, deleted, line, placed, restored, transfer

#: Ids made to break out of HTML, addresses, sentences and files.
HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)" x=\'',
    "مرحبا\u202e-txet",
    "L" * 256,
    "../../a/b//c?d=e&f#g",
    "100%25 %2F %",
    "{{ 7 * 7 }}{% raw %}",
    "=HYPERLINK(1)",
    "..",
)

UNTIL = "2026-01-03T18:00:00Z"
LATER = "2026-01-20T09:00:00Z"


def busy_shop() -> Shop:
    """Make a studio in trouble, and one without."""
    shop = Shop()
    shop.send(*_orders(), studio="studio-7")
    shop.send(*_trouble(), studio="studio-7")
    shop.send(
        placed("N-1", line("1", "album-20", "n1 n2"), cost=1290),
        placed("N-2", line("1", "print-9x13", "n3"), cost=490, paid=True),
        deleted("product", "print-9x13", at=22, restorable_until=LATER),
        studio="studio-nord",
    )
    return shop


def _orders() -> list[Any]:
    wedding = [
        placed(
            f"A-{2000 + n}",
            line("1", "album-30x30", f"w{n}a w{n}b w{n}c", "pack-lab-1"),
            line("2", "print-13x18", f"w{n}a"),
            cost=2450 + 310 * n,
            paid=n % 3 == 0,
            placed_at=1 + n % 5,
        )
        for n in range(1, 14)
    ]
    return [
        balance(30_000, 40_000, at=1, version=1, settled=""),
        *wedding,
        placed("A-2101", line("1", "calendar-a3", "c1 c2 c3 c4 c5 c6"), cost=1990, placed_at=6),
        placed("A-2102", line("1", "canvas-60x40", "f77"), cost=5400, paid=True, placed_at=7),
        placed("A-2103", line("1", "mug-white", "f80", "pack-gifts"), cost=890, placed_at=8),
        placed("A-2104", line("1", "print-10x15", "f81", "pack-lab-2"), cost=310, placed_at=9),
        placed("A-2105", line("1", "print-10x15", "f82 f83"), cost=640, paid=True, placed_at=9),
    ]


def _trouble() -> list[Any]:
    photos = " ".join(f"w{n}b" for n in range(1, 13))
    return [
        transfer("failed", "A-2104", "pack-lab-2", attempt=3, at=12, lab_id="lab-berlin",
                 error={"code": "PDF_17", "message": "Page 3 has no trim box"}),
        transfer("succeeded", "A-2105", None, at=13),
        deleted("product", "mug-white", at=14, deleted_by="anna"),
        deleted("photo", "f77", at=16, deleted_by="anna", restorable_until=UNTIL),
        deleted("photo", photos, at=20, deleted_by="job-cleanup", restorable_until=LATER),
        deleted("package", "pack-gifts", at=21),
        balance(3_000, 4_000, at=22, version=2, settled=""),
    ]  # fmt: skip


def hostile_shop() -> Shop:
    """Make a studio whose every id is made to break something."""
    shop = Shop()
    for number, name in enumerate(HOSTILE):
        order = placed(name, at=0, cost=100)
        fields = {
            "lines": [
                {"line_id": name, "product_id": name, "photo_ids": [name], "package_id": name}
            ]
        }
        studio = name[:128]
        gone = {"asset_type": "photo", "asset_ids": [name], "deleted_by": name}
        shop.send(
            (order[0], order[1] | fields),
            (deleted("photo", "x", at=2)[0], deleted("photo", "x", at=2)[1] | gone),
            transfer(
                "failed",
                name,
                name,
                at=3 + number,
                lab_id=name,
                error={"code": "E", "message": name},
            ),
            balance(0, 50, version=1, settled=""),
            studio=studio,
        )
    return shop


def calm_shop() -> Shop:
    """Make a studio in which nothing is halted."""
    shop = Shop()
    shop.send(
        placed("A-1", line("1", "album", "f1"), cost=100),
        deleted("photo", "f1", at=2),
        restored("photo", "f1", at=3),
    )
    return shop
