"""One deployment for all tests of the lane: workers, a story with everything in it, one death."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import pytest

from processor.localkafka import LocalKafka
from schemas.topics import ORDER_HALTED
from tests.broker.evidence import Evidence, Message
from tests.broker.fleet import Fleet, Item
from tests.contract.vocabulary import Event, numbered, placed, record
from tests.golden.make import EVENTS
from tests.model import Record, partition_of
from tests.system import toolbox

PARTITIONS = 4
#: Ids as studios have them, and as nobody hopes.
STUDIOS = ("s1", "studio-7", "ß/2", "Fotostudio Müller & Söhne", "写真館", "100%", "\U0001f4f7")


class Deployment(NamedTuple):
    """Workers that have applied the story, and what a verifier reads of it with librdkafka."""

    fleet: Fleet
    evidence: Evidence

    @property
    def servers(self) -> str:
        return self.fleet.view.servers

    @property
    def halted_topic(self) -> str:
        return self.fleet.view.name(ORDER_HALTED)

    @property
    def halted(self) -> list[Message]:
        """All records of order-halted, by partition and offset."""
        return [message for p in range(PARTITIONS) for message in self.evidence.halted[p]]


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Fail at once, with the remedy, where something is not installed."""
    toolbox.program("kcat")
    toolbox.java_tools()
    toolbox.node("read.js")


def stages() -> list[list[Item]]:
    """Every reason, change and status in every studio, and then orders that are forgotten.

    Topics are read side by side, so whatever has to come in order is a stage of its own.
    """
    a_month_later: list[Event] = [placed("later", at=12), placed("latest", at=13)]
    records = [
        *numbered(EVENTS),
        *(record(x, 900 + n, day=30) for n, x in enumerate(a_month_later)),
    ]
    return [
        [_item(studio, one) for one in alike for studio in STUDIOS]
        for _, alike in groupby(records, key=lambda one: one.topic)
    ]


def _item(studio: str, one: Record) -> Item:
    assert one.value is not None
    fields = json.loads(one.value)
    fields |= {"studio_id": studio, "event_id": f"{fields['event_id']}-{STUDIOS.index(studio)}"}
    key = studio.encode()
    value = json.dumps(fields, ensure_ascii=False).encode()
    return Item(one.topic, partition_of(key, PARTITIONS), one.timestamp, key, value)


@pytest.fixture(scope="session")
def deployment(kafka: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A worker dies in a commit, so that order-halted holds records of a transaction that never was."""
    directory = tmp_path_factory.mktemp("system")
    fleet = Fleet(
        kafka.bootstrap_servers, "sys-", directory, partitions=PARTITIONS, create_time=True
    )

    def send(stage: list[Item]) -> None:
        with fleet.load(stage, per_second=10_000):
            pass

    try:
        fleet.start_ready("w0")
        first, halting, *others = stages()
        send(first)
        fleet.wait_until_applied()
        fleet.die_at({"w0": "before_end@1"}, lambda: send(halting))
        fleet.wait_until_applied()
        for stage in others:
            send(stage)
            fleet.wait_until_applied()
        yield Deployment(fleet, fleet.view.gather())
    finally:
        fleet.end()
