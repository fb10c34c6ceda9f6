"""Whether a worker lives, and whether it does its work.

*Live*: its event loop comes round. A process that is not should be ended; nothing else is a reason.
*Ready*: it has taken over its assignment, its partitions are recovered, and what waits is committed.
The answer to both comes from another thread than the event loop's, so there is one in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from processor.metrics.lag import Lag

BEAT_SECONDS: Final = 0.25
#: A recovery of millions of rows, or one event that touches thousands of orders, holds the event
#: loop for seconds and is no reason to end a worker.
LIVE_WITHIN_SECONDS: Final = 60.0
#: Well above the interval between two commits and two looks at the ends of the logs.
COMMITS_WITHIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what it follows from, a sentence each."""

    yes: bool
    reasons: tuple[str, ...]


class Health:
    """Written on the event loop, read from any thread: each field is one value, replaced at once."""

    def __init__(
        self,
        lag: Lag,
        *,
        live_within_seconds: float = LIVE_WITHIN_SECONDS,
        commits_within_seconds: float = COMMITS_WITHIN_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lag = lag
        self._live_within_seconds = live_within_seconds
        self._commits_within_seconds = commits_within_seconds
        self._clock = clock
        self._beat_at = clock()
        self.partitions: frozenset[int] | None = None
        """What the worker processes; None before it has an assignment, and during a rebalance."""
        self.stopping = False

    async def beat(self, late: Callable[[float], None]) -> None:
        """Beat as long as the event loop runs; `late` is told by how many seconds each beat was."""
        while True:
            due = self._clock() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            now = self._clock()
            self._beat_at = now
            late(max(0.0, now - due))

    def stalled_seconds(self) -> float:
        """Give since when the next beat is overdue, 0 while it is not."""
        return max(0.0, self._clock() - self._beat_at - BEAT_SECONDS)

    def live(self) -> Answer:
        """Tell whether the event loop comes round."""
        stalled = self.stalled_seconds()
        if stalled > self._live_within_seconds:
            return Answer(False, (f"The event loop has not come round for {stalled:.0f} s.",))
        return Answer(True, ())

    def ready(self) -> Answer:
        """Tell whether it is assigned, recovered and committing."""
        reasons = []
        if self.stopping:
            reasons.append("The worker ends.")
        elif self.partitions is None:
            reasons.append("No assignment has been taken over: it starts, rebalances or recovers.")
        live = self.live()
        reasons.extend(live.reasons)
        for partition, seconds in self._lag.stuck(self._commits_within_seconds, self._clock()):
            reasons.append(
                f"Partition {partition} has records waiting and has committed nothing for "
                f"{seconds:.0f} s."
            )
        return Answer(not reasons, tuple(reasons))
