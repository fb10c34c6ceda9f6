"""One browser for the session, and pages that must not say anything against themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import deployment
from tests.system.pages.browser import DESKTOP, chromium

# The pages have a deployment for each test; that of the lane is full of what others try.
__all__ = ["deployment"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages in contexts of their own; at the end nothing may stand on any console."""
    said: list[str] = []
    contexts = []

    def open_one(**options: Any) -> Page:
        given = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "Europe/Berlin"}
        context = browser.new_context(**{**given, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda x: said.append(x.text) if x.type == "error" else None)
        page.on("pageerror", lambda x: said.append(str(x)))
        page.set_default_timeout(10_000)
        return page

    yield open_one
    for context in contexts:
        context.close()
    # What the browser says of a lost connection or a status is what some tests bring about.
    brought_about = ("ERR_", "the server responded with a status")
    assert [x for x in said if not any(y in x for y in brought_about)] == []
