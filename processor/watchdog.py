"""Let a child process, and what it leaves on disk, never outlive the process that started it.

A small shell holds the read end of a pipe whose write end only this process has. When that closes,
because this process has ended for whatever reason, kill -9 included, it kills the child.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

#: Waits for its input to end, then kills process $1 if it still is the one whose arguments have $2
#: in them, and removes directory $3 if one is named.
_SCRIPT: Final = """
cat >/dev/null
arguments=$(tr '\\0' ' ' <"/proc/$1/cmdline" 2>/dev/null || ps -o args= -p "$1")
case $arguments in *"$2"*) kill -9 "$1";; esac
[ -z "$3" ] || rm -rf "$3"
"""


class Watchdog:
    """Watches one child process from its start until `dismiss`."""

    def __init__(self, pid: int, argument: str, *, remove: Path | None = None) -> None:
        """Watch `pid`, which has `argument` on its command line; `remove` goes with it."""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "sh", str(pid), argument, str(remove or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """End the watch and leave everything as it is; the child has ended, or may outlive us."""
        # Killed, not told: it would take the end of its input for our death.
        self._process.kill()
        self._process.communicate()
