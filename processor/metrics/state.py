"""The state of one partition as far as metrics tell it: the sum of its shard's reports.

It comes with the partition, moves by differences, and goes with it; so the sum over all workers is
the sum over all partitions.
"""

from __future__ import annotations

from typing import Final

from processor.metrics import currencies
from processor.metrics.names import OTHER, REASONS
from processor.metrics.tallies import Ages, Oldest
from processor.rules.report import Report
from processor.rules.rows import TABLES, Halt, Placed
from schemas.reasons import PRECEDENCE

#: An order is overdue at the latest this share of the age too late, and never too early.
_AGE_SLOTS: Final = 500
_LEAST_SLOT_US: Final = 1_000_000


class PartitionState:
    """What is true of one partition as of its last commit."""

    def __init__(self, overdue_age_us: int) -> None:
        self._overdue_age_us = overdue_age_us
        self.in_flight = 0
        self.halted = 0
        self.by_reason = dict.fromkeys(REASONS, 0)
        """Orders at each of their active reasons."""
        self.by_primary = dict.fromkeys(REASONS, 0)
        self.value_minor: dict[str, int] = {}
        """Currency's label → production cost of the halted orders."""
        self.halted_since = Oldest()
        self.unchecked = 0
        self.balances = Oldest()
        self.rows = dict.fromkeys(TABLES, 0)
        self.expected = 0
        """How many should be halted: those found at recovery, plus opened, minus ended."""
        self._unhalted = Ages(max(_LEAST_SLOT_US, overdue_age_us // _AGE_SLOTS))

    def recover(self, report: Report) -> None:
        """Take what the rows have told at recovery."""
        self.take(report)
        self.expected = self.halted

    def take(self, report: Report) -> None:
        """Take what has changed."""
        unhalted = self._unhalted
        for placed_before, halt_before, placed, halt in report.moves:
            if placed_before is not None:
                self.in_flight -= 1
                if halt_before is None:
                    unhalted.change(placed_before.placed_at, -1)
                else:
                    self._halted(placed_before, halt_before, -1)
            if placed is not None:
                self.in_flight += 1
                if halt is None:
                    unhalted.change(placed.placed_at, 1)
                else:
                    self._halted(placed, halt, 1)
        for table, more in report.rows.items():
            self.rows[table] += more
        self.unchecked += report.unchecked
        for before, now in report.balances:
            if before is not None:
                self.balances.remove(before)
            if now is not None:
                self.balances.add(now)

    def _halted(self, placed: Placed, halt: Halt, by: int) -> None:
        self.halted += by
        if by > 0:
            self.halted_since.add(halt.halted_since)
        else:
            self.halted_since.remove(halt.halted_since)
        codes = [_reason(code) for code, _ in halt.reasons]
        for code in codes:
            self.by_reason[code] += by
        self.by_primary[codes[0]] += by
        currency = currencies.label(placed.currency)
        value = self.value_minor.get(currency, 0)
        self.value_minor[currency] = value + by * placed.cost_minor

    def overdue(self, now_us: int) -> int:
        """Count the orders in flight that are not halted and were placed too long ago."""
        return self._unhalted.before(now_us - self._overdue_age_us)

    @property
    def unaccounted(self) -> int:
        """What `order-halted` says of the number of halted orders, minus what the state says."""
        return self.expected - self.halted


def _reason(position: int) -> str:
    return str(PRECEDENCE[position]) if position < len(PRECEDENCE) else OTHER
