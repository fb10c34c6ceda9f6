"""All rows of the campaign, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from tests.faults.rows import Row, answers

ROWS: Final[list[Row]] = [*answers.ROWS]
