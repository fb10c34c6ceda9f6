"""The Chromium of the system, driven by Playwright, and axe-core to look at what it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, sync_playwright

from tests.system.toolbox import program

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: The rules about sizes, and those about colours.
SIZES = ("target-size",)
COLOURS = ("color-contrast", "link-in-text-block")

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium with a profile of its own that is empty."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def faults(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """Give what axe finds against the page, a line each; `rules`: of these alone."""
    wanted = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": _RULES}
    # Half of the time would go into giving the browser a script that it has already.
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: Any = page.evaluate("options => axe.run(options)", {"runOnly": wanted})
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']} {node['html'][:120]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
