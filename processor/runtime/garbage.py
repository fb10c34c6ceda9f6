"""When Python looks for cyclic garbage: rarely, and never through the whole state.

State of millions of rows makes every full collection walk for seconds, and the default triggers
collections all the time while rows are made: measured, the rules alone take 25 µs an event with the
collector at its defaults and 13 µs without. But without any, cycles leak (exceptions with their
tracebacks, asyncio's tasks and futures), slowly, for as long as a worker runs.

So: off while recovery loads rows; then everything that has survived is frozen, which takes it out of
every later collection; then young collections at long intervals. They walk only what was made since
the last one. Full collections practically never come: the third threshold counts middle ones.

What is frozen and given up later is freed by its reference counts alone. So nothing that holds the
state of a partition may be part of a cycle (tests/runtime/test_units.py).
"""

from __future__ import annotations

import gc
from typing import Final

#: Container objects made and not freed until the youngest generation is collected; how many of
#: those until the middle one is; how many of these until a full one.
_THRESHOLDS: Final = (50_000, 20, 1_000)


def defer() -> None:
    """Collect nothing while a recovery makes rows."""
    gc.disable()


def settle() -> None:
    """Take what exists out of collections, and collect what is made from now on, rarely."""
    gc.collect(0)
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
