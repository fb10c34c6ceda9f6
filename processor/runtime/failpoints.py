"""Kill this process at a named point, for the crash tests; does nothing unless asked to.

`ORDERHALT_FAILPOINTS` lists what to do, by comma: `after_send:0.01` kills with that probability each
time the point is passed, `before_end@3` when it is passed for the third time. SIGKILL, so that no
clean-up runs, as when the machine loses power.
"""

from __future__ import annotations

import os
import random
import re
import signal
import sys
from typing import Final

#: Every point that can be armed, and what has happened when it is reached.
POINTS: Final = {
    "after_send": "the transaction's rows and records are on their way",
    "after_offsets": "the input offsets are in the transaction",
    "before_end": "everything is delivered, nothing is committed",
    "end_in_flight": "the commit is on the wire, its answer is not back",
    "after_end": "committed, and the worker does not know it yet",
    "after_fence": "recovery has fenced the former owner",
    "in_load": "recovery has read a part of the changelogs",
    "before_seek": "recovery has all state, the inputs are not positioned",
    "in_revoke": "a rebalance has begun, the open windows are not committed",
    "after_revoke": "a rebalance has begun, the open windows are committed",
}
_VARIABLE: Final = "ORDERHALT_FAILPOINTS"
_ITEM: Final = re.compile(r"([a-z_]+)(?::([0-9.]+)|@([0-9]+))")


class Failpoints:
    """The armed points: per name a probability, or how often it may still be passed."""

    def __init__(self, specification: str) -> None:
        self._probability: dict[str, float] = {}
        self._passes_left: dict[str, int] = {}
        for item in filter(None, (part.strip() for part in specification.split(","))):
            match = _ITEM.fullmatch(item)
            if match is None or match[1] not in POINTS:
                raise ValueError(
                    f"{_VARIABLE}: cannot read {item!r}; write name:probability or name@count, "
                    f"with one of {', '.join(POINTS)}"
                )
            if match[2] is not None:
                self._probability[match[1]] = float(match[2])
            else:
                self._passes_left[match[1]] = int(match[3])

    def due(self, name: str) -> bool:
        """Say whether this pass of the point is the one that kills."""
        if name in self._passes_left:
            self._passes_left[name] -= 1
            return self._passes_left[name] == 0
        return random.random() < self._probability.get(name, 0.0)  # noqa: S311 - no secret

    def hit(self, name: str) -> None:
        """Pass the point `name`; the process may end here."""
        if self.due(name):
            sys.stderr.write(f"orderhalt: fail point {name}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    def armed(self, name: str) -> bool:
        """Say whether a point needs its longer way at all."""
        return name in self._probability or self._passes_left.get(name, 0) > 0


def _pass(name: str) -> None:
    """Nothing is armed."""


_failpoints = Failpoints(os.environ.get(_VARIABLE, ""))
armed: Final = _failpoints.armed
#: Pass a point; the process may end here. A function that does nothing when nothing is armed.
hit: Final = _failpoints.hit if os.environ.get(_VARIABLE) else _pass
