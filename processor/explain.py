"""Ask a deployment about one order: its state from the changelogs, its cause from `order-halted`."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import msgspec

from processor.config import Settings
from processor.haltsearch import Place, find_last
from processor.replica import Progress, Replica, open_replica, partition_count, partitions_of
from processor.rules.inquiry import Answer, State, inquire
from processor.rules.records import order_key
from schemas.halted import CausedBy

#: A transaction that was there by half is whole after so long; longer is no matter of time.
_SETTLES_WITHIN_SECONDS: Final = 5.0
_ASK_AGAIN_SECONDS: Final = 0.1


class Announcement(msgspec.Struct, frozen=True):
    """What the last record of the order on `order-halted` says, and which event caused it."""

    topic: str
    partition: int
    offset: int
    sequence: int
    change: str
    status: str
    occurred_at: str
    caused_by: CausedBy


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said about an order."""

    answer: Answer
    partition: int
    """In which everything about its studio is."""
    announcement: Announcement | None
    """None where it was never halted, or was forgotten."""


async def explain(
    settings: Settings, studio_id: str, order_id: str, progress: Progress | None = None
) -> Explanation:
    """Read the studio's partition and tell; raises TopicsMissing, StateRefused, KafkaUnavailable."""
    count = await partition_count(settings)
    partitions = partitions_of(settings, studio_id, count)
    async with open_replica(settings, partitions) as replica:
        await replica.read_to_end(progress)
        partition, answer = _ask(replica, studio_id, order_id)
        deadline = time.monotonic() + _SETTLES_WITHIN_SECONDS
        while answer.unsettled and time.monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            await replica.read_to_end()
            partition, answer = _ask(replica, studio_id, order_id)
    announcement = None
    if answer.last_halt is not None:
        key = order_key(studio_id, order_id)
        found = await find_last(settings, partition, key, progress)
        announcement = None if found is None else _announcement(found)
    return Explanation(answer, partition, announcement)


def _ask(replica: Replica, studio_id: str, order_id: str) -> tuple[int, Answer]:
    """Ask the partitions in which the studio may be, until one knows the order."""
    asked = [
        (number, inquire(machine, studio_id, order_id))
        for number, machine in replica.machines.items()
    ]
    known = [(number, answer) for number, answer in asked if answer.state is not State.UNKNOWN]
    return (known or asked)[0]


class _Said(msgspec.Struct):
    """The fields of a record that are looked at; codes stay as they are, their sets are open."""

    sequence: int
    change: str
    status: str
    occurred_at: str
    caused_by: CausedBy


def _announcement(place: Place) -> Announcement:
    said = msgspec.json.decode(place.value, type=_Said)
    return Announcement(
        place.topic,
        place.partition,
        place.offset,
        said.sequence,
        said.change,
        said.status,
        said.occurred_at,
        said.caused_by,
    )
