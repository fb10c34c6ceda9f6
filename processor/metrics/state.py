"""The state of one partition as far as metrics tell it: the sum of its shard's reports.

It comes with the partition, moves by differences, and goes with it; so the sum over all workers is
the sum over all partitions.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from processor.metrics import currencies
from processor.metrics.names import REASONS, reason_at
from processor.metrics.tallies import Ages, Oldest
from processor.rules.report import Halted, Report
from processor.rules.rows import TABLES

#: Orders that are not halted are counted by slots of their `placed_at`, 10 s each.
SLOT_US: Final = 10_000_000


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
        self._unhalted = Ages()

    def recover(self, report: Report) -> None:
        """Take what the rows have told at recovery."""
        self.take(report)
        self.expected = self.halted

    def take(self, report: Report) -> None:
        """Take what has changed."""
        self.in_flight += len(report.entered) - len(report.left)
        for placed_at, by in ((report.entered, 1), (report.left, -1)):
            for slot, count in Counter([at // SLOT_US for at in placed_at]).items():
                self._unhalted.change(slot, by * count)
        for before, now in report.halted:
            if before is not None:
                self._halted(before, -1)
                self.halted_since.remove(before[1].halted_since)
            if now is not None:
                self._halted(now, 1)
                self.halted_since.add(now[1].halted_since)
        for table, more in report.rows.items():
            self.rows[table] += more
        self.unchecked += report.unchecked
        for was, decides in report.balances:
            if was is not None:
                self.balances.remove(was)
            if decides is not None:
                self.balances.add(decides)

    def _halted(self, order: Halted, by: int) -> None:
        placed, halt = order
        self.halted += by
        self._unhalted.change(placed.placed_at // SLOT_US, -by)
        by_reason = self.by_reason
        for code, _ in halt.reasons:
            by_reason[reason_at(code)] += by
        self.by_primary[reason_at(halt.reasons[0][0])] += by
        currency = currencies.label(placed.currency)
        value = self.value_minor.get(currency, 0)
        self.value_minor[currency] = value + by * placed.cost_minor

    def overdue(self, now_us: int) -> int:
        """Count the orders in flight that are not halted and were placed too long ago.

        One counts up to a slot too late, and never too early.
        """
        return self._unhalted.before((now_us - self._overdue_age_us) // SLOT_US)

    @property
    def unaccounted(self) -> int:
        """What `order-halted` says of the number of halted orders, minus what the state says."""
        return self.expected - self.halted
