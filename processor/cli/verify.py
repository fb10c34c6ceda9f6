"""`orderhalt verify`: is everything that was written what the inputs demand?"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.text import Text

from processor.cli import exits, options
from processor.cli.progress import Report, reading
from processor.cli.running import run
from processor.cli.terminal import console, until_the_reader_has_enough
from processor.config import Settings
from processor.verify.deployment import counted, take, verify
from processor.verify.findings import Finding
from processor.verify.kafka import open_source, plan_for
from processor.verify.partition import PartitionResult
from processor.verify.plan import Plan

EPILOG: Final = """
\b
Examples:
  orderhalt verify
  orderhalt verify --write-snapshot monday.snapshot
  orderhalt verify --snapshot monday.snapshot --write-snapshot tuesday.snapshot
  orderhalt verify --partition 3 --json | jq '.partitions[].findings'
  orderhalt verify --take-state --write-snapshot today.snapshot
\b
Give it the configuration of the workers: prefix, group, retention, any_partitioner. Workers may run
meanwhile; what they commit after we looked is left for the next time. It reads all inputs and all that
was written, one partition at a time, and takes the memory of a worker that owns one partition.
\b
Exit codes: 0 everything is as it must be; 4 something is not, each difference with its place;
78 it cannot be judged (inputs are gone and there is no snapshot, another version of the rules); others
as in `orderhalt --help`.
"""


class Verdict(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    clean: bool
    partitions: tuple[PartitionResult, ...]
    snapshot: str | None
    """The snapshot that was written."""


@click.command(name="verify", epilog=EPILOG)
@click.option(
    "--partition",
    "partitions",
    type=click.IntRange(min=0),
    multiple=True,
    help="Only this partition; may be given several times.",
)
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Start where a former verification ended, instead of at the beginning.",
)
@click.option(
    "--write-snapshot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep where this one ends, if nothing is found, for a later --snapshot.",
)
@click.option(
    "--take-state",
    is_flag=True,
    help="Verify nothing: write a snapshot of the state as it is, for verifications from now on.",
)
@options.as_json
@options.kafka
@options.group_id
@options.any_partitioner
@options.retention
def command(
    partitions: tuple[int, ...],
    snapshot: Path | None,
    write_snapshot: Path | None,
    take_state: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Check that everything was applied and published exactly once, and nothing else.

    Replays the inputs in the order of the journal through the rules and compares, byte for byte:
    order-halted, orderhalt-rejected, the changelogs; and the positions with the consumer group's.
    """
    settings = options.settings(**given)
    if take_state:
        _take(settings, partitions, snapshot, write_snapshot, as_json=as_json)
        return
    # The state has no cycles, and looking for them in it would take most of the time.
    gc.disable()
    with reading("Verifying") as progress:
        results = run(_verify(settings, partitions, snapshot, write_snapshot, progress))
    clean = not any(result.finding_count for result in results)
    written = str(write_snapshot) if clean and write_snapshot is not None else None
    with until_the_reader_has_enough():
        if as_json:
            verdict = Verdict(clean, tuple(results), written)
            click.echo(msgspec.json.format(msgspec.json.encode(verdict), indent=2))
        else:
            screen = console()
            for line in _tell(results, written, write_snapshot):
                screen.print(line)
    if not clean:
        raise SystemExit(exits.DIFFERENT)


class Taken(msgspec.Struct, frozen=True):
    """What `--json` writes of a state that was taken."""

    taken: tuple[int, ...]
    """Partitions."""
    snapshot: str


def _take(
    settings: Settings,
    wanted: Sequence[int],
    snapshot: Path | None,
    path: Path | None,
    *,
    as_json: bool,
) -> None:
    if path is None or snapshot is not None:
        raise click.UsageError("--take-state needs --write-snapshot, and starts from no snapshot.")

    async def taking() -> Sequence[int]:
        plan = await plan_for(settings)
        partitions = _partitions(plan, wanted)
        async with open_source(settings) as source:
            await take(plan, source, partitions, path)
        return partitions

    taken = Taken(tuple(run(taking())), str(path))
    if as_json:
        click.echo(msgspec.json.encode(taken).decode())
    else:
        click.echo(
            f"The state of {len(taken.taken)} partitions was taken as it is, and not verified. What "
            f"comes from now on is: `orderhalt verify --snapshot {path}`"
        )


