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
from tests.system.pages.browser import DESKTOP, PHONE, chromium
from tests.system.pages.test_accessibility import LINKS, SCREENS, STATES

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
            name = f"{state}-{screen}".replace(" ", "-")
            page.screenshot(path=directory / f"{name}.png", full_page=True)
            page.context.close()


if __name__ == "__main__":
    main()
