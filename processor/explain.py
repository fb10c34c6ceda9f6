"""Ask a deployment about one order: its state from the changelogs, its cause from `order-halted`.

Or as of a time: then its state is replayed, from the inputs in the order of the journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from processor.config import Settings
from processor.haltsearch import Place, find_last
from processor.replica import Progress, open_replica, partition_count, partitions_of
from processor.rules.inquiry import Answer, State, inquire
from processor.rules.machine import Machine
from processor.rules.records import order_key
from processor.verify.deployment import counted, opened_snapshot
from processor.verify.kafka import open_source, plan_for
from processor.verify.past import Past, state_at
from schemas.halted import CausedBy
from schemas.instants import format_instant

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


class AsOf(msgspec.Struct, frozen=True):
    """At which time an order was looked at, and what was known by then."""

    time: str
    """The time that was asked for."""
    transaction: int
    """The number of the partition's last transaction that was committed by then; 0: none was."""
    committed_at: str | None
    """When it was, by the clock of the broker that took its journal record."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that can be said about an order."""

    answer: Answer
    partition: int
    """In which everything about its studio is."""
    announcement: Announcement | None
    """None where it was never halted, or was forgotten; as of a time: or its record was compacted."""
    as_of: AsOf | None = None
    """None: as of now."""


async def explain(
    settings: Settings, studio_id: str, order_id: str, progress: Progress | None = None
) -> Explanation:
    """Read the studio's partition and tell; raises TopicsMissing, StateRefused, KafkaUnavailable."""
    count = await partition_count(settings)
    partitions = partitions_of(settings, studio_id, count)
    async with open_replica(settings, partitions) as replica:
        await replica.read_to_end(progress)
        partition, answer = _ask(replica.machines, studio_id, order_id)
        deadline = time.monotonic() + _SETTLES_WITHIN_SECONDS
        while answer.unsettled and time.monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            await replica.read_to_end()
            partition, answer = _ask(replica.machines, studio_id, order_id)
    announcement = None
    if answer.last_halt is not None:
        key = order_key(studio_id, order_id)
        found = await find_last(settings, partition, key, progress)
        announcement = None if found is None else _announcement(found)
    return Explanation(answer, partition, announcement)


async def explain_as_of(
    settings: Settings,
    studio_id: str,
    order_id: str,
    time_us: int,
    snapshot: Path | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Replay the studio's partition up to a time and tell what was known then, and why.

    Raises TopicsMissing, StateRefused (inputs gone, other rules, a snapshot that does not fit) and
    KafkaUnavailable.
    """
    plan = await plan_for(settings)
    partitions = partitions_of(settings, studio_id, plan.partitions)
    past: dict[int, Past] = {}
    with opened_snapshot(plan, snapshot) as reader:
        async with open_source(settings) as source:
            advance = counted(progress, await source.input_offsets(partitions))
            for number in partitions:
                kept = None if reader is None else reader.read(number)
                until_ms = time_us // 1000
                past[number] = await state_at(plan, source, number, until_ms, kept, advance)
    machines = {number: found.machine for number, found in past.items()}
    partition, answer = _ask(machines, studio_id, order_id)
    found, announcement = past[partition], None
    if answer.last_halt is not None:
        key, sequence = order_key(studio_id, order_id), answer.last_halt.sequence
        record = await find_last(settings, partition, key, progress, sequence=sequence)
        announcement = None if record is None else _announcement(record)
    committed_at = format_instant(found.committed_ms * 1000) if found.number else None
    as_of = AsOf(format_instant(time_us), found.number, committed_at)
    return Explanation(answer, partition, announcement, as_of)


def _ask(machines: Mapping[int, Machine], studio_id: str, order_id: str) -> tuple[int, Answer]:
    """Ask the partitions in which the studio may be, until one knows the order."""
    asked = [
        (number, inquire(machine, studio_id, order_id)) for number, machine in machines.items()
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
