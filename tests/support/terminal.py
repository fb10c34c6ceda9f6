"""Run a command on a terminal, as people do."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Mapping


def run_on_terminal(environment: Mapping[str, str], *arguments: str) -> str:
    """Give what a command writes when its standard output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "processor.cli", *arguments],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    written = b""
    try:
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # how a terminal says that nobody writes to it any more
                break
            if not chunk:
                break
            written += chunk
    finally:
        os.close(ours)
        assert process.wait(30) == 0, process.stderr and process.stderr.read()
        assert process.stderr is not None
        process.stderr.close()
    return written.decode()
