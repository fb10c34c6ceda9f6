"""A deployment of its own on the session's Kafka: topics, records, and the command run as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from processor.localkafka import LocalKafka
from schemas.partitioning import default_partition

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
        self.processes: list[subprocess.Popen[bytes]] = []

    @cached_property
    def _producer(self) -> Producer:
        return Producer({"bootstrap.servers": self._servers})

    def run(
        self, *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return subprocess.run(
            [sys.executable, "-m", "processor.cli", *arguments],
            env={**self.environment, **(environment or {})},
            input=stdin,
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

    def send(
        self,
        topic: str,
        value: dict[str, Any] | bytes,
        partition: int | None = None,
        key: bytes = STUDIO.encode(),
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Send a record as a producer of ours does, to the partition of its key or another one."""
        where = default_partition(key, PARTITIONS) if partition is None else partition
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        self._producer.produce(self.prefix + topic, raw, key, where, headers=list(headers))
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
