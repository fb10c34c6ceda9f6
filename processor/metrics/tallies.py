"""Sums that follow from differences alone: what is oldest, and how many are older than that.

None of them looks through what it sums up, again and again.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush


class Oldest:
    """The least of a multiset of instants, in microseconds."""

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
    """How many of a multiset of slots lie before one that only moves on, as clocks do."""

    __slots__ = ("_before", "_end", "_slots")

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}
        """Number of the slot → how many, which may be fewer than none while another is to come."""
        self._end = -(1 << 62)
        self._before = 0
        """How many lie before `_end`."""

    def change(self, slot: int, by: int) -> None:
        """Take some in, or out."""
        count = self._slots.get(slot, 0) + by
        if count:
            self._slots[slot] = count
        else:
            self._slots.pop(slot, None)
        if slot < self._end:
            self._before += by

    def before(self, end: int) -> int:
        """Count those in slots before `end`, which costs what has come to lie before it since."""
        passed = end - self._end
        if 0 < passed < len(self._slots):
            self._before += sum([self._slots.get(slot, 0) for slot in range(self._end, end)])
        elif passed:
            self._before = sum([count for slot, count in self._slots.items() if slot < end])
        self._end = end
        return self._before
