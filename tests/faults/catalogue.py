"""All rows of the campaign, in the order in which they are run."""

from __future__ import annotations

from typing import Final

from tests.faults.rows import (
    Row,
    answers,
    brokers,
    clocks,
    network,
    recovery,
    remedies,
    soak,
    storage,
    upgrade,
    workers,
)

ROWS: Final[list[Row]] = [
    *answers.ROWS,
    *network.ROWS,
    *brokers.ROWS,
    *workers.ROWS,
    *recovery.ROWS,
    *remedies.ROWS,
    *upgrade.ROWS,
    *storage.ROWS,
    *clocks.ROWS,
    *soak.ROWS,
]
