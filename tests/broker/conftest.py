"""A fleet per test on the session's Kafka, and the retail data, or a plain word that it is not there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.fleet import Fleet
from tests.broker.retail import DATA, Invoice, read_invoices

_WITHOUT = "ORDERHALT_WITHOUT_RETAIL"
_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs the retail data, only when asked to; `pytest_terminal_summary` says so."""
    if os.environ.get(_WITHOUT) != "1":
        return
    left_out = [item for item in items if "invoices" in getattr(item, "fixturenames", ())]
    _left_out.extend(item.nodeid for item in left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name in _left_out:
        terminalreporter.write_line(f"NOT RUN ({_WITHOUT}=1, without {DATA}): {name}", yellow=True)


@pytest.fixture(scope="session")
def invoices() -> list[Invoice]:
    """The retail year of every tenth studio, or of as many as ORDERHALT_RETAIL_EVERY says."""
    every = int(os.environ.get("ORDERHALT_RETAIL_EVERY", "10"))
    found = read_invoices()
    studios = set(sorted({invoice.studio for invoice in found})[::every])
    return [invoice for invoice in found if invoice.studio in studios]


@pytest.fixture
def make_fleet(kafka: Any, topic_prefix: str, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Make the fleet of a test; its workers end with the test."""
    made: list[Fleet] = []

    def make(**options: Any) -> Fleet:
        made.append(Fleet(kafka.bootstrap_servers, topic_prefix, tmp_path, **options))
        return made[-1]

    yield make
    for fleet in made:
        fleet.end()
