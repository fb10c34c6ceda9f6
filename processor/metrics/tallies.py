"""Sums that follow from differences alone: what is oldest, and how many are older than that.

None of them ever looks through what it sums up. All instants are in microseconds.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import heapify, heappop, heappush


class Oldest:
    """The least of a multiset of instants."""

    __slots__ = ("_counts", "_heap")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        # May hold what is gone; each instant that has a count stands in it.
        self._heap: list[int] = []

    def add(self, instant: int) -> None:
        """Take one in."""
        count = self._counts.get(instant, 0)
        self._counts[instant] = count + 1
        if not count:
            heappush(self._heap, instant)
            if len(self._heap) > 2 * len(self._counts) + 64:
                self._heap = list(self._counts)
                heapify(self._heap)

    def remove(self, instant: int) -> None:
        """Take one out, which is in."""
        count = self._counts[instant] - 1
        if count:
            self._counts[instant] = count
        else:
            del self._counts[instant]

    def least(self) -> int | None:
        """Give the least; None where there is none."""
        heap = self._heap
        while heap and heap[0] not in self._counts:
            heappop(heap)
        return heap[0] if heap else None


class Ages:
    """How many of a multiset of instants lie before a given one, to the width of a slot."""

    __slots__ = ("_slots", "_width")

    def __init__(self, width_us: int) -> None:
        self._width = width_us
        self._slots: defaultdict[int, int] = defaultdict(int)
        """Number of the slot → how many; those that fall to 0 are dropped by the next `before`."""

    def change(self, instant: int, by: int) -> None:
        """Take some in, or out."""
        self._slots[instant // self._width] += by

    def before(self, instant: int) -> int:
        """Count those whose slot ended at or before `instant`."""
        end = instant // self._width
        total = 0
        empty = []
        for slot, count in self._slots.items():
            if not count:
                empty.append(slot)
            elif slot < end:
                total += count
        for slot in empty:
            del self._slots[slot]
        return total
