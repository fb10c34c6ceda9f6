"""Verify the partitions of a deployment, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from processor.verify.partition import PartitionResult, PartitionVerifier
from processor.verify.plan import Plan
from processor.verify.replay import OtherRules
from processor.verify.snapshot import SNAPSHOT_FORMAT, About, SnapshotReader, SnapshotWriter
from processor.verify.streams import Source
from processor.verify.taking import take_state

#: Told how many input offsets have been replayed since the last call.
Advance = Callable[[int], None]


async def verify(
    plan: Plan,
    source: Source,
    partitions: Iterable[int],
    *,
    snapshot: Path | None = None,
    write_snapshot: Path | None = None,
    advance: Advance = lambda _: None,
) -> list[PartitionResult]:
    """Verify; the snapshot is written only where nothing was found.

    Raises StateRefused where something cannot be judged: inputs gone, other rules, another
    deployment's snapshot.
    """
    results = []
    other_rules: OtherRules | None = None
    with (
        opened_snapshot(plan, snapshot) as reader,
        _writing(plan, write_snapshot, verified=reader is None or reader.about.verified) as writer,
    ):
        for partition in partitions:
            verifier = PartitionVerifier(
                plan,
                source,
                partition,
                snapshot=None if reader is None else reader.read(partition),
                keep=None if writer is None else writer.add,
                advance=advance,
            )
            results.append(await verifier.run())
            other_rules = other_rules or verifier.other_rules
        if other_rules is not None and not any(result.transactions for result in results):
            # Nothing could be judged: a snapshot that is none the newer would only hide it.
            raise other_rules
        if writer is not None and not any(result.finding_count for result in results):
            writer.commit()
    return results


async def take(plan: Plan, source: Source, partitions: Iterable[int], write_snapshot: Path) -> None:
    """Write a snapshot of the state as it is, which nobody has verified; raises StateRefused."""
    with _writing(plan, write_snapshot, verified=False) as writer:
        assert writer is not None, "a path was given"
        for partition in partitions:
            writer.add(partition, await take_state(plan, source, partition))
        writer.commit()


@contextmanager
def opened_snapshot(plan: Plan, path: Path | None) -> Iterator[SnapshotReader | None]:
    """Open a snapshot of this deployment, if one is named; raises StateRefused."""
    if path is None:
        yield None
        return
    with SnapshotReader(path) as reader:
        reader.check(plan.group, plan.topic_prefix, plan.partitions)
        yield reader


@contextmanager
def _writing(plan: Plan, path: Path | None, *, verified: bool) -> Iterator[SnapshotWriter | None]:
    """Leave nothing behind unless the writer has committed."""
    if path is None:
        yield None
        return
    about = About(SNAPSHOT_FORMAT, plan.group, plan.topic_prefix, plan.partitions, verified)
    writer = SnapshotWriter(path, about)
    try:
        yield writer
    finally:
        writer.drop()


def counted(progress: Callable[[int, int], None] | None, total: int) -> Advance:
    """Add up what is told, for whoever shows how much of `total` is done."""
    done = 0

    def advance(offsets: int) -> None:
        nonlocal done
        done += offsets
        if progress is not None:
            progress(min(done, total), total)

    return advance