def _partitions(plan: Plan, wanted: Sequence[int]) -> Sequence[int]:
    partitions = sorted(set(wanted)) or range(plan.partitions)
    if partitions[-1] >= plan.partitions:
        raise click.UsageError(
            f"There are partitions 0 to {plan.partitions - 1}, and no {partitions[-1]}."
        )
    return partitions


async def _verify(
    settings: Settings,
    wanted: Sequence[int],
    snapshot: Path | None,
    write_snapshot: Path | None,
    progress: Report,
) -> list[PartitionResult]:
    plan = await plan_for(settings)
    partitions = _partitions(plan, wanted)
    async with open_source(settings) as source:
        advance = counted(progress, await source.input_offsets(partitions))
        return await verify(
            plan,
            source,
            partitions,
            snapshot=snapshot,
            write_snapshot=write_snapshot,
            advance=advance,
        )


def _tell(
    results: Sequence[PartitionResult], written: str | None, wanted: Path | None
) -> Iterator[Text]:
    for result in results:
        yield _headline(result)
        for finding in result.findings:
            yield from _finding(finding)
        more = result.finding_count - len(result.findings)
        if more:
            yield Text(f"    … and {more:,} more, most likely because of these")
        for note in _notes(result):
            yield Text(f"    {note}", style="dim")
    count = sum(result.finding_count for result in results)
    transactions = sum(result.transactions for result in results)
    applied = sum(result.applied for result in results)
    scope = f"{len(results)} partition{'s' if len(results) != 1 else ''}, {transactions:,} transactions, {applied:,} input records"
    if count:
        yield Text(f"{scope}: {_differences(count)}", style="bold red")
        if wanted is not None:
            yield Text(f"{wanted} was not written.")
        return
    yield Text(f"{scope}: everything is as it must be", style="green")
    if written is not None:
        yield Text(f"Where it ended is kept in {written}: `orderhalt verify --snapshot {written}`")


def _headline(result: PartitionResult) -> Text:
    since = f" after transaction {result.from_transaction}" if result.from_transaction else ""
    line = Text(f"Partition {result.partition}{since}: ")
    if result.finding_count:
        line.append(_differences(result.finding_count), style="bold red")
    else:
        line.append("as it must be", style="green")
    return line.append(
        f"; {result.transactions:,} transactions up to {result.to_transaction}, {result.applied:,} "
        f"input records, {result.halts:,} of order-halted, {result.rejected:,} rejected"
    )


def _differences(count: int) -> str:
    return "1 difference" if count == 1 else f"{count:,} differences"


def _finding(finding: Finding) -> Iterator[Text]:
    place = f"{finding.topic} partition {finding.partition}"
    if finding.offset is not None:
        place += f" offset {finding.offset}"
    at = "" if finding.transaction is None else f" (transaction {finding.transaction})"
    yield Text(f"  {place}{at}: ", style="red").append(f"[{finding.check}]", style="bold")
    yield Text(f"    {finding.message}")


def _notes(result: PartitionResult) -> Iterator[str]:
    """Say what was not compared, and what a reader may want to know besides."""
    if result.next_rules is not None:
        yield (
            f"judged up to where another release took over (rules version {result.next_rules}): go on "
            "with that one and the snapshot"
        )
    if result.waiting:
        yield f"input offsets not applied yet when we looked: {result.waiting:,}"
    if result.without_record:
        yield (
            f"applied offsets without a record: {result.without_record:,} (control records and aborted "
            "ones, if producers of the inputs use transactions)"
        )
    if result.quarantined:
        yield f"records set aside by hand (orderhalt skip): {result.quarantined:,}"
    if result.lost:
        yield f"offsets given up as lost by hand (orderhalt skip --lost): {result.lost:,}"
    if result.halts_compacted or result.rows_compacted:
        yield (
            f"compacted away, and so not compared: {result.halts_compacted:,} records of order-halted,"
            f" {result.rows_compacted:,} rows; a later one of each key is there"
        )
    if result.rejected_expired:
        yield f"rejected records that have expired, and so were not compared: {result.rejected_expired:,}"
