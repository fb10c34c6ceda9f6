"""Take a state as it is for the start of later verifications, where it can be replayed no more.

Nothing is verified by that: the changelogs, the positions row and the last records of order-halted
are believed. What comes after is judged from there.
"""

from __future__ import annotations

from processor.rules.changes import ChangedRow
from processor.verify.logs import digest
from processor.verify.plan import Plan
from processor.verify.sequences import sequence_of
from processor.verify.snapshot import PartitionSnapshot
from processor.verify.streams import Bounds, Source
from schemas import private
from schemas.errors import StateRefused


async def take_state(plan: Plan, source: Source, partition: int) -> PartitionSnapshot:
    """Read the state of one partition; raises StateRefused where workers commit meanwhile."""
    before = await source.bounds(partition)
    row, committed_ms = await _positions(plan, source, partition, before)
    rows: list[ChangedRow] = []
    for table, topic in plan.changelogs.items():
        kept: dict[bytes, bytes] = {}
        async for batch in source.read(topic, partition, before.starts[topic], before.ends[topic]):
            for record in batch:
                key = record.key or b""
                kept.pop(key, None)
                if record.value is not None:
                    kept[key] = record.value
        rows += [(table, key, value) for key, value in kept.items()]
    halts = await _halts(plan.output, source, partition, before)
    after = await source.bounds(partition)
    if after.ends[plan.positions] != before.ends[plan.positions]:
        raise StateRefused(
            f"Partition {partition}: workers have committed while the state was read, so that it is "
            "of no single moment.\nStop the workers, or try again when nothing comes in."
        )
    topics = (plan.journal, plan.positions, *plan.outputs)
    return PartitionSnapshot(
        row.number,
        committed_ms,
        row.checkpoint,
        dict(row.offsets),
        {topic: before.ends[topic] for topic in topics},
        rows,
        halts,
    )


async def _positions(
    plan: Plan, source: Source, partition: int, bounds: Bounds
) -> tuple[private.PositionsRow, int]:
    topic = plan.positions
    last = None
    async for batch in source.read(topic, partition, bounds.starts[topic], bounds.ends[topic]):
        last = batch[-1]
    if last is None:
        # Nothing was ever applied: verifications may start at the beginning.
        return private.PositionsRow(private.POSITIONS_FORMAT, 0, {}, None, {}), 0
    return private.decode_positions(last.value or b""), last.timestamp


async def _halts(
    topic: str, source: Source, partition: int, bounds: Bounds
) -> dict[bytes, tuple[bytes, int]]:
    halts: dict[bytes, tuple[bytes, int]] = {}
    async for batch in source.read(topic, partition, bounds.starts[topic], bounds.ends[topic]):
        for record in batch:
            key = record.key or b""
            if record.value is None:
                halts.pop(key, None)
            else:
                said = digest(record.value, record.headers)
                halts[key] = said, sequence_of(record.value)
    return halts
