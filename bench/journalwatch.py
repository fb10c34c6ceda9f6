"""When transactions of which partition became visible, to a read_committed reader of the journal."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas import topics


class Silence(NamedTuple):
    """No transaction of a partition became visible from `start` to `end` (seconds since 1970)."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start


class JournalWatch(threading.Thread):
    """Reads the journal as it grows; every transaction that applies records has a record there."""

    def __init__(self, servers: str, partitions: int, *, from_the_end: bool = False) -> None:
        """Look at the journal from its beginning, or only at what is still to come."""
        super().__init__(name="journal", daemon=True)
        self._partitions = partitions
        self._seen: dict[int, list[float]] = defaultdict(list)
        self._ended = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "watch",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
            }
        )
        places = [TopicPartition(topics.JOURNAL.name, p) for p in range(partitions)]
        for place in places:
            # Not OFFSET_END: that is looked up some time after this returns.
            place.offset = (
                self._consumer.get_watermark_offsets(place, timeout=20)[1]
                if from_the_end
                else OFFSET_BEGINNING
            )
        self._consumer.assign(places)

    def run(self) -> None:
        """Note when each record has come."""
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                self._seen[message.partition() or 0].append(time.time())

    def wait_for_all(self, within_seconds: float) -> list[float]:
        """Wait for a transaction of every partition; give when the first of each was seen."""
        deadline = time.monotonic() + within_seconds
        while len(self._seen) < self._partitions:
            assert time.monotonic() < deadline, f"no transaction but of {sorted(self._seen)}"
            time.sleep(0.01)
        return [moments[0] for moments in self._seen.values()]

    def finish(self) -> None:
        """Read no more."""
        self._ended.set()
        if self.is_alive():
            self.join()
        self._consumer.close()

    def silence(self, partition: int, since: float, until: float) -> Silence:
        """Give the longest silence of a partition that lies between `since` and `until` in part."""
        return longest_silence(self._seen[partition], since, until)


def longest_silence(seen: Sequence[float], since: float, until: float) -> Silence:
    """Give the longest of the silences between moments, the last one before `since` included."""
    first = bisect_right(seen, since)
    before = seen[first - 1] if first else since
    moments = [before, *seen[first : bisect_right(seen, until)], until]
    return max((Silence(*gap) for gap in pairwise(moments)), key=lambda gap: gap.seconds)
