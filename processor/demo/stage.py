"""The processes of the demo: a Kafka, workers and simulated shops, started and ended together."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from processor import topicadmin
from processor.config import ENV_PREFIX, load
from processor.kafkajars import FIRST_TIME
from processor.localkafka import LocalKafka, free_port
from processor.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_END_WITHIN_SECONDS: Final = 12
_RESTART_AFTER_SECONDS: Final = 1.0
_LOG_TAIL_CHARACTERS: Final = 1_500


class StageError(Exception):
    """Something of the demo did not start or has ended; the text shows what it said."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is put on the stage."""

    workers: int
    partitions: int
    rate: float
    seed: int
    studios: int
    order_seconds: float
    """How long an order without trouble takes."""
    trouble: float


class Stage:
    """Kafka first, then topics, workers and shops; all end when the block ends, or we do."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._kafka = LocalKafka()
        self._workers: list[_Process] = []
        self._shops: _Process | None = None
        self._pages: _Process | None = None
        self.group_id = ""
        self.pages_address = ""
        """Where the pages are; empty where the extra `web` is not installed."""

    @property
    def bootstrap_servers(self) -> str:
        """Where its Kafka is."""
        return self._kafka.bootstrap_servers

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def _start(self) -> None:
        plan = self._plan
        self._say(f"Starting a local Apache Kafka{FIRST_TIME} …")
        self._kafka.start()
        self._say(f"Kafka is ready at {self.bootstrap_servers}. Creating topics …")
        settings = load(bootstrap_servers=self.bootstrap_servers, topic_prefix="", group_id="")
        self.group_id = settings.group
        asyncio.run(topicadmin.create(settings, plan.partitions, 1))
        self._say(f"Starting {plan.workers} workers and {plan.studios} studios …")
        self._workers = [
            # Two workers of a host cannot share a port; the log says which each has taken.
            self._run(f"worker-{number + 1}", "worker", "--admin-port", "0")
            for number in range(plan.workers)
        ]
        orders_in_flight = max(1, round(plan.rate / 2.8 * plan.order_seconds))
        self._shops = self._run(
            "shops",
            *("simulate", "--rate", str(plan.rate), "--seed", str(plan.seed)),
            *("--studios", str(plan.studios), "--in-flight", str(orders_in_flight)),
            *("--trouble", str(plan.trouble)),
        )
        self._start_pages()

    def _start_pages(self) -> None:
        if importlib.util.find_spec("starlette") is None:
            self._say("Without the pages: pip install 'orderhalt[web]'")
            return
        port = free_port()
        self._pages = self._run("pages", "web", "--port", str(port))
        self.pages_address = f"http://127.0.0.1:{port}/"
        self._say(f"The pages are at {self.pages_address}")

    def _run(self, name: str, *arguments: str) -> _Process:
        servers = ("--bootstrap-servers", self.bootstrap_servers)
        return _Process(name, [*arguments, *servers], self._kafka.directory / f"{name}.log")

    def describe(self) -> str:
        """Name the processes, for whoever wants to kill one."""
        workers = ", ".join(f"{worker.name} {worker.pid}" for worker in self._workers)
        pages = f"{self.pages_address}   " if self.pages_address else ""
        return f"{pages}Kafka {self.bootstrap_servers} ({self._kafka.pid})   {workers}"

    def look_after(self) -> None:
        """Start a worker again that has ended, as a supervisor does; raises StageError otherwise.

        Only workers may end: they are meant to be killed.
        """
        if not self._kafka.running:
            raise StageError(f"Kafka has ended. The end of its log:\n{self._kafka.log_tail()}")
        if self._shops is not None and self._shops.ended:
            raise StageError(f"The shops have ended:\n{self._shops.log_tail()}")
        for worker in self._workers:
            worker.restart_if_ended(self._say)
        if self._pages is not None:
            self._pages.restart_if_ended(self._say)

    def end(self) -> None:
        """End every process: the shops, then the workers in good order, then Kafka."""
        others = [x for x in (self._pages, self._shops) if x is not None]
        processes = [*others, *self._workers]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        self._pages = self._shops = None
        self._workers = []
        self._kafka.stop()


class _Process:
    """One `orderhalt` command as a child process that does not outlive us."""

    def __init__(self, name: str, arguments: list[str], log_path: Path) -> None:
        self.name = name
        self._arguments = arguments
        self._log_path = log_path
        self._ended_at: float | None = None
        self._starts = 0
        self._start()

    def _start(self) -> None:
        # What the environment says of another deployment must not leak into this one.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ENV_PREFIX)}
        self._starts += 1
        self._ended_at = None
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "processor.cli", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._watchdog = Watchdog(self.pid, self._arguments[-1])

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def restart_if_ended(self, say: Callable[[str], None]) -> None:
        """Start it again a second after it ended; raises StageError if it never comes up."""
        if not self.ended:
            return
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self._watchdog.dismiss()
            code = self._process.returncode
            say(f"{self.name} ({self.pid}) has ended with {code}; it is started again.")
            if self._starts > 1 and code > 0:
                raise StageError(f"{self.name} ends again and again:\n{self.log_tail()}")
        elif time.monotonic() - self._ended_at > _RESTART_AFTER_SECONDS:
            self._start()

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.ended:
            self._process.terminate()

    def wait(self) -> None:
        """Wait until it has ended, and make it end if that takes too long."""
        try:
            self._process.wait(_END_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._watchdog.dismiss()

    def log_tail(self) -> str:
        """Quote the end of what it said."""
        return self._log_path.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
