"""Logging of a command that runs for long: our own words, and of the libraries what needs somebody.

On a terminal lines for people, else one JSON object a line, with `topic`, `partition` and `offset`
where they apply. No line ever holds the value of a record.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import sys
import time
from typing import Any, Final

import structlog

from processor.runtime import failstop

_REPEAT_SECONDS: Final = 10.0
LEVELS: Final = ("debug", "info", "warning", "error")
LEVEL_VARIABLE: Final = "ORDERHALT_LOG_LEVEL"

#: What every line gets, whoever wrote it.
_SHARED: Final[tuple[Any, ...]] = (
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


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
    logging.config.dictConfig(configuration(level))
    if not sys.stderr.isatty():
        failstop.last_words = json_words


def configuration(level: str) -> dict[str, Any]:
    """Give the configuration for `logging.config`, which Faust's own command takes as well."""
    ours = {"level": level.upper()}
    quiet, needed = {"level": "WARNING"}, {"level": "ERROR"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"repeats": {"()": Repeats}},
        "formatters": {"lines": {"()": formatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "filters": ["repeats"],
                "formatter": "lines",
            }
        },
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "processor": ours,
            # Faust's services log their every start and stop under the name of their class's module.
            **{f"processor.runtime.{name}": quiet for name in ("app", "tables", "transport")},
            # It warns of retries that are part of the protocol (the broker is completing the
            # transaction before); what cannot be retried ends the worker with words of its own.
            "aiokafka.producer.sender": needed,
        },
    }


def for_faust() -> dict[str, Any]:
    """Give the same to `faust -A processor.app worker`, which sets up logging by itself."""
    level = os.environ.get(LEVEL_VARIABLE, "info").lower()
    if not sys.stderr.isatty():
        failstop.last_words = json_words
    return configuration(level if level in LEVELS else "info")


def formatter() -> logging.Formatter:
    """Make the formatter for where standard error goes."""
    last: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if sys.stderr.isatty():
        colours = "NO_COLOR" not in os.environ
        last.append(structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0))
    else:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=last)


def json_words(
    what: str,
    *,
    code: int,
    where: str | None,
    remedy: str,
    error: BaseException | None,
    **place: Any,
) -> str:
    """Put a last message together, as one JSON line."""
    line: dict[str, Any] = {
        "event": f"orderhalt: stopped with exit code {code}: {what}",
        "level": "critical",
        "exit_code": code,
        "where": where,
        "what_to_do": remedy,
        **place,
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    if error is not None:
        line["exception"] = failstop.traceback_of(error)
    return json.dumps({key: value for key, value in line.items() if value is not None})
