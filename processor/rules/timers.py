"""Timers that take little room: when to look at something that may have reached its age.

A tuple in a heap takes over a hundred bytes, and there is a timer for every closed order and every
mark. But nearly all are set in the order in which they run out. So they stand in columns that are
appended to, by their time to two seconds, which rounds down: a timer is early, and whoever takes it
looks, and sets it `again` if need be. Only those, and those set out of order, stand in a heap, exactly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

NEVER: Final = 1 << 62
_SHIFT: Final = 11
"""The columns know times in units of 2 ** 11 ms: what runs out in one is looked at at once."""

Watched = str | tuple[str, ...]
"""An id, or several that one event has named."""


class Timers:
    """Timers of one kind: since when the age of something counts, its studio, and what it is."""

    __slots__ = ("_exact", "_items", "_last", "_number", "_since", "_studios")

    def __init__(self) -> None:
        self._since: deque[int] = deque()
        self._studios: deque[str] = deque()
        self._items: deque[Watched] = deque()
        self._last = -1
        """The time of the last column entry; all that have this time share the object."""
        self._exact: list[tuple[int, int, str, Watched]] = []
        """A heap; the second field settles ties."""
        self._number = 0

    def set(self, since_ms: int, studio_id: str, item: Watched) -> None:
        """Set one."""
        since = since_ms >> _SHIFT
        if since < self._last:
            self._set_exactly(since_ms, studio_id, item)
            return
        if since > self._last:
            self._last = since
        self._since.append(self._last)
        self._studios.append(studio_id)
        self._items.append(item)

    def again(self, since_ms: int, studio_id: str, item: Watched, until_ms: int) -> None:
        """Set one that was early, or whose age counts anew, while those up to `until_ms` are taken."""
        if since_ms >> _SHIFT << _SHIFT <= until_ms:
            self._set_exactly(since_ms, studio_id, item)
        else:
            self.set(since_ms, studio_id, item)

    def _set_exactly(self, since_ms: int, studio_id: str, item: Watched) -> None:
        self._number += 1
        heappush(self._exact, (since_ms, self._number, studio_id, item))

    @property
    def first_ms(self) -> int:
        """No timer was set before this; NEVER where there is none."""
        first = self._since[0] << _SHIFT if self._since else NEVER
        return min(first, self._exact[0][0]) if self._exact else first

    def take(self, until_ms: int) -> Iterator[tuple[str, Watched]]:
        """Take those that were set up to this time, and some set a little later, in no order."""
        while self._since and self._since[0] << _SHIFT <= until_ms:
            self._since.popleft()
            yield self._studios.popleft(), self._items.popleft()
        while self._exact and self._exact[0][0] <= until_ms:
            _, _, studio_id, item = heappop(self._exact)
            yield studio_id, item

    def clear(self) -> None:
        """Drop all."""
        self.__init__()  # type: ignore[misc]
