"""The state of one partition as it was at a time: its journal replayed up to there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from processor.rules.machine import Machine
from processor.verify.begin import open_replay
from processor.verify.findings import Findings
from processor.verify.plan import Plan
from processor.verify.replay import Broken
from processor.verify.snapshot import PartitionSnapshot
from processor.verify.streams import Source
from schemas.errors import StateRefused
from schemas.instants import format_instant


@dataclass(frozen=True, slots=True)
class Past:
    """What a partition was."""

    machine: Machine
    number: int
    """Of the last transaction committed by then; 0: none was."""
    committed_ms: int


async def state_at(
    plan: Plan,
    source: Source,
    partition: int,
    until_ms: int,
    snapshot: PartitionSnapshot | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Past:
    """Replay all transactions before the first one that was committed after `until_ms`.

    The time of a commit is the timestamp of its journal record: the broker's clock. Raises InputsGone
    or OtherRules, and StateRefused where the journal does not hold together.
    """
    if snapshot is not None and snapshot.committed_ms > until_ms:
        raise StateRefused(
            f"The snapshot was taken at {format_instant(snapshot.committed_ms * 1000)}, after the time "
            "that was asked for.\nName an older snapshot, or none."
        )
    bounds = await source.bounds(partition)
    findings = Findings(partition)
    replay = await open_replay(plan, source, partition, bounds, snapshot, findings)
    try:
        while await replay.upcoming() is not None:
            head = replay.journal.head
            if head is None or head.timestamp > until_ms:
                break
            before = sum(replay.reached.values())
            await replay.next()
            advance(sum(replay.reached.values()) - before)
    except Broken:
        pass  # The last of the findings says why.
    if findings.kept:
        first = findings.kept[0]
        raise StateRefused(
            f"The journal of partition {partition} cannot be replayed: {first.topic} offset "
            f"{first.offset}: {first.message}.\n`orderhalt verify` lists all that is wrong."
        )
    return Past(replay.machine, replay.number, replay.committed_ms)
