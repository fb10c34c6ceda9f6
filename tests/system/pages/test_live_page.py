"""The page on a real Kafka: an order is placed, its photo deleted, the row appears; and goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.console.scene import busy_shop
from tests.console.served import Served
from tests.contract.vocabulary import placed
from tests.support.deployment import Deployment, order_placed, photo_deleted
from tests.support.web import Web
from tests.system.pages.browser import faults

APPEARS_WITHIN_SECONDS = 2.0


def restored(photo: str) -> dict[str, object]:
    fields = photo_deleted(photo) | {"event_id": f"restored-{photo}"}
    return fields | {"occurred_at": "2026-05-01T12:00:00Z"}


HALTED = {"en": "Order halted", "de": "Auftrag angehalten"}


def test_a_deleted_photo_turns_its_order_red_at_once(
    deployment: Deployment, open_page: Callable[..., Page]
) -> None:
    """For two who look at once, one in English and one in German; and it goes as it came."""
    deployment.start("processor.cli", "worker")
    web = Web(deployment, "--photo-link", "https://shop.example/photos/{photo_id}")
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("order-placed", order_placed("o2", "p2"))
    # The worker has taken its place when the first halt is there.
    deployment.send("asset-deleted", photo_deleted("p2"))
    deployment.read("order-halted", 1)
    web.wait_until_ready()
    pages = {language: open_page(locale=language) for language in HALTED}
    for page in pages.values():
        page.goto(web.url)
        expect(page.locator("tr.halt")).to_have_count(1)
        expect(page.locator("#live-text")).to_have_text("Live")
    deployment.send("asset-deleted", photo_deleted("p1"))
    deleted_at = time.monotonic()
    for language, page in pages.items():
        row = page.locator("tr.halt").filter(has_text="o1")
        row.wait_for(timeout=APPEARS_WITHIN_SECONDS * 1000)
        took = time.monotonic() - deleted_at
        assert took < APPEARS_WITHIN_SECONDS
        print(f"{language}: the row was there {took:.2f} s after the deletion had been sent")
        expect(row).to_contain_text(HALTED[language])
    for page in pages.values():
        row = page.locator("tr.halt").filter(has_text="o1")
        red, green, blue = _colour(row.locator(".badge"))
        assert red > 2 * max(green, blue), "the row's sign is red"
        assert row.locator("svg").count() >= 1, "and has an icon"
        expect(row.get_by_role("link", name="p1")).to_have_attribute(
            "href", "https://shop.example/photos/p1"
        )
        expect(page.locator("#announce")).not_to_be_empty(timeout=10_000)
        assert faults(page) == []
    deployment.send("asset-restored", restored("p1"))
    for page in pages.values():
        row = page.locator("tr.halt").filter(has_text="o1")
        expect(row).to_have_count(0, timeout=APPEARS_WITHIN_SECONDS * 1000)
    assert web.end() == 0


def _colour(element: object) -> list[int]:
    text: str = element.evaluate("x => getComputedStyle(x).backgroundColor")  # type: ignore[attr-defined]
    return [int(x) for x in text.partition("(")[2].rstrip(")").split(",")[:3]]


def test_the_page_can_be_paused(open_page: Callable[..., Page]) -> None:
    """Nothing moves while somebody reads; what came meanwhile is counted, and shown on going on."""
    with Served(busy_shop()) as service:
        page = open_page()
        page.goto(service.url + "/halts")
        expect(page.locator("#live-text")).to_have_text("Live")
        count = page.locator("tr.halt").count()
        page.get_by_role("button", name="Pause").click()
        service.do(
            lambda: service.shop.send(
                placed("fresh-1", {"line_id": "1", "product_id": "print-9x13", "photo_ids": []}, at=11,
                       version=2),
                studio="studio-nord",
            )
        )  # fmt: skip
        expect(page.locator("#live-text")).to_have_text("Paused · 1 change is waiting")
        assert page.locator("tr.halt").count() == count
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("tr.halt").filter(has_text="fresh-1")).to_have_count(1)


def test_a_lost_connection_is_said_and_comes_back(open_page: Callable[..., Page]) -> None:
    """The service is restarted on the same port: the list goes on by itself."""
    shop = busy_shop()
    page = open_page()
    with Served(shop) as service:
        port = service.port
        page.goto(service.url + "/halts")
        expect(page.locator("#live-text")).to_have_text("Live")
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#live-text")).to_have_text("Disconnected")
    expect(page.get_by_text("A-2102")).to_be_visible()
    assert faults(page) == []
    shop.send(
        placed("fresh-2", {"line_id": "1", "product_id": "print-9x13", "photo_ids": []}, at=11),
        studio="studio-nord",
    )
    with Served(shop, port=port):
        expect(page.locator("#live-text")).to_have_text("Live", timeout=15_000)
        expect(page.locator("#lost")).to_be_hidden()
        expect(page.get_by_text("fresh-2")).to_be_visible()


def test_the_focus_stays_where_it_is_while_rows_come(open_page: Callable[..., Page]) -> None:
    with Served(busy_shop()) as service:
        page = open_page()
        page.goto(service.url + "/halts")
        expect(page.locator("#live-text")).to_have_text("Live")
        link = page.get_by_role("link", name="A-2104")
        link.focus()
        service.do(
            lambda: service.shop.send(
                placed(
                    "fresh-1", {"line_id": "1", "product_id": "print-9x13", "photo_ids": []}, at=11
                ),
                studio="studio-nord",
            )
        )
        expect(page.locator("tr.halt").filter(has_text="fresh-1")).to_have_count(1)
        expect(link).to_be_focused()
