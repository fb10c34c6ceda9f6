"""Measure how long a partition with unread inputs makes no progress."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from confluent_kafka import KafkaException

from tests.broker.evidence import View

_EVERY_SECONDS = 0.25


class StallWatch(threading.Thread):
    """Looks at the group's offsets four times a second; `longest` in seconds, with that accuracy."""

    def __init__(self, view: View) -> None:
        super().__init__(name="stall", daemon=True)
        self.longest = 0.0
        self._view = View(view.servers, view.prefix, view.partitions, view.group)
        self._ended = threading.Event()
        self._moved: dict[int, tuple[int, float]] = {}
        """Partition → the sum of its committed offsets, and when it last rose or had no lag."""

    def run(self) -> None:
        """Look until `finish`."""
        while not self._ended.wait(_EVERY_SECONDS):
            try:
                ends, committed = self._view.ends(), self._view.committed()
            except (KafkaException, AssertionError):
                continue  # A broker that is down: the next look sees how long nothing moved.
            applied: defaultdict[int, int] = defaultdict(int)
            lag: defaultdict[int, int] = defaultdict(int)
            for (topic, partition), end in ends.items():
                applied[partition] += committed.get((topic, partition), 0)
                lag[partition] += end - committed.get((topic, partition), 0)
            self._note(applied, lag)

    def _note(self, applied: dict[int, int], lag: dict[int, int]) -> None:
        now = time.monotonic()
        for partition, offsets in applied.items():
            before, since = self._moved.get(partition, (0, now))
            self.longest = max(self.longest, now - since if lag[partition] > 0 else 0.0)
            if offsets > before or lag[partition] <= 0:
                self._moved[partition] = (offsets, now)

    def finish(self) -> float:
        """End; give the longest stall."""
        self._ended.set()
        self.join()
        self._view.close()
        return self.longest
