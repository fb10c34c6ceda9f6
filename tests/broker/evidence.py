"""Gather what a deployment was given and what it made of it, with a client that it does not use.

Everything is read read_committed with librdkafka; workers use aiokafka.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from schemas import topics
from schemas.private import JournalRecord, PositionsRow, decode_journal, decode_positions
from tests.support.processes import patiently

_BATCH = 2_000
_WAIT_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0

Headers = tuple[tuple[str, bytes | None], ...]
Place = tuple[str, int]
"""(topic, partition)"""


class Message(NamedTuple):
    """One record of a topic, byte for byte."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class Evidence:
    """All inputs and outputs of a deployment; topics with their prefix."""

    prefix: str
    partitions: int
    committed: dict[Place, int]
    """The group's offsets, read before anything else: a worker that catches up is not loss."""
    inputs: dict[Place, list[Message]] = field(default_factory=dict)
    ends: dict[Place, int] = field(default_factory=dict)
    journal: dict[int, list[JournalRecord]] = field(default_factory=dict)
    positions: dict[int, PositionsRow] = field(default_factory=dict)
    halted: dict[int, list[Message]] = field(default_factory=dict)
    rejected: dict[int, list[Message]] = field(default_factory=dict)


class View:
    """Looks at the topics and the group of one deployment."""

    def __init__(self, servers: str, prefix: str, partitions: int, group: str) -> None:
        self.servers = servers
        self.prefix = prefix
        self.partitions = partitions
        self.group = group
        self.inputs = [topics.prefixed(topic, prefix) for topic in topics.INPUTS]
        # Asks only, and never joins the group. Not an AdminClient: while librdkafka 2.16 destroys one
        # that has asked for a group's offsets, it may hang.
        self._group = Consumer(
            {"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False}
            | {"isolation.level": "read_uncommitted"}
            # Otherwise it asks a leader that is dead for five minutes.
            | {"topic.metadata.refresh.interval.ms": 2_000}
        )

    def close(self) -> None:
        self._group.close()

    def name(self, topic: topics.Topic) -> str:
        return topics.prefixed(topic, self.prefix)

    def places(self, names: Iterable[str]) -> list[Place]:
        return [(name, partition) for name in names for partition in range(self.partitions)]

    def committed(self) -> dict[Place, int]:
        """Give the group's offsets."""
        places = [TopicPartition(*place) for place in self.places(self.inputs)]
        listed = patiently(lambda: self._group.committed(places, 20))
        return {(at.topic, at.partition): at.offset for at in listed if at.offset >= 0}

    def ends(self) -> dict[Place, int]:
        """Give the ends of the inputs."""
        places = [TopicPartition(*place, OFFSET_END) for place in self.places(self.inputs)]
        listed = patiently(lambda: self._group.offsets_for_times(places, 20))
        return {(at.topic, at.partition): at.offset for at in listed}

    def lag(self) -> int:
        committed = self.committed()
        return sum(end - committed.get(place, 0) for place, end in self.ends().items())

    def applied(self) -> int:
        """Count the offsets of the inputs that are committed."""
        return sum(self.committed().values())

    def gather(self) -> Evidence:
        evidence = Evidence(self.prefix, self.partitions, self.committed())
        evidence.inputs = self._read(self.inputs)
        evidence.ends = self.ends()
        journal, positions = self.name(topics.JOURNAL), self.name(topics.POSITIONS)
        halted, rejected = self.name(topics.ORDER_HALTED), self.name(topics.REJECTED)
        outputs = self._read([journal, positions, halted, rejected])
        for partition in range(self.partitions):
            evidence.journal[partition] = [
                decode_journal(message.value or b"") for message in outputs[journal, partition]
            ]
            if outputs[positions, partition]:
                row = decode_positions(outputs[positions, partition][-1].value or b"")
                evidence.positions[partition] = row
            evidence.halted[partition] = outputs[halted, partition]
            evidence.rejected[partition] = outputs[rejected, partition]
        return evidence

    def _read(self, names: Iterable[str]) -> dict[Place, list[Message]]:
        """Read topics from their starts to where no transaction is open."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "verifier",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
                "fetch.message.max.bytes": 4 << 20,
            }
        )
        places = self.places(names)
        found: dict[Place, list[Message]] = defaultdict(list)
        unfinished = set(places)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            consumer.assign([TopicPartition(*place, 0) for place in places])
            while unfinished:
                batch = consumer.consume(_BATCH, _WAIT_SECONDS)
                if batch:
                    deadline = time.monotonic() + _PATIENCE_SECONDS
                assert time.monotonic() < deadline, f"these do not end: {sorted(unfinished)}"
                for message in batch:
                    _file(message, found, unfinished)
        finally:
            consumer.close()
        return found


def _file(message: Any, found: dict[Place, list[Message]], unfinished: set[Place]) -> None:
    place = (message.topic(), message.partition())
    if message.error() is None:
        found[place].append(_message(message))
    elif message.error().name() == "_PARTITION_EOF":
        unfinished.discard(place)
    else:
        raise RuntimeError(message.error())


def _message(message: Any) -> Message:
    return Message(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
