"""Worker processes under test, and waiting for what they bring about."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

from confluent_kafka import KafkaException

from processor.watchdog import Watchdog

ROOT = Path(__file__).parents[2]
Result = TypeVar("Result")
_NOT_READY = (
    "COORDINATOR",
    "LEADER",
    "UNKNOWN_TOPIC",
    "TIMED_OUT",
    "_TRANSPORT",
    "_DESTROY_BROKER",
)


class Worker:
    """One worker process; its standard error is kept in a file."""

    def __init__(
        self,
        log_path: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        under: Sequence[str] = (),
    ) -> None:
        """Start Python with `arguments`; `under`: a command that becomes it in the end."""
        self.log_path = log_path
        self._log: IO[bytes] = log_path.open("ab")
        self.process = subprocess.Popen(
            [*under, sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        # It must not outlive this process, however that ends.
        self._watchdog = Watchdog(self.process.pid, arguments[-1])

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.wait(10)

    def terminate(self, within: float = 10) -> int:
        self.process.terminate()
        return self.wait(within)

    def wait(self, within: float = 30) -> int:
        code = self.process.wait(within)
        self._watchdog.dismiss()
        return code

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_for(self, text: str, within: float = 30) -> None:
        wait_until(
            lambda: text in self.log() or not self.running, within, lambda: self.log()[-3000:]
        )
        assert text in self.log(), self.log()[-3000:]


def wait_until(
    condition: Callable[[], bool],
    within: float,
    explain: Callable[[], str] = lambda: "",
    every: float = 0.05,
) -> None:
    """Poll for a condition that something else brings about; fail with an explanation."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {explain()}")
        time.sleep(every)


def patiently(ask: Callable[[], Result], tries: int = 100) -> Result:
    """Ask again while a fresh or restarted broker, or a fresh topic, is not ready yet."""
    for _ in range(tries):
        try:
            return ask()
        except KafkaException as error:
            if not any(word in str(error) for word in _NOT_READY):
                raise
            time.sleep(0.1)
    raise AssertionError("the broker does not become ready")
