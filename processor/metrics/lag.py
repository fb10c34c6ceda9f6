"""How far behind the end of each input a worker is, from the ends as the broker has them.

A consumer that is stuck does not learn how the log goes on, so its own idea of the end would stand
still with it. The ends come from a look of their own (`watcher`); what is committed comes from the
commits. Between two looks the age of what waits goes on rising with the clock.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Set
from typing import NamedTuple

Input = tuple[str, int]
"""(topic with its prefix, partition)."""


class Reading(NamedTuple):
    """The lag of one input."""

    topic: str
    partition: int
    records: int
    seconds: float


class _Place:
    """What is known of one input. Times in milliseconds since the epoch."""

    __slots__ = ("caught_up_ms", "committed", "end", "first", "last_ms", "since_ms")

    def __init__(self, committed: int, since_ms: float) -> None:
        self.committed = committed
        self.since_ms = since_ms
        """Since when this worker has it."""
        self.end: int | None = None
        self.first: tuple[int, float] | None = None
        """(offset, timestamp) of a record at the committed offset, as it was read."""
        self.last_ms: float | None = None
        """Timestamp of the last record committed."""
        self.caught_up_ms: float | None = None
        """When a look last found nothing waiting."""

    @property
    def records(self) -> int:
        return 0 if self.end is None else max(0, self.end - self.committed)

    @property
    def is_dated(self) -> bool:
        """Whether it can be told since when something waits."""
        if self.first is not None and self.first[0] == self.committed:
            return True
        return self.last_ms is not None or self.caught_up_ms is not None

    def seconds(self, now_ms: float) -> float:
        if not self.records:
            return 0.0
        if self.first is not None and self.first[0] == self.committed:
            since = self.first[1]
        else:
            # What waits came after the last record committed, and after a look that found nothing.
            known = [at for at in (self.last_ms, self.caught_up_ms) if at is not None]
            since = max(known) if known else self.since_ms
        return max(0.0, (now_ms - since) / 1000)


class Lag:
    """The lag of all inputs of the partitions owned. May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Input, _Place] = {}
        self._progress_at: dict[int, float] = {}
        """Partition → when it last committed, or had nothing to commit; monotonic clock."""
        self.looked_at: float = 0.0
        """Unix time of the last successful look; 0 before the first."""

    # ---- from the commits

    def begin(
        self, partition: int, offsets: Mapping[str, int], *, now: float, now_ms: float
    ) -> None:
        """Take a partition in, as recovered; `now`: monotonic clock."""
        with self._lock:
            self._progress_at[partition] = now
            for topic, offset in offsets.items():
                self._places[topic, partition] = _Place(offset, now_ms)

    def commit(
        self,
        partition: int,
        offsets: Mapping[str, int],
        last_ms: Mapping[str, int],
        *,
        now: float,
    ) -> None:
        """Note a commit."""
        with self._lock:
            self._progress_at[partition] = now
            for topic, offset in offsets.items():
                place = self._places.get((topic, partition))
                if place is not None:
                    place.committed = offset
                    place.last_ms = last_ms.get(topic, place.last_ms)

    def drop(self, partitions: Set[int]) -> None:
        """Forget partitions that go elsewhere."""
        with self._lock:
            self._places = {at: x for at, x in self._places.items() if at[1] not in partitions}
            for partition in partitions:
                self._progress_at.pop(partition, None)

    # ---- from the looks

    def inputs(self) -> dict[Input, int]:
        """Give the inputs to look at, and up to where each is committed."""
        with self._lock:
            return {at: place.committed for at, place in self._places.items()}

    def look(self, ends: Mapping[Input, int], *, now: float, now_ms: float) -> dict[Input, int]:
        """Take the ends that a look has found.

        Gives the inputs, and their offsets, of which a record has to be read to know its age.
        """
        with self._lock:
            self.looked_at = now_ms / 1000
            busy = set()
            for at, end in ends.items():
                place = self._places.get(at)
                if place is None:
                    continue
                place.end = end
                if place.records:
                    busy.add(at[1])
                else:
                    place.caught_up_ms = now_ms
            for partition in self._progress_at.keys() - busy:
                self._progress_at[partition] = now
            return {
                at: place.committed
                for at, place in self._places.items()
                if place.records and not place.is_dated
            }

    def date(self, at: Input, offset: int, timestamp_ms: float) -> None:
        """Note the timestamp of the first record from `offset` on."""
        with self._lock:
            if (place := self._places.get(at)) is not None:
                place.first = (offset, timestamp_ms)

    # ---- to whoever asks

    def readings(self, now_ms: float) -> list[Reading]:
        """Give the lag of every input."""
        with self._lock:
            return [
                Reading(topic, partition, place.records, place.seconds(now_ms))
                for (topic, partition), place in sorted(self._places.items())
            ]

    def stuck(self, within_seconds: float, now: float) -> list[tuple[int, float]]:
        """Give the partitions that have records waiting and no commit for longer than that."""
        with self._lock:
            waiting = {at[1] for at, place in self._places.items() if place.records}
            return [
                (partition, now - at)
                for partition, at in sorted(self._progress_at.items())
                if partition in waiting and now - at > within_seconds
            ]
