"""Open the replay of one partition: from the beginning of its journal, or from a snapshot."""

from __future__ import annotations

from processor.verify.findings import Findings
from processor.verify.plan import Plan
from processor.verify.replay import Origin, Replay, gone
from processor.verify.snapshot import PartitionSnapshot, resume
from processor.verify.streams import Bounds, Source, open_stream
from schemas.errors import StateRefused


async def open_replay(
    plan: Plan,
    source: Source,
    partition: int,
    bounds: Bounds,
    snapshot: PartitionSnapshot | None,
    findings: Findings,
) -> Replay:
    """Make the machine, fill it, and open what it needs; raises InputsGone, StateRefused."""
    machine = plan.create_machine(partition)
    origin = Origin() if snapshot is None else resume(machine, snapshot)
    wanted = 0 if snapshot is None else snapshot.next[plan.journal]
    _check_journal(plan.journal, partition, bounds, wanted)
    inputs = {
        topic: await open_stream(source, topic, partition, origin.reached.get(topic, 0), bounds)
        for topic in plan.inputs
    }
    return Replay(
        machine,
        origin,
        bounds,
        await open_stream(source, plan.journal, partition, wanted, bounds),
        inputs,
        findings,
        rejected_limit_bytes=plan.rejected_limit_bytes,
    )


def _check_journal(journal: str, partition: int, bounds: Bounds, wanted: int) -> None:
    start, end = bounds.starts[journal], bounds.ends[journal]
    if start > wanted:
        raise gone(partition, journal, wanted, start)
    if end < wanted:
        raise StateRefused(
            f"Partition {partition}: {journal} ends at offset {end}, and the snapshot was taken at "
            f"{wanted}: the topics were made anew since.\nDo without that snapshot."
        )
