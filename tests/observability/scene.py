"""Kafka, two supervised workers and simulated shops, for Prometheus to look at."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from processor import topicadmin
from processor.config import load
from processor.localkafka import LocalKafka, free_port
from tests.support.processes import Worker

PARTITIONS: Final = 4
_RESTART_AFTER_SECONDS: Final = 1.0
#: Few studios and much trouble, so that every reason and every ending comes within a minute, and
#: orders that are through within one, so that halts end as well.
_SHOPS: Final = (
    *("--rate", "150", "--in-flight", "2500", "--studios", "80", "--trouble", "4", "--seed", "11"),
    *("--late", "0.03", "--duplicates", "0.03", "--malformed", "0.02"),
)


class Scene:
    """All processes; they end with the block. Workers that end are started again, as by systemd."""

    def __init__(self, directory: Path, workers: int = 2) -> None:
        self.kafka = LocalKafka(quick_start=True)
        self.ports = {f"worker-{number + 1}": free_port() for number in range(workers)}
        """Where each worker is scraped; the same after a restart."""
        self.ended: list[tuple[str, int]] = []
        """Which workers have ended, and their exit codes."""
        self._directory = directory
        self._workers: dict[str, Worker] = {}
        self._shops: Worker | None = None
        self._leaving = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    @property
    def targets(self) -> list[str]:
        """What Prometheus scrapes."""
        return [f"127.0.0.1:{port}" for port in self.ports.values()]

    def __enter__(self) -> Self:
        self.kafka.start()
        settings = load(bootstrap_servers=self.kafka.bootstrap_servers)
        asyncio.run(topicadmin.create(settings, PARTITIONS, 1))
        for name in self.ports:
            self._start(name)
        self._supervisor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._supervisor.join()
        for process in [*self._workers.values(), *([self._shops] if self._shops else [])]:
            process.send(signal.SIGCONT)
            process.kill()
        self.kafka.stop()

    def open_shops(self) -> None:
        """Let events come, until the end."""
        arguments = ["-m", "processor.cli", "simulate", *_SHOPS]
        arguments += ["--bootstrap-servers", self.kafka.bootstrap_servers]
        self._shops = Worker(self._directory / "shops.log", arguments, {})

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a worker a signal."""
        self._workers[name].send(number)

    def logs(self) -> str:
        """Quote the end of what each process said."""
        paths = sorted(self._directory.glob("*.log"))
        return "\n".join(f"{x.name}:\n{x.read_text(errors='replace')[-1500:]}" for x in paths)

    def _start(self, name: str) -> None:
        arguments = ["-m", "processor.cli", "worker", "--admin-port", str(self.ports[name])]
        arguments += ["--bootstrap-servers", self.kafka.bootstrap_servers]
        self._workers[name] = Worker(self._directory / f"{name}.log", arguments, {})

    def _supervise(self) -> None:
        while not self._leaving.wait(0.1):
            for name, worker in list(self._workers.items()):
                if not worker.running:
                    self.ended.append((name, worker.wait()))
                    if self._leaving.wait(_RESTART_AFTER_SECONDS):
                        return
                    self._start(name)
