"""Run a real, single-node Apache Kafka on 127.0.0.1, for a try-out, a test or a demo.

`kafkajars` says where the broker's code and its Java come from.

A broker outlives neither `stop` nor the process that started it, whatever ends that one.
"""

from __future__ import annotations

import base64
import contextlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from processor.kafkajars import LocalKafkaError, find_kafka
from processor.watchdog import Watchdog

_HOST: Final = "127.0.0.1"
_START_TRIES: Final = 3
_LOG_TAIL_BYTES: Final = 2_000

#: One node that is broker and controller, and whose internal topics need no second one.
_PROPERTIES: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 the controller lets the broker in again only when its old session has ended.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "auto.create.topics.enable": "false",
    "log.cleaner.dedupe.buffer.size": str(32 << 20),
}


class LocalKafka:
    """One Apache Kafka node; a context manager, or `start`, `kill`, `start` again, `stop`.

    `port` 0 picks a free one. Without `data_dir` everything is ephemeral and gone after `stop`; with
    one, topics stay and the next start finds them. `properties` override the server's defaults.
    `cluster_id` is shared by nodes that are to find each other.
    `quick_start` halves the time to start, and takes from a broker that runs for long and is busy.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        data_dir: Path | None = None,
        properties: Mapping[str, str] | None = None,
        heap_mebibytes: int = 400,
        quick_start: bool = True,
        startup_timeout_seconds: float = 60.0,
        cluster_id: str = "",
    ) -> None:
        self._wanted_port = port
        self._port = port
        self._data_dir = data_dir
        self._directory: Path | None = None
        self._properties = dict(properties or {})
        self._heap_mebibytes = heap_mebibytes
        self._quick_start = quick_start
        self._startup_timeout_seconds = startup_timeout_seconds
        self._cluster_id = cluster_id
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: Watchdog | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """What a client connects to; known once started."""
        return f"{_HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._process is None:
            raise LocalKafkaError("The local Kafka is not running: call start() first.")
        return self._process.pid

    @property
    def directory(self) -> Path:
        """Where its data, `server.properties` and log are."""
        if self._directory is None:
            raise LocalKafkaError("The local Kafka has not been started: call start() first.")
        return self._directory

    @property
    def log_path(self) -> Path:
        """What the broker says; appended to by every start."""
        return self.directory / "log"

    @property
    def running(self) -> bool:
        """Whether the broker's process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the broker and wait until it answers; a no-op when it runs already.

        Raises LocalKafkaError with the remedy when it cannot.
        """
        if self.running:
            return
        java, class_path = find_kafka()
        self._directory = self._directory or self._make_directory()
        for attempt in range(_START_TRIES):
            try:
                self._choose_port()
                self._start_once(java, class_path)
            except _PortTakenError:
                self._end_process(signal_first=False)
                # Somebody took the free port between the look and the start; a port that was asked
                # for stays.
                if self._wanted_port or attempt == _START_TRIES - 1:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the broker in good order and remove what was ephemeral; a no-op when not started."""
        ephemeral = self._data_dir is None
        self._end_process(signal_first=not ephemeral)
        if ephemeral and self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def kill(self) -> None:
        """End the broker as kill -9 does; its data stays, also an ephemeral one's, for a `start`."""
        self._wanted_port = self._port
        self._end_process(signal_first=False)

    def _make_directory(self) -> Path:
        if self._data_dir is None:
            return Path(tempfile.mkdtemp(prefix="orderhalt-kafka-"))
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return self._data_dir.resolve()

    def _choose_port(self) -> None:
        if self._wanted_port == 0:
            self._port = free_port()
            return
        self._port = self._wanted_port
        if not _is_free(self._port):
            raise LocalKafkaError(
                f"Port {self._port} on {_HOST} is in use. Take another one (port 0 picks a free "
                "one), or use the Kafka that already listens there."
            )

    def _start_once(self, java: Path, class_path: str) -> None:
        properties = self._write_properties()
        options = [
            f"-Xmx{self._heap_mebibytes}m",
            "-XX:+UseSerialGC",
            *(["-XX:TieredStopAtLevel=1"] if self._quick_start else []),
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
        ]
        command = [str(java), *options, "-cp", class_path]
        with self.log_path.open("ab") as log:
            self._format(command, properties, log)
            self._process = subprocess.Popen(
                [*command, "kafka.Kafka", str(properties)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in a terminal is ours to pass on
            )
        removed = self.directory if self._data_dir is None else None
        self._watchdog = Watchdog(self.pid, str(properties), remove=removed)
        self._wait_until_ready()

    def _write_properties(self) -> Path:
        controller_port = free_port()
        properties = {
            **_PROPERTIES,
            "listeners": f"PLAINTEXT://{_HOST}:{self._port},CONTROLLER://{_HOST}:{controller_port}",
            "controller.quorum.voters": f"1@{_HOST}:{controller_port}",
            "log.dirs": str(self.directory / "data"),
            **self._properties,
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return path

    def _format(self, command: list[str], properties: Path, log: IO[bytes]) -> None:
        if (self.directory / "data" / "meta.properties").exists():
            return
        cluster = self._cluster_id or _new_cluster_id()
        done = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
        if done.returncode:
            raise LocalKafkaError(f"Kafka could not format its storage.\n{self.log_tail()}")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._startup_timeout_seconds
        while not _has_brokers(self._port):
            if not self.running:
                tail = self.log_tail()
                if "Address already in use" in tail:
                    raise _PortTakenError(f"Kafka found its port {self._port} in use.\n{tail}")
                raise LocalKafkaError(
                    f"Kafka ended while it was starting. The end of its log:\n{tail}"
                )
            if time.monotonic() > deadline:
                raise LocalKafkaError(
                    f"Kafka did not answer within {self._startup_timeout_seconds:.0f} s. "
                    f"The end of its log:\n{self.log_tail()}"
                )
            time.sleep(0.05)

    def _end_process(self, *, signal_first: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            if signal_first and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=30)
            process.kill()
            process.wait()
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.dismiss()

    def log_tail(self) -> str:
        """Quote the end of what the broker said."""
        text = self.log_path.read_bytes()[-_LOG_TAIL_BYTES:]
        return text.decode(errors="replace")


def _new_cluster_id() -> str:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    # A leading dash would be taken for an option.
    return cluster.replace("-", "_", 1) if cluster.startswith("-") else cluster


class _PortTakenError(LocalKafkaError):
    """The broker found its port in use."""


def free_port() -> int:
    """Pick a port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
        return True


def _has_brokers(port: int) -> bool:
    """Ask for metadata (Kafka protocol, Metadata v1, no topics): does it name a broker?

    That is later than an open port: only then can a client create topics and send.
    """
    client = b"orderhalt"
    request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((_HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                header = answer.read(12)  # length, correlation id, number of brokers
    except OSError:
        return False
    return len(header) == 12 and struct.unpack(">iii", header)[2] > 0
