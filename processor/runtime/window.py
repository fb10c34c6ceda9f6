"""What one transaction will hold: everything since the last one, of one partition.

    open ── first change ──▶ ticking ── 100 ms, or soft limit ──▶ sealed (a `Work`) ──▶ transaction
                                └── hard limit: takes no more, the partition's inputs pause

Changed rows stay with the machine until the window is sealed, so that a row that changes often is
encoded once. A record's changes are never split over two windows, so the limits are thresholds and
not bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.private import Run

if TYPE_CHECKING:
    from processor.runtime.config import RuntimeConfig
    from processor.runtime.protocol import ChangedRow, Emission
    from schemas.errors import RejectionCode


class Told:
    """What an observer will hear of a window, besides what is written; see `protocol.Committed`."""

    __slots__ = ("last_ms", "opened_at", "records", "rejections")

    def __init__(self) -> None:
        self.records: dict[str, int] = {}
        self.last_ms: dict[str, int] = {}
        self.rejections: list[tuple[str, RejectionCode]] = []
        self.opened_at: float | None = None
        """On the monotonic clock; None for a window without records."""

    def count(self, topic: str, records: int, last_ms: int) -> None:
        """Count records of one batch; `last_ms`: the timestamp of its last one."""
        self.records[topic] = self.records.get(topic, 0) + records
        self.last_ms[topic] = last_ms


@dataclass(frozen=True, slots=True)
class Work:
    """A sealed window: what goes into the transaction besides positions and journal."""

    number: int
    rows: Sequence[ChangedRow]
    emissions: Sequence[Emission]
    rejected: Sequence[Emission]
    runs: Sequence[Run]
    quarantined: Sequence[tuple[str, int]]
    offsets: dict[str, int]
    checkpoint: bytes | None
    quarantine: Sequence[tuple[str, int]]
    told: Told
    report: object

    def describe(self) -> str:
        """Name the input ranges, for the message that says where a commit failed."""
        if not self.runs:
            return "no input record (an ownership check, or records of recovery)"
        return ", ".join(f"{run.topic} offsets {run.first} to {run.next - 1}" for run in self.runs)


class Window:
    """An open commit window; `changed` counts the machine's dirty rows for it."""

    __slots__ = (
        "_config", "bytes", "emissions", "quarantined", "records", "rejected", "runs", "told"
    )  # fmt: skip

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self.emissions: list[Emission] = []
        self.rejected: list[Emission] = []
        self.runs: list[Run] = []
        self.quarantined: list[tuple[str, int]] = []
        self.records = 0
        self.bytes = 0
        self.told = Told()

    def note(self, topic: str, first: int, next_offset: int) -> None:
        """Note that offsets `first` up to, not including, `next_offset` have been applied."""
        runs = self.runs
        if runs and runs[-1].topic == topic and runs[-1].next == first:
            first = runs.pop().first
        runs.append(Run(topic, first, next_offset))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit. Changed rows never come without a run or emission."""
        return not self.runs and not self.emissions

    def is_ripe(self, dirty: int) -> bool:
        """Whether to commit at once instead of when the clock says."""
        config = self._config
        return (
            dirty + len(self.emissions) + len(self.rejected) >= config.window_soft_entries
            or self.bytes >= config.window_soft_bytes
            or (config.one_by_one and self.records > 0)
        )

    def is_full(self, dirty: int) -> bool:
        """Whether it must take no further record."""
        config = self._config
        return (
            dirty + len(self.emissions) + len(self.rejected) >= config.window_hard_entries
            or self.bytes >= config.window_hard_bytes
            or (config.one_by_one and self.records > 0)
        )


class Pace:
    """How long a window stays open: the configured interval, longer while commits are slow.

    A transaction costs the broker the same whatever it holds. When one takes longer than half the
    interval, the interval becomes twice as long as a commit takes, so that at most half the time
    goes into committing.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._typical_commit_seconds = 0.0

    def took(self, seconds: float) -> None:
        """Take one commit's duration into account."""
        self._typical_commit_seconds += (seconds - self._typical_commit_seconds) / 4

    @property
    def seconds(self) -> float:
        """From the first change of a window to its commit."""
        return max(self._interval_seconds, 2 * self._typical_commit_seconds)
