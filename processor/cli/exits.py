"""What the exit codes mean: the one table behind the help and docs/operating.md."""

from __future__ import annotations

from typing import Final

from processor.runtime.failstop import EXIT_FAILSTOP, EXIT_REFUSED, EXIT_UNAVAILABLE

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DIFFERENT: Final = 4
INTERRUPTED: Final = 130

MEANINGS: Final = {
    DONE: "done; a worker or `tail`: ended by SIGTERM or Ctrl-C, all that was applied is committed",
    FAILED: "could not be done; the message says why and what to do",
    USAGE: "wrong usage, or a configuration that cannot be used; every fault is listed",
    NOT_FOUND: "`explain`: no such order is known; `rejected`: there is no such record",
    DIFFERENT: "`verify`: something is not as it must be; every difference has its place",
    EXIT_UNAVAILABLE: "Kafka cannot be reached; try again",
    EXIT_FAILSTOP: "worker: fail-stop, nothing was committed after the fault; start it again",
    EXIT_REFUSED: "topics or state cannot be used as they are; trying again does not help, the "
    "message names the remedy",
    INTERRUPTED: "ended by Ctrl-C before it was done",
}
