"""`orderhalt replay`: what would have been halted, from files of records and with no broker."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from processor.replay import Rejected, Replay, Summary
from processor.rules.forgetting import DAY_MS, Retention
from schemas.halted import Emission
from schemas.reasons import PRECEDENCE

# Big enough that a look at the progress bar costs nothing.
_CHUNK_LINES = 10_000

EXAMPLE = """
\b
Example:
  orderhalt simulate --events 10000 --output events.jsonl
  orderhalt replay events.jsonl --output halts.jsonl
\b
Each line is a JSON object:
  topic      an input topic, without prefix
  value      the event; a string stands for the record's text as it is
  key        default: the value's studio_id
  timestamp  of the record, in ms; default: occurred_at
  partition  default: 0
  offset     default: the number of the line, from 0
\b
Exit code 0 also where lines were rejected; 2 for wrong usage.
"""


@click.command(name="replay", epilog=EXAMPLE)
@click.argument("files", nargs=-1, required=True, type=click.File("rb"), metavar="FILE...")
@click.option(
    "--output",
    "-o",
    type=click.File("wb"),
    default="-",
    envvar="ORDERHALT_OUTPUT",
    help="Where the values of order-halted go, one a line; default: stdout.",
)
@click.option(
    "--rejected",
    type=click.File("wb"),
    envvar="ORDERHALT_REJECTED",
    help="Where rejected lines go, with code and message; default: stderr.",
)
@click.option(
    "--topic-prefix",
    default="",
    envvar="ORDERHALT_TOPIC_PREFIX",
    help="The prefix of the deployment, as its records name it.",
)
@click.option(
    "--partitions",
    type=click.IntRange(1),
    envvar="ORDERHALT_PARTITIONS",
    help="Reject studios in another partition than Kafka's default partitioner chooses of so many.",
)
@click.option(
    "--closed-retention-days",
    type=click.FloatRange(0, min_open=True),
    default=7,
    show_default=True,
    envvar="ORDERHALT_CLOSED_RETENTION_DAYS",
    help="After so long a closed order is forgotten.",
)
@click.option(
    "--asset-retention-days",
    type=click.FloatRange(0, min_open=True),
    default=90,
    show_default=True,
    envvar="ORDERHALT_ASSET_RETENTION_DAYS",
    help="After so long the deletion of an asset is forgotten.",
)
@click.option(
    "--forgotten-retention-days",
    type=click.FloatRange(0, min_open=True),
    default=400,
    show_default=True,
    envvar="ORDERHALT_FORGOTTEN_RETENTION_DAYS",
    help="For so long a forgotten order does not reopen.",
)
def command(
    files: tuple[BinaryIO, ...],
    output: BinaryIO,
    rejected: BinaryIO | None,
    topic_prefix: str,
    partitions: int | None,
    closed_retention_days: float,
    asset_retention_days: float,
    forgotten_retention_days: float,
) -> None:
    """Judge the records of FILES (- is stdin), in their order and by the rules of the worker.

    Writes the values of order-halted as JSON Lines, tombstones left out, and a summary to stderr.
    """

    def emit(emission: Emission) -> None:
        if emission.value is not None:
            output.write(emission.value + b"\n")

    def reject(line: Rejected) -> None:
        text = msgspec.json.encode(line)
        if rejected is None:
            click.echo(text, err=True)
        else:
            rejected.write(text + b"\n")

    replay = Replay(
        topic_prefix=topic_prefix,
        partitions=partitions,
        retention=Retention(
            int(closed_retention_days * DAY_MS),
            int(asset_retention_days * DAY_MS),
            int(forgotten_retention_days * DAY_MS),
        ),
        emit=emit,
        reject=reject,
    )
    # The state has no cycles, and looking for them in it would take most of the time.
    gc.disable()
    console = Console(stderr=True)
    with ExitStack() as stack:
        for chunk in _chunks(files, console, stack):
            replay.feed(chunk)
    output.flush()
    _print_summary(replay.summary, console)


def _chunks(
    files: tuple[BinaryIO, ...], console: Console, stack: ExitStack
) -> Iterator[list[bytes]]:
    """Give the lines of all files in lists, with a progress bar where somebody looks at it."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    stack.enter_context(progress)
    for file in files:
        task = progress.add_task(getattr(file, "name", "stdin"), total=_size(file))
        while chunk := _lines(file):
            yield chunk
            progress.advance(task, sum(map(len, chunk)))


def _lines(file: BinaryIO) -> list[bytes]:
    lines = []
    for line in file:
        lines.append(line)
        if len(lines) == _CHUNK_LINES:
            break
    return lines


def _size(file: IO[bytes]) -> int | None:
    if not file.seekable():
        return None
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here


def _print_summary(summary: Summary, console: Console) -> None:
    table = Table(title="Halted orders by primary reason", title_justify="left")
    table.add_column("reason")
    table.add_column("opened", justify="right")
    table.add_column("halted now", justify="right")
    now = list(summary.halted.values())
    for code in PRECEDENCE:
        table.add_row(code, str(summary.opened_reasons[code]), str(now.count(code)))
    table.add_row("all", str(summary.opened_reasons.total()), str(len(now)))
    console.print(table)
    changes = ", ".join(f"{n} {change}" for change, n in sorted(summary.changes.items())) or "none"
    console.print(f"{summary.lines} lines; records: {changes}", highlight=False)
    if summary.rejected:
        rejected = ", ".join(f"{n} {code}" for code, n in sorted(summary.rejected.items()))
        console.print(f"rejected: {rejected}", highlight=False)
