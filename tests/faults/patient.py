"""A small deployment of `orderhalt worker` that is damaged, refused and mended."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from schemas import topics
from tests.broker.fleet import Fleet, Item
from tests.broker.verifier import verify
from tests.support.processes import ROOT, Worker, wait_until

_RECORDS = 400
_STILL_THERE = ("NON_EMPTY_GROUP", "UNKNOWN_MEMBER", "COORDINATOR")


class Patient:
    """Its topics, its one worker, and the records that it still gets."""

    def __init__(
        self, servers: str, prefix: str, directory: Path, items: list[Item], partitions: int
    ) -> None:
        self.servers, self.prefix = servers, prefix
        self.fleet = Fleet(servers, prefix, directory, partitions=partitions)
        self.view = self.fleet.view
        self.sent = 0
        self._items = iter(items)
        self._partitions = partitions
        self._directory = directory
        self._admin = AdminClient({"bootstrap.servers": servers})
        self._snapshot: Path | None = None

    # -- work

    def records(self) -> list[Item]:
        """Take the next of its records."""
        return list(islice(self._items, _RECORDS))

    def send(self, records: list[Item]) -> None:
        with self.fleet.load(records, per_second=1e6):
            pass
        self.sent += len(records)

    def start(self, name: str = "w0") -> Worker:
        """Start the worker; a second process of it has the same instance id."""
        return self.fleet.start(name, instance_id="w0")

    def last_words(self, worker: Worker, code: int, *words: str) -> str:
        """Wait until a worker ends with that code and says these words, and what to do; give them."""
        assert worker.wait(60) == code, worker.log()[-3000:]
        last = json.loads(worker.log().splitlines()[-1])
        said = f"{last['event']}\nwhat to do: {last.get('what_to_do')}"
        for word in (*words, "what to do: "):
            assert word in said, said
        return said

    def run(self, records: list[Item]) -> None:
        """Let the worker apply these and what waits, and end it."""
        self.send(records)
        worker = self.start()
        self.wait_until_applied()
        assert worker.terminate() == 0, worker.log()[-2000:]

    def wait_until_applied(self) -> None:
        """Wait for lag 0. Whoever ends meanwhile is not started again."""
        wait_until(lambda: self.view.lag() == 0, 90, self.fleet.log_tails, every=0.2)

    def end(self) -> None:
        self.fleet.end()

    # -- commands of ours

    def command(self, *arguments: str) -> str:
        """Run `orderhalt …` with the deployment's environment."""
        done = subprocess.run(
            [sys.executable, "-m", "processor.cli", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
            env={
                **os.environ,
                "ORDERHALT_BOOTSTRAP_SERVERS": self.servers,
                "ORDERHALT_TOPIC_PREFIX": self.prefix,
            },
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def command_in(self, said: str, begins: str) -> None:
        """Run the command of ours that last words name, as it stands there."""
        line = said[said.index(f"orderhalt {begins}") :].splitlines()[0]
        self.command(*shlex.split(line.split("`")[0].rstrip("."))[1:])

    # -- what is done to it

    def delete(self, topic: topics.Topic) -> None:
        name = self.view.name(topic)
        self._admin.delete_topics([name])[name].result(20)
        wait_until(lambda: name not in self._admin.list_topics(timeout=20).topics, 20)

    def set_config(self, topic: topics.Topic, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(
            ResourceType.TOPIC, self.view.name(topic), incremental_configs=[entry]
        )
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(20)

    def add_partitions(self, topic: topics.Topic) -> None:
        name = self.view.name(topic)
        wanted = NewPartitions(name, self._partitions + 1)
        self._admin.create_partitions([wanted])[name].result(20)

    def delete_before(self, topic: topics.Topic, offset: int) -> None:
        at = TopicPartition(self.view.name(topic), 0, offset)
        # Right after the policy was altered the broker may not go by it yet.
        wait_until(lambda: self._deleted(at), 30)

    def _deleted(self, at: TopicPartition) -> bool:
        try:
            self._admin.delete_records([at])[at].result(20)
        except KafkaException as error:
            if "POLICY_VIOLATION" not in str(error):
                raise
            return False
        return True

    def truncate_unread(self) -> str:
        """Delete some unread records of an input; give `TOPIC PARTITION OFFSET` of the first."""
        committed, ends = self.view.committed(), self.view.ends()
        topic, partition = max(ends, key=lambda place: ends[place] - committed.get(place, 0))
        first = committed[topic, partition]
        assert ends[topic, partition] >= first + 3
        at = TopicPartition(topic, partition, first + 2)
        self._admin.delete_records([at])[at].result(20)
        return f"{topic} {partition} {first}"

    def set_group_offset(self, offset: int) -> None:
        """Set one of the group's offsets by hand."""
        place = self.view.name(topics.ORDER_PLACED), 0
        request = ConsumerGroupTopicPartitions(self.view.group, [TopicPartition(*place, offset)])

        def done() -> bool:
            # What is refused while the group has a member is said partition by partition.
            self._admin.alter_consumer_group_offsets([request])[self.view.group].result(20)
            return self.view.committed()[place] == offset

        self._once_left(done)

    def delete_group(self) -> None:
        """Delete the group, and with it its offsets."""

        def done() -> bool:
            self._admin.delete_consumer_groups([self.view.group])[self.view.group].result(20)
            return True

        self._once_left(done)

    def _once_left(self, ask: Callable[[], bool]) -> None:
        """Ask until the group has no member: one with an instance id is one until its session ends."""

        def done() -> bool:
            try:
                return ask()
            except KafkaException as error:
                if not any(word in str(error) for word in _STILL_THERE):
                    raise
                return False

        wait_until(done, 30, every=0.3)

    # -- the judges

    def snapshot(self) -> None:
        """Let `orderhalt verify` note where it may begin later."""
        self._snapshot = self._directory / f"{self.prefix}snapshot"
        self.command("verify", "--write-snapshot", str(self._snapshot))

    def judge(self, *, by_model: bool = True) -> list[str]:
        """Ask `orderhalt verify` and, unless inputs are gone, the independent verifier."""
        arguments = [] if self._snapshot is None else ["--snapshot", str(self._snapshot)]
        self.command("verify", *arguments)
        if not by_model:
            return []
        verdict = verify(self.view.gather())
        if verdict.inputs != self.sent:
            verdict.problems.append(f"{self.sent} records sent, {verdict.inputs} applied")
        return verdict.problems
