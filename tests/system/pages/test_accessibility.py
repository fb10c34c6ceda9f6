"""Every page and state, for everybody: axe, small screens, dark, forced colours, still, by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from processor.console.access import Tokens, Viewer
from processor.console.console import Health
from tests.console.scene import busy_shop, calm_shop, hostile_shop
from tests.console.served import Served
from tests.system.pages.browser import COLOURS, DESKTOP, PHONE, SIZES, faults

TOKENS = Tokens([("t" * 30, Viewer("studio-7"))])
LINKS: dict[str, Any] = {
    "photo_link": "https://shop.example/photos/{photo_id}",
    "order_link": "https://shop.example/orders/{order_id}",
}
#: Address by what it shows.
STATES = {
    "list": "/halts",
    "list of a studio": "/halts?studio_id=studio-nord",
    "one deletion": "/halts?studio_id=studio-7&cause=e23",
    "filtered": "/halts?reason=photos_missing&paid=true",
    "nothing matches": "/halts?q=nothing",
    "halted order": "/order?studio_id=studio-7&order_id=A-2102",
    "failed transfer": "/order?studio_id=studio-7&order_id=A-2104",
    "order in flight": "/order?studio_id=studio-7&order_id=A-2101",
    "unknown order": "/order?studio_id=studio-7&order_id=nix",
    "credit": "/credit?studio_id=studio-7",
    "credit of nobody": "/credit?studio_id=nobody",
    "impact": "/impact",
    "refused": "/halts?sort=nonsense",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with Served(busy_shop(), **LINKS) as service:
        yield service


#: States of the whole service that the busy shop is not in.
UNUSUAL = ("calm", "loading", "disconnected", "hostile", "login")


def unusual_service(name: str) -> Served:
    """Serve one of them."""
    shop = {"calm": calm_shop, "hostile": hostile_shop}.get(name, busy_shop)()
    if name == "loading":
        shop.console.health = Health(ready=False, connected=True, behind=1_234_567)
    if name == "disconnected":
        shop.console.health = Health(ready=True, connected=False, behind=0)
    return Served(shop, TOKENS if name == "login" else None, **LINKS)


@pytest.fixture(scope="module", params=UNUSUAL)
def unusual(request: pytest.FixtureRequest) -> Iterator[str]:
    with unusual_service(request.param) as service:
        yield service.url + "/halts"


SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark phone": {"viewport": PHONE, "color_scheme": "dark"},
    "narrowest": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "forced colours": {"viewport": DESKTOP, "forced_colors": "active"},
}


#: What is looked for on each screen, () for everything. The same elements are on all of them: a
#: narrow screen has other sizes, dark and forced colours are other colours, and a dark phone is dark
#: and narrow, which two others are already.
LOOKED_FOR: dict[str, tuple[str, ...] | None] = {
    "desktop": (),
    "narrowest": SIZES,
    "dark": COLOURS,
    "forced colours": COLOURS,
    "dark phone": None,
}


def show_on(page: Page, screen: str) -> None:
    """Show what the page shows on another screen."""
    options = SCREENS[screen]
    page.set_viewport_size(options["viewport"])
    page.emulate_media(
        color_scheme=options.get("color_scheme", "light"),
        forced_colors=options.get("forced_colors", "none"),
    )


def look_at(page: Page, *screens: str) -> None:
    """Check what holds for every page, however it is looked at."""
    for screen in screens:
        show_on(page, screen)
        rules = LOOKED_FOR[screen]
        if rules is not None:
            assert faults(page, rules) == [], (page.url, screen)
        width = page.evaluate("document.documentElement.scrollWidth")
        room = page.evaluate("window.innerWidth")
        assert width <= room, f"{page.url} is {width} px wide on {screen}"


def test_what_is_not_right_is_found(open_page: Callable[..., Page], served: Served) -> None:
    """The tests below would notice: a bad colour, a name that is missing, a page that is too wide."""
    page = open_page()
    pale = "document.querySelector('h1').style.color = '#999'"
    for spoil, screen, fault in (
        (pale, "desktop", "color-contrast"),
        (pale.replace("#999", "#555"), "dark", "color-contrast"),
        ("document.querySelector('#ids').labels[0].remove()", "desktop", "label"),
        ("document.querySelector('h1').style.minWidth = '400px'", "narrowest", "px wide"),
        ("document.querySelector('h1').style.minWidth = '400px'", "dark phone", "px wide"),
    ):
        page.goto(served.url + "/impact")
        page.wait_for_function("document.cookie.includes('orderhalt_zone')")
        page.goto(served.url + "/impact")
        page.evaluate(spoil)
        with pytest.raises(AssertionError, match=fault):
            look_at(page, screen)


@pytest.mark.parametrize("state", STATES)
def test_nothing_stands_in_the_way(
    open_page: Callable[..., Page], served: Served, state: str
) -> None:
    page = open_page()
    page.goto(served.url + STATES[state])
    look_at(page, *LOOKED_FOR)


@pytest.mark.parametrize("state", ["list of a studio", "halted order", "credit"])
def test_tables_that_have_become_blocks_are_still_tables(
    open_page: Callable[..., Page], served: Served, state: str
) -> None:
    page = open_page(**SCREENS["narrowest"])
    page.goto(served.url + STATES[state])
    assert faults(page) == []


def test_nor_in_unusual_states(open_page: Callable[..., Page], unusual: str) -> None:
    page = open_page()
    page.goto(unusual)
    look_at(page, *LOOKED_FOR)


def test_a_lost_kafka_is_not_called_live(open_page: Callable[..., Page]) -> None:
    """What is lost is named, and nothing else."""
    page = open_page()
    with unusual_service("disconnected") as service:
        page.goto(service.url + "/halts")
        expect(page.locator("#live-text")).to_have_text("Out of date")
        expect(page.locator("#kafka")).to_be_visible()
        expect(page.locator("#lost")).to_be_hidden()


def test_the_answer_before_a_deletion_is_as_good(
    open_page: Callable[..., Page], served: Served
) -> None:
    page = open_page()
    page.goto(served.url + "/impact")
    page.get_by_label("Studio").fill("studio-7")
    page.get_by_label("Their ids, one a line").fill("c1\nw1a\nf82")
    page.get_by_role("button", name="Ask").click()
    answer = page.get_by_role("heading", name="1 order would be halted")
    expect(answer).to_be_in_viewport()
    page.get_by_text("Safe: 1").click()
    expect(page.get_by_role("link", name="A-2105")).to_be_visible()
    look_at(page, *LOOKED_FOR)


def test_it_is_a_table_for_screen_readers_however_it_looks(
    open_page: Callable[..., Page], served: Served
) -> None:
    for viewport in (DESKTOP, PHONE):
        page = open_page(viewport=viewport)
        page.goto(served.url + "/halts?studio_id=studio-7&q=A-2102")
        table = page.get_by_role("table", name="Halted orders")
        row = table.get_by_role("row").filter(has_text="A-2102")
        expect(row.get_by_role("rowheader")).to_contain_text("Order halted")
        expect(row.get_by_role("cell")).to_have_count(3)
        assert row.get_by_role("rowheader").locator("svg[aria-hidden=true]").count() >= 1


def test_everything_works_by_keyboard_alone(open_page: Callable[..., Page], served: Served) -> None:
    page = open_page()
    page.goto(served.url + "/halts")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    search = page.get_by_label("Search")
    for _ in range(12):
        page.keyboard.press("Tab")
        if search.evaluate("x => x === document.activeElement"):
            break
    outline = search.evaluate("x => getComputedStyle(x).outlineStyle")
    assert outline != "none", "where the focus is can be seen"
    page.keyboard.type("A-2102")
    row = page.get_by_role("link", name="A-2102")
    expect(page.locator("tr.halt")).to_have_count(1)
    expect(search).to_be_focused()
    # Who does not see is told what has come of it.
    expect(page.locator("#announce")).to_contain_text("1 of them is shown")
    for _ in range(20):
        page.keyboard.press("Tab")
        if row.evaluate("x => x === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order A-2102")).to_be_visible()


def test_who_wants_it_still_gets_it_still(open_page: Callable[..., Page], served: Served) -> None:
    page = open_page(reduced_motion="reduce")
    page.goto(served.url + "/halts")
    assert page.evaluate("document.getAnimations().length") == 0


def test_on_paper_there_is_what_matters(open_page: Callable[..., Page], served: Served) -> None:
    page = open_page()
    page.goto(served.url + "/halts")
    page.emulate_media(media="print")
    expect(page.get_by_text("Order halted").first).to_be_visible()
    for gone in (page.locator("nav").first, page.locator("#filters"), page.locator("#live")):
        expect(gone).to_be_hidden()


def test_without_scripts_everything_is_there(
    open_page: Callable[..., Page], served: Served
) -> None:
    page = open_page(java_script_enabled=False)
    page.goto(served.url + "/halts")
    page.get_by_label("Reason", exact=True).select_option("transfer_failed")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tr.halt")).to_have_count(1)
    page.get_by_role("link", name="Deutsch").click()
    expect(page.get_by_text("Auftrag angehalten")).to_have_count(1)
    page.get_by_role("link", name="A-2104").click()
    expect(page.get_by_role("heading", name="Was wann geschah")).to_be_visible()
    page.goto(served.url + "/impact?lang=en")
    page.get_by_label("Studio").fill("studio-7")
    page.get_by_label("Their ids, one a line").fill("c1")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="1 order would be halted")).to_be_visible()


def test_hostile_ids_run_nothing(open_page: Callable[..., Page]) -> None:
    page = open_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    with Served(hostile_shop(), **LINKS) as service:
        page.goto(service.url + "/halts")
        addresses = [x.get_attribute("href") for x in page.locator("a.open").element_handles()]
        assert len(addresses) == 9
        for address in addresses:
            page.goto(service.url + str(address))
            expect(page.get_by_role("heading", level=1)).to_be_visible()
