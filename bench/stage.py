"""The stage of one campaign: a broker on one core, logs on its topics, and a system on the other core.

The broker lives as long as the campaign, so all systems meet it equally warm; inputs stay where they
are while systems drain them one after the other. All else that a system has written is deleted before
the next begins, and each has a consumer group of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from processor import topicadmin
from processor.config import Settings
from processor.localkafka import LocalKafka
from processor.simulator.records import Record as Sent
from processor.simulator.sender import Sender
from schemas import topics
from schemas.partitioning import default_partition

if TYPE_CHECKING:
    from types import TracebackType

    from bench.systems import System
    from bench.workload import Record

SYSTEM_CORE, OTHER_CORE = 0, 1
WARMUP_PREFIX: Final = "warmup-"
_ENDS_WITHIN_SECONDS: Final = 20.0
_INPUTS: Final = tuple(topic.name for topic in topics.INPUTS)


class Placed(NamedTuple):
    """One input record and where it is."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Log:
    """A workload on the partitions of its topics, in the order in which it is sent."""

    records: Sequence[Placed]
    partitions: int
    ends: dict[tuple[str, int], int]

    @classmethod
    def of(cls, records: Iterable[Record], partitions: int) -> Self:
        """Put each record where Kafka's default partitioner puts it."""
        ends: Counter[tuple[str, int]] = Counter()
        of_key: dict[bytes, int] = {}
        placed = []
        for topic, key, value in records:
            number = of_key.get(key)
            if number is None:
                number = of_key[key] = default_partition(key, partitions)
            placed.append(Placed(topic, number, ends[topic, number], key, value))
            ends[topic, number] += 1
        return cls(placed, partitions, dict(ends))


class Output(NamedTuple):
    """One record of an output topic, as it is there."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None


class Stage:
    """A context manager; everything of ours but the system under test runs on one core meanwhile."""

    def __init__(self, partitions: int, interval_ms: int) -> None:
        self.partitions = partitions
        self.interval_ms = interval_ms
        self.kafka = LocalKafka(heap_mebibytes=1_500, quick_start=False)
        self._directory = Path(tempfile.mkdtemp(prefix="orderhalt-bench-"))
        self._runs = 0

    def __enter__(self) -> Self:
        os.sched_setaffinity(0, {OTHER_CORE})
        self.kafka.start()
        self._admin = AdminClient({"bootstrap.servers": self.servers})
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del self._admin  # Or it would go on looking for the broker.
        self.kafka.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    @property
    def servers(self) -> str:
        """What clients connect to."""
        return self.kafka.bootstrap_servers

    def clear(self, *, inputs: bool) -> None:
        """Delete what systems have written, with `inputs` also the log, and make the topics anew.

        What was loaded to warm up by stays.
        """
        warmups = {WARMUP_PREFIX + name for name in _INPUTS}
        names = {name for name in self._topics() if not name.startswith("__")}
        unwanted = names - warmups if inputs else names - warmups - set(_INPUTS)
        if unwanted:
            for deleted in self._admin.delete_topics(sorted(unwanted)).values():
                deleted.result()
        while unwanted & set(self._topics()):
            time.sleep(0.05)
        for prefix in ("", WARMUP_PREFIX):
            settings = Settings(bootstrap_servers=self.servers, topic_prefix=prefix)
            asyncio.run(
                topicadmin.create(settings, partitions=self.partitions, replication_factor=1)
            )

    def _topics(self) -> list[str]:
        return list(self._admin.list_topics(timeout=10).topics)

    def load(self, records: Sequence[Placed], prefix: str = "") -> None:
        """Write records to the inputs, as fast as they take them."""
        asyncio.run(self._load(records, prefix))

    async def _load(self, records: Sequence[Placed], prefix: str) -> None:
        now_ms = int(time.time() * 1000)
        async with Sender(self.servers, topic_prefix=prefix) as sender:
            await sender.send(Sent(x.topic, x.key, x.value, now_ms) for x in records)

    def start(self, system: System, group: str = "") -> Running:
        """Start a system on its core, with a directory of its own, and a group if none is given."""
        self._runs += 1
        name = f"bench-{self._runs}-{system.name}"
        group = group or name
        home = self._directory / name
        (home / "state").mkdir(parents=True)
        interval_ms = system.interval_ms or self.interval_ms
        environment = {
            **os.environ,
            "ORDERHALT_BOOTSTRAP_SERVERS": self.servers,
            "ORDERHALT_COMMIT_INTERVAL_MS": str(interval_ms),
            "ORDERHALT_GROUP_ID": group,
            "BENCH_PARTITIONS": str(self.partitions),
            "BENCH_GROUP": group,
            "BENCH_STATE_DIR": str(home / "state"),
            **({"BENCH_WARMUP_PREFIX": WARMUP_PREFIX} if system.warms else {}),
            **system.environment,
        }
        return Running(system, group, environment, home / "log")

    def read(self, topic: str) -> list[Output]:
        """Read all committed records of a topic, by partition and offset."""
        found = [
            Output(x.partition() or 0, x.offset() or 0, x.key() or b"", x.value())
            for x in self._messages(topic)
        ]
        return sorted(found, key=lambda record: record[:2])

    def _messages(self, topic: str) -> Iterable[Any]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        places = [TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(self.partitions)]
        consumer.assign(places)
        ended: set[int] = set()
        while len(ended) < self.partitions:
            for message in consumer.consume(10_000, timeout=0.2):
                if message.error():
                    ended.add(message.partition() or 0)
                else:
                    yield message
        consumer.close()


class Running:
    """A system under test, alone on its core."""

    def __init__(
        self, system: System, group: str, environment: dict[str, str], log_path: Path
    ) -> None:
        self.system = system
        self.group = group
        self._log_path = log_path
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                system.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {SYSTEM_CORE}),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """The first process of its tree."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether that still runs."""
        return self._process.poll() is None

    def last_words(self) -> str:
        """Quote the end of what it said."""
        return self._log_path.read_bytes()[-2_000:].decode(errors="replace")

    def end(self) -> None:
        """End it in order, or else at once."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_ENDS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
