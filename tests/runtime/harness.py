"""Start workers as processes, feed them, and judge what they did with an independent client.

Everything that reads or writes Kafka here is librdkafka, so that no mistake of aiokafka, which the
workers use, can hide itself.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    OffsetSpec,
    ResourceType,
)

from schemas.private import JournalRecord, PositionsRow, decode_journal, decode_positions
from tests.runtime.toyapp import toy_config
from tests.support.processes import ROOT, Worker, patiently, wait_until

MEBIBYTE = 1 << 20


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
            {
                "bootstrap.servers": servers,
                "linger.ms": 5,
                "message.max.bytes": 8 * MEBIBYTE,
                "enable.idempotence": True,
            }
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
            ["-m", os.environ.get("TOY_MODULE", "tests.runtime.toyapp")],
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
        latest = {TopicPartition(topic, p): OffsetSpec.latest() for p in range(self.partitions)}

        def ask() -> dict[int, int]:
            found = self.admin.list_offsets(latest)
            return {at.partition: future.result(10).offset for at, future in found.items()}

        return patiently(ask)

    def committed(self) -> dict[tuple[str, int], int]:
        request = ConsumerGroupTopicPartitions(
            self.config.group_id,
            [TopicPartition(t, p) for t in self.config.inputs for p in range(self.partitions)],
        )
        listed = self._group_offsets(request)
        return {(at.topic, at.partition): at.offset for at in listed if at.offset >= 0}

    def _group_offsets(self, request: ConsumerGroupTopicPartitions) -> list[TopicPartition]:
        def ask() -> list[TopicPartition]:
            future: Any = self.admin.list_consumer_group_offsets([request])[self.config.group_id]
            offsets: list[TopicPartition] = future.result(10).topic_partitions
            return offsets

        return patiently(ask)

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
