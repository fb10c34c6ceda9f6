"""Logging of a command that runs for long: our own words, and of the libraries what needs somebody."""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

_REPEAT_SECONDS: Final = 10.0


class Repeats(logging.Filter):
    """Lets the same message of a library through once in ten seconds, and says how often it came.

    aiokafka repeats its warnings at every attempt, which is fifty times a second while a broker is
    away.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next_at: dict[tuple[str, str], float] = {}
        self._held_back: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold a repeated message back, unless it is ours."""
        if record.name.startswith("processor"):
            return True
        key, now = (record.name, str(record.msg)), time.monotonic()
        if now < self._next_at.get(key, 0.0):
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return False
        self._next_at[key] = now + _REPEAT_SECONDS
        if held_back := self._held_back.pop(key, 0):
            record.msg = f"{record.msg} (and {held_back} times before)"
        return True


def to_stderr(level: str) -> None:
    """Log to standard error; `level` counts for our own words."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(Repeats())
    logging.basicConfig(
        handlers=[handler],
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("processor").setLevel(level.upper())
    # Faust's services log their every start and stop under the name of the module of their class.
    for module in ("app", "tables", "transport"):
        logging.getLogger(f"processor.runtime.{module}").setLevel(logging.WARNING)
    # It warns of retries that are part of the protocol (the broker is completing the transaction
    # before); what cannot be retried ends the worker with a message of its own.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
