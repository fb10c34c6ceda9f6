"""Take the pictures of the docs, or of every page on every screen, to be looked at.

python -m tests.system.pages.pictures docs/images
python -m tests.system.pages.pictures --all /tmp/pictures
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.console.scene import busy_shop
from tests.console.served import Served
from tests.console.shop import Shop
from tests.contract.vocabulary import deleted, line, placed
from tests.system.pages.browser import DESKTOP, PHONE, chromium
from tests.system.pages.test_accessibility import (
    LINKS,
    SCREENS,
    STATES,
    UNUSUAL,
    unusual_service,
)

_ORDER = "/order?studio_id=studio-7&order_id=A-2102"


def main() -> None:
    """Write the pictures into a directory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--all", action="store_true", help="every state on every screen")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with Served(busy_shop(), **LINKS) as service, chromium() as browser:
        if arguments.all:
            _everything(browser, service.url, arguments.directory)
            _unusual(browser, arguments.directory)
            _crowded(browser, arguments.directory)
        else:
            _for_the_docs(browser, service.url, arguments.directory)


def _open(browser: Browser, address: str, **options: Any) -> Page:
    given = {"locale": "en-GB", "timezone_id": "Europe/Berlin", "viewport": DESKTOP, **options}
    page = browser.new_context(**given).new_page()
    page.goto(address)
    # The zone of the viewer is known from the second look on.
    page.goto(address)
    page.wait_for_load_state("load")
    return page


def _ask(page: Page) -> None:
    page.locator("#studio").fill("studio-7")
    page.locator("#ids").fill("c1\nw1a\nf82")
    page.locator(".ask .primary").click()
    page.locator("#answer").wait_for()


def _for_the_docs(browser: Browser, url: str, directory: Path) -> None:
    _open(browser, url + "/halts").screenshot(path=directory / "manual-revision.png")
    phone = {"viewport": PHONE, "color_scheme": "dark", "locale": "de"}
    _open(browser, url + "/halts?sort=deadline", **phone).screenshot(
        path=directory / "phone-dark.png"
    )
    _open(browser, url + _ORDER).screenshot(path=directory / "order.png", full_page=True)
    credit = _open(browser, url + "/credit?studio_id=studio-7", color_scheme="dark")
    credit.screenshot(path=directory / "credit.png")
    impact = _open(browser, url + "/impact")
    _ask(impact)
    impact.screenshot(path=directory / "impact.png", full_page=True)


def _everything(browser: Browser, url: str, directory: Path) -> None:
    for screen, options in SCREENS.items():
        for state, address in STATES.items():
            page = _open(browser, url + address, **options)
            if state == "impact":
                _ask(page)
            _picture(page, directory, state, screen)
            page.context.close()
    for state, address in STATES.items():
        page = _open(browser, url + address, locale="de")
        if state == "impact":
            _ask(page)
        _picture(page, directory, state, "german")
        page.emulate_media(media="print")
        _picture(page, directory, state, "print")
        page.context.close()


def _unusual(browser: Browser, directory: Path) -> None:
    screens = [x for x in SCREENS if x != "forced colours"]
    for state in UNUSUAL:
        with unusual_service(state) as service:
            for screen in screens:
                page = _open(browser, service.url + "/halts", **SCREENS[screen])
                _picture(page, directory, state, screen)
            if state != "hostile":
                continue
            page = _open(browser, service.url + "/halts")
            links = page.locator("a.open").element_handles()
            for number, address in enumerate([x.get_attribute("href") for x in links]):
                page = _open(browser, service.url + str(address), **SCREENS["narrowest"])
                _picture(page, directory, f"hostile order {number}", "narrowest")


def _crowded(browser: Browser, directory: Path) -> None:
    """Ten thousand halted orders, then a lost connection."""
    shop = Shop()
    shop.send(*(placed(f"o{n:05}", line("1", f"p{n % 500}"), cost=100) for n in range(10_000)))
    shop.send(*(deleted("product", f"p{n}", at=n % 20) for n in range(500)))
    pages = []
    with Served(shop, **LINKS) as service:
        for screen in ("desktop", "dark phone"):
            page = _open(browser, service.url + "/halts?sort=placed", **SCREENS[screen])
            page.locator("a[rel=next]").click()
            page.locator("nav.pager a").first.wait_for()
            _picture(page, directory, "ten thousand", screen)
            pages.append((page, screen))
    for page, screen in pages:
        page.locator("#lost").wait_for()
        _picture(page, directory, "connection lost", screen)


def _picture(page: Page, directory: Path, state: str, screen: str) -> None:
    name = f"{state}-{screen}".replace(" ", "-")
    page.screenshot(path=directory / f"{name}.png", full_page=True)


if __name__ == "__main__":
    main()
