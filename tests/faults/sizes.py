"""How much memory and how many descriptors workers take, over the life of each."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import defaultdict
from typing import NamedTuple

import psutil

MEBIBYTE = 1 << 20


class Size(NamedTuple):
    """One look at one process."""

    minutes: float
    mebibytes: float
    descriptors: int


class Sizes:
    """Looks at processes; a process id is a life."""

    def __init__(self) -> None:
        self.lives: defaultdict[int, list[Size]] = defaultdict(list)
        self._started = time.monotonic()

    def look(self, pids: list[int]) -> None:
        """Look once at each of them that is there."""
        minutes = self.minutes()
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                memory = process.memory_info().rss / MEBIBYTE
                self.lives[pid].append(Size(minutes, memory, process.num_fds()))

    def minutes(self) -> float:
        """Give how long ago the first look may have been."""
        return (time.monotonic() - self._started) / 60

    def most_mebibytes(self) -> float:
        """Give the most that one of them took."""
        return max(size.mebibytes for life in self.lives.values() for size in life)

    def longest_life(self) -> list[Size]:
        """Give the looks at the process that lived longest."""
        return max(self.lives.values(), key=lambda life: life[-1].minutes - life[0].minutes)


def slope(life: list[Size]) -> float:
    """Give MiB a minute over the second half of a life: its first half is warming up."""
    half = life[len(life) // 2 :]
    if len(half) < 3:
        return 0.0
    line = statistics.linear_regression([s.minutes for s in half], [s.mebibytes for s in half])
    return line.slope
