"""How long Python's garbage collector holds everything up.

It may run in any thread and at any allocation, also while that thread holds the lock of a Prometheus
object; so nothing here takes a lock, and the counts are plain numbers.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from processor.metrics.names import GC_PAUSE_SECONDS

_BOUNDS: Final = (*GC_PAUSE_SECONDS.buckets, float("inf"))


class GarbagePauses(Collector):
    """A histogram of pauses since `start`."""

    def __init__(self) -> None:
        self._counts = [0] * len(_BOUNDS)
        self._seconds = 0.0
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
            return
        seconds = time.perf_counter() - self._began
        self._counts[bisect_left(_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Give the histogram."""
        total, buckets = 0, []
        for bound, count in zip(_BOUNDS, self._counts, strict=True):
            total += count
            buckets.append((floatToGoString(bound), total))
        metric = GC_PAUSE_SECONDS
        yield HistogramMetricFamily(
            metric.name, metric.help, buckets=buckets, sum_value=self._seconds
        )
