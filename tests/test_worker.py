"""The whole worker as its users start it: real rules, real Kafka, both commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from processor.localkafka import LocalKafka
from schemas.partitioning import default_partition
from tests.support.processes import wait_until

PARTITIONS = 4
STUDIO = "studio-1"


def order_placed(order_id: str, photo: str) -> dict[str, Any]:
    return {
        "event_id": f"placed-{order_id}",
        "occurred_at": "2026-05-01T10:00:00Z",
        "studio_id": STUDIO,
        "order_id": order_id,
        "placed_at": "2026-05-01T10:00:00Z",
        "lines": [{"line_id": "1", "product_id": "print-10x15", "photo_ids": [photo]}],
        "production_cost": {"amount_minor": 250, "currency": "EUR"},
        "paid": False,
    }


def photo_deleted(photo: str) -> dict[str, Any]:
    return {
        "event_id": f"deleted-{photo}",
        "occurred_at": "2026-05-01T11:00:00Z",
        "studio_id": STUDIO,
        "asset_type": "photo",
        "asset_ids": [photo],
    }


class Deployment:
    """Topics of their own, made with the command."""

    def __init__(self, kafka: LocalKafka, prefix: str, directory: Path) -> None:
        self.prefix = prefix
        self._directory = directory
        self.environment = {
            **os.environ,
            "ORDERHALT_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "ORDERHALT_TOPIC_PREFIX": prefix,
        }
        self._servers = kafka.bootstrap_servers
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "processor.cli", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=self.environment,
            stdout=(self._directory / f"{len(self.processes)}.log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        self.processes.append(process)
        return process

    def log(self, number: int = 0) -> str:
        return (self._directory / f"{number}.log").read_text(errors="replace")

    def send(self, topic: str, value: dict[str, Any] | bytes, partition: int | None = None) -> None:
        key = STUDIO.encode()
        where = default_partition(key, PARTITIONS) if partition is None else partition
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._producer.produce(self.prefix + topic, raw, key, where)
        assert self._producer.flush(20) == 0

    def read(self, topic: str, count: int, within: float = 30) -> list[Any]:
        """Wait for the first `count` committed records of a topic."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "test",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        consumer.assign([TopicPartition(self.prefix + topic, p, 0) for p in range(PARTITIONS)])
        messages: list[Any] = []
        deadline = time.monotonic() + within
        try:
            while len(messages) < count:
                message: Any = consumer.poll(0.1)
                if message is not None:
                    assert message.error() is None, message.error()
                    messages.append(message)
                assert time.monotonic() < deadline, (len(messages), self.log()[-3000:])
        finally:
            consumer.close()
        return messages


def listening_sockets(pid: int) -> set[str]:
    """Find the listening TCP sockets of a process, as inodes."""
    listening = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A":
                listening.add(f"socket:[{columns[9]}]")
    files = Path(f"/proc/{pid}/fd").iterdir()
    return listening & {str(file.readlink()) for file in files if file.is_symlink()}


def cpu_seconds(pid: int) -> float:
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def deployment(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, topic_prefix, tmp_path)
    created = made.run("topics", "create", "--partitions", str(PARTITIONS))
    assert created.returncode == 0, created.stderr
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait(10)


@pytest.mark.parametrize(
    "command",
    [
        ["processor.cli", "worker"],
        ["faust", "-A", "processor.app", "worker", "-l", "info"],
    ],
    ids=["orderhalt", "faust"],
)
def test_a_deleted_photo_halts_its_order(deployment: Deployment, command: list[str]) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.send("lab-transfer", b"{not json")
    first = deployment.start(*command)
    second = deployment.start(*command)
    [halt] = deployment.read("order-halted", 1)
    value = orjson.loads(halt.value())
    assert halt.key() == b"studio-1/o1"
    assert value["primary_reason"] == "photos_missing"
    # Whichever the worker read last; the halt is the same.
    assert value["caused_by"]["event_id"] in {"placed-o1", "deleted-p1"}
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert rejected.value() == b"{not json"
    assert dict(rejected.headers())["orderhalt_error_code"] == b"malformed_json"
    wait_until(lambda: "Ready" in deployment.log(1), 20, lambda: deployment.log(1)[-3000:])
    for process in (first, second):
        assert listening_sockets(process.pid) == set()
        process.terminate()
    assert [first.wait(10), second.wait(10)] == [0, 0], deployment.log()[-3000:]


def test_the_partitioner_is_checked(deployment: Deployment) -> None:
    wrong = (default_partition(STUDIO.encode(), PARTITIONS) + 1) % PARTITIONS
    deployment.send("order-placed", order_placed("o1", "p1"), wrong)
    deployment.start("processor.cli", "worker")
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert dict(rejected.headers())["orderhalt_error_code"] == b"wrong_partition"


def test_a_worker_processes_within_seconds_of_its_start_and_idles_cheaply(
    deployment: Deployment,
) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    started = time.monotonic()
    worker = deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 1)
    assert time.monotonic() - started < 5
    before = cpu_seconds(worker.pid)
    time.sleep(5)  # idleness can only be measured by letting time pass
    used = cpu_seconds(worker.pid) - before
    assert used / 5 < 0.02, "an idle worker should use under 1 % of a core; 2 % allows for noise"


def test_a_worker_without_topics_refuses_and_says_what_to_run(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    refused = Deployment(kafka, topic_prefix, tmp_path).run("worker")
    assert refused.returncode == 78
    assert "orderhalt topics create" in refused.stderr


def test_a_worker_without_kafka_says_so(deployment: Deployment) -> None:
    failed = deployment.run("worker", "--bootstrap-servers", "127.0.0.1:1")
    assert failed.returncode == 69
    assert "Kafka cannot be reached at 127.0.0.1:1" in failed.stderr


def test_skip_refuses_what_it_should_not_touch(deployment: Deployment) -> None:
    topic = f"{deployment.prefix}order-placed"
    assert "is not an input topic" in deployment.run("skip", "order-halted", "0", "0").stderr
    nothing = deployment.run("skip", topic, "0", "5")
    assert nothing.returncode == 1
    assert "There is no record" in nothing.stderr
    assert "0 to 3" in deployment.run("skip", topic, "9", "5").stderr


def test_skip_sets_a_record_aside(deployment: Deployment) -> None:
    partition = default_partition(STUDIO.encode(), PARTITIONS)
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("order-placed", order_placed("o2", "p1"))
    done = deployment.run("skip", f"{deployment.prefix}order-placed", str(partition), "0")
    assert done.returncode == 0, done.stderr
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert dict(rejected.headers())["orderhalt_error_code"] == b"quarantined"
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.start("processor.cli", "worker")
    [halt] = deployment.read("order-halted", 1)
    assert halt.key() == b"studio-1/o2"
    wait_until(lambda: "Ready" in deployment.log(), 10)
