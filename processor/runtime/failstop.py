"""End the process at once with one message that says what, where and what to do.

The state in memory runs ahead of what is committed. After a failed transaction or an exception in a
machine nobody knows by how much, so nothing may be committed any more; the only safe state is the
one in Kafka, and the way back to it is a new process. `os._exit` runs no clean-up that could
commit. A supervisor restarts on any exit code but 0, with back-off.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

from schemas.errors import StateRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

#: Kafka cannot be reached at the start: try again later.
EXIT_UNAVAILABLE: Final = 69
#: Something unexpected: an exception in a handler, a failed or slow transaction, a lost partition.
EXIT_FAILSTOP: Final = 70
#: The state or the topics must not be used as they are: somebody has to do something first.
EXIT_REFUSED: Final = 78


#: Leaves the consumer group; set while there is a consumer. A member that dies without leaving blocks
#: the group until its session times out, for all partitions, as soon as another member joins.
leave_group: Callable[[float], None] | None = None
_LEAVE_SECONDS: Final = 1.0


class KafkaUnavailable(Exception):
    """Kafka cannot be reached; says which address was tried."""


def describe(
    what: str,
    *,
    code: int,
    where: str | None,
    remedy: str,
    error: BaseException | None,
    **_place: object,
) -> str:
    """Put the parts of a last message together, one line each, the traceback first."""
    lines = []
    if error is not None:
        lines.append(traceback_of(error))
    lines.append(f"orderhalt: stopped with exit code {code}: {what}")
    if where:
        lines.append(f"  where: {where}")
    if remedy:
        lines.append(f"  what to do: {remedy}")
    return "\n".join(lines)


def traceback_of(error: BaseException) -> str:
    """Give the traceback as text."""
    return "".join(traceback.format_exception(error)).rstrip()


#: Puts the last message together; whoever sets up logging may put another in its place.
last_words: Callable[..., str] = describe


def stop(
    what: str,
    *,
    remedy: str,
    where: str | None = None,
    error: BaseException | None = None,
    code: int = EXIT_FAILSTOP,
    **place: object,
) -> NoReturn:
    """Say why and end the process without committing anything. May be called from any thread.

    `place`: topic, partition and offset, where it is about one record.
    """
    message = last_words(what, code=code, where=where, remedy=remedy, error=error, **place)
    _leave_group_quietly()
    logging.shutdown()
    sys.stderr.write(message + "\n")
    sys.stderr.flush()
    os._exit(code)


def _leave_group_quietly() -> None:
    """Leave the consumer group, if that can be done while the event loop stands still.

    It runs in the consumer's thread. From there, or from any other thread, it must not be waited for:
    the event loop would go on and could commit.
    """
    if leave_group is None or threading.current_thread() is not threading.main_thread():
        return
    try:
        leave_group(_LEAVE_SECONDS)
    except Exception:  # noqa: BLE001 - these are last words, and leaving is a courtesy
        return


def refuse(refusal: StateRefused) -> NoReturn:
    """End the process because state or topics must not be used.

    The first line of the message says what is wrong, the others what to do about it; or it is all
    one line.
    """
    what, _, remedy = str(refusal).partition("\n")
    stop(
        what,
        remedy=remedy,
        error=refusal.__cause__,
        code=EXIT_REFUSED,
    )


def stop_after(seconds: float) -> None:
    """End the process in `seconds` if it is still there, from a thread that nothing can block."""
    timer = threading.Timer(
        seconds,
        stop,
        [f"the orderly end took longer than {seconds:g} s"],
        {"remedy": "Nothing is lost: what was applied was committed first, or counts for nothing."},
    )
    timer.daemon = True
    timer.start()


def watched(work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
    """Run `work` as a task whose failure ends the process instead of going unnoticed."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_stop_if_failed)
    return task


def _stop_if_failed(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if isinstance(error, StateRefused):
        refuse(error)
    if error is not None:
        stop(
            f"{task.get_name()} failed: {type(error).__name__}: {error}",
            remedy="Nothing since the last commit was committed, and nothing is lost. Check that "
            "Kafka is well; if it is, please report this.",
            error=error,
        )
