"""Start workers as processes, feed them, and judge what they did with an independent client.

Everything that reads or writes Kafka here is librdkafka, so that no mistake of aiokafka, which the
workers use, can hide itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.private import JournalRecord, PositionsRow, decode_journal, decode_positions
from tests.runtime.toyapp import toy_config

MEBIBYTE = 1 << 20
ROOT = Path(__file__).parents[2]


@dataclass
class Sent:
    """One record that was sent and must come out once."""

    topic: str
    partition: int
    key: bytes


@dataclass
class Verdict:
    """What is wrong with the outputs; empty when all is well."""

    problems: list[str] = field(default_factory=list)
    outputs: int = 0

    def check(self, what: str, items: Iterable[Any]) -> None:
        listed = list(items)
        if listed:
            self.problems.append(f"{what}: {len(listed)}, such as {listed[:3]}")


class Worker:
    """One worker process; its standard error is kept in a file."""

    def __init__(self, log_path: Path, environment: Mapping[str, str]) -> None:
        self.log_path = log_path
        self._log: IO[bytes] = log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.toyapp"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def terminate(self, within: float = 10) -> int:
        self.process.terminate()
        return self.process.wait(within)

    def wait(self, within: float = 30) -> int:
        return self.process.wait(within)

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


class Deployment:
    """The topics of one toy deployment, its workers, and the records sent to it."""

    def __init__(self, servers: str, prefix: str, directory: Path, partitions: int = 4) -> None:
        self.servers = servers
        self.prefix = prefix
        self.partitions = partitions
        self.config = toy_config(prefix, servers)
        self.sent: dict[str, Sent] = {}
        self.workers: list[Worker] = []
        self.admin = AdminClient({"bootstrap.servers": servers})
        self._directory = directory
        self._producer = Producer(
            {"bootstrap.servers": servers, "linger.ms": 5, "message.max.bytes": 8 * MEBIBYTE}
        )
        self.create_topics()

    # -- topics

    def create_topics(self, names: Iterable[str] | None = None) -> None:
        c = self.config
        compacted = {"cleanup.policy": "compact", "max.message.bytes": str(4 * MEBIBYTE)}
        plain = {"max.message.bytes": str(4 * MEBIBYTE)}
        settings: dict[str, dict[str, str]] = {topic: {} for topic in c.inputs}
        settings |= dict.fromkeys([*c.changelogs.values(), c.positions], compacted)
        settings |= dict.fromkeys([c.output, c.journal, c.rejected], plain)
        topics = [
            NewTopic(topic, self.partitions, 1, config=config)
            for topic, config in settings.items()
            if names is None or topic in names
        ]
        for future in self.admin.create_topics(topics).values():
            future.result(20)

    def recreate(self, topic: str) -> None:
        self.admin.delete_topics([topic])[topic].result(20)

        def made() -> bool:
            try:
                self.create_topics([topic])
            except Exception as error:
                if "already exists" not in str(error):
                    raise
                return False
            return True

        wait_until(made, 20)

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        at = TopicPartition(topic, partition, offset)
        self.admin.delete_records([at])[at].result(20)

    def set_config(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(10)

    def set_group_offset(self, topic: str, partition: int, offset: int) -> None:
        """Set a committed offset by hand, as soon as the group has no member."""
        at = TopicPartition(topic, partition, offset)
        request = ConsumerGroupTopicPartitions(self.config.group_id, [at])

        def done() -> bool:
            try:
                self.admin.alter_consumer_group_offsets([request])[self.config.group_id].result(10)
            except KafkaException as error:
                if "UNKNOWN_MEMBER" not in str(error) and "COORDINATOR" not in str(error):
                    raise
                return False
            return True

        wait_until(done, 20)

    # -- workers

    def start(self, name: str = "w", **environment: str) -> Worker:
        worker = Worker(
            self._directory / f"{self.prefix}{name}.log",
            {
                "TOY_PREFIX": self.prefix,
                "TOY_BOOTSTRAP": self.servers,
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
                **environment,
            },
        )
        self.workers.append(worker)
        return worker

    def stop_all(self) -> None:
        for worker in self.workers:
            if worker.running:
                worker.kill()

    # -- records

    def partition_of(self, key: bytes) -> int:
        return zlib.crc32(key) % self.partitions

    def send(
        self,
        ident: str,
        *,
        topic: str = "alpha",
        key: bytes = b"k0",
        command: str = "",
        expected: bool = True,
    ) -> Sent:
        """Send one record; `expected`: it must come out."""
        value = f"{command} {ident}" if command else ident
        sent = Sent(self.prefix + topic, self.partition_of(key), key)
        self.send_raw(sent.topic, sent.partition, key, value.encode())
        if expected:
            self.sent[ident] = sent
        return sent

    def send_raw(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Any = None,
    ) -> None:
        self._producer.produce(topic, value, key, partition, headers=headers)
        self._producer.poll(0)

    def send_many(self, count: int, *, first: int = 0, keys: int = 50) -> None:
        for number in range(first, first + count):
            topic = self.config.inputs[number % len(self.config.inputs)].removeprefix(self.prefix)
            self.send(f"e{number}", topic=topic, key=b"k%d" % (number * 7 % keys))
        self.flush()

    def flush(self) -> None:
        assert self._producer.flush(30) == 0

    # -- what is there

    def ends(self, topic: str) -> dict[int, int]:
        consumer = self._consumer()
        try:
            return {
                p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                for p in range(self.partitions)
            }
        finally:
            consumer.close()

    def committed(self) -> dict[tuple[str, int], int]:
        request = ConsumerGroupTopicPartitions(
            self.config.group_id,
            [TopicPartition(t, p) for t in self.config.inputs for p in range(self.partitions)],
        )
        listed = self._group_offsets(request)
        return {(at.topic, at.partition): at.offset for at in listed if at.offset >= 0}

    def _group_offsets(self, request: ConsumerGroupTopicPartitions) -> list[TopicPartition]:
        for _ in range(100):
            future: Any = self.admin.list_consumer_group_offsets([request])[self.config.group_id]
            try:
                offsets: list[TopicPartition] = future.result(10).topic_partitions
            except KafkaException as error:
                # A fresh broker, or one that has just been restarted, is not ready for groups yet.
                if "COORDINATOR" not in str(error):
                    raise
                time.sleep(0.1)
            else:
                return offsets
        raise AssertionError("the group coordinator does not come up")

    def lag(self) -> int:
        committed = self.committed()
        return sum(
            end - committed.get((topic, partition), 0)
            for topic in self.config.inputs
            for partition, end in self.ends(topic).items()
        )

    def wait_until_applied(self, within: float = 40) -> None:
        wait_until(
            lambda: self.lag() == 0 or not any(worker.running for worker in self.workers),
            within,
            lambda: f"lag {self.lag()}; " + "\n".join(w.log()[-1500:] for w in self.workers[-2:]),
            every=0.1,
        )

    def read(self, topic: str) -> Iterator[Any]:
        """Read a topic read_committed from its start to its end."""
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, p, 0) for p in range(self.partitions)])
            ended: set[int] = set()
            while len(ended) < self.partitions:
                message: Any = consumer.poll(20)
                assert message is not None, f"{topic} does not end: an open transaction?"
                if message.error() is None:
                    yield message
                elif message.error().name() == "_PARTITION_EOF":
                    ended.add(message.partition())
                else:
                    raise RuntimeError(message.error())
        finally:
            consumer.close()

    def positions(self) -> dict[int, PositionsRow]:
        rows = {}
        for message in self.read(self.config.positions):
            rows[message.partition()] = decode_positions(message.value())
        return rows

    def journal(self) -> dict[int, list[JournalRecord]]:
        records = defaultdict(list)
        for message in self.read(self.config.journal):
            records[message.partition()].append(decode_journal(message.value()))
        return records

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "harness",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
        )

    # -- judgement

    def verdict(self) -> Verdict:
        """Judge everything that was sent with `expected`; offsets first, outputs afterwards."""
        verdict = Verdict()
        verdict.check("lag", [self.lag()] if self.lag() else [])
        seen: Counter[str] = Counter()
        last: dict[bytes, int] = {}
        wrong = []
        for message in self.read(self.config.output):
            value = orjson.loads(message.value())
            seen[value["id"]] += 1
            if value["n"] != last.get(message.key(), 0) + 1:
                wrong.append((message.key(), last.get(message.key()), value["n"]))
            last[message.key()] = value["n"]
        verdict.outputs = seen.total()
        verdict.check("missing", self.sent.keys() - seen.keys())
        verdict.check("not sent", seen.keys() - self.sent.keys())
        verdict.check("twice", [ident for ident, times in seen.items() if times > 1])
        verdict.check("sequences with gaps", wrong)
        rows: dict[bytes, int] = {}
        for message in self.read(self.config.changelogs["counts"]):
            rows[message.key()] = int(message.value())
        verdict.check("wrong rows", [key for key, n in last.items() if rows.get(key) != n])
        self._check_journal(verdict)
        return verdict

    def _check_journal(self, verdict: Verdict) -> None:
        """Check that the journal covers every offset once, and that positions and group agree."""
        committed = self.committed()
        reached: dict[tuple[str, int], int] = {}
        holes = []
        for partition, records in self.journal().items():
            for record in records:
                for run in [*record.runs, *record.lost]:
                    at = (run.topic, partition)
                    if run.first != reached.get(at, 0):
                        holes.append((run, reached.get(at, 0)))
                    reached[at] = run.next
        verdict.check("holes in the journal", holes)
        verdict.check("journal ends", [at for at in reached if reached[at] != committed.get(at)])
        for partition, row in self.positions().items():
            differing = [
                (topic, at)
                for topic, at in row.offsets.items()
                if committed.get((topic, partition)) != at
            ]
            verdict.check(f"positions of {partition}", differing)


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
