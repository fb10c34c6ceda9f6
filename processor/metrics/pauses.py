"""How long Python's garbage collector holds everything up.

It may run in any thread and at any allocation, also in one that holds a lock; so nothing here takes
one.
"""

from __future__ import annotations

import gc
import time

from processor.metrics.instruments import HistogramFamily
from processor.metrics.names import GC_PAUSE_SECONDS


class GarbagePauses(HistogramFamily):
    """The pauses since `start`. Only one thread collects at a time."""

    def __init__(self) -> None:
        super().__init__(GC_PAUSE_SECONDS)
        self._began = 0.0

    def start(self) -> None:
        """Measure from now on."""
        gc.callbacks.append(self._hear)

    def stop(self) -> None:
        """Measure no longer."""
        gc.callbacks.remove(self._hear)

    def _hear(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.observe(time.perf_counter() - self._began)
