"""The rows of the campaign, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.faults.stage import Stage


class Row(NamedTuple):
    """One kind of fault."""

    name: str
    fault: str
    play: Callable[[Stage], None]


class NotRun(Exception):
    """This machine cannot do what the row needs; says what is missing."""
