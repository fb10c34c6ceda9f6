"""`orderhalt explain`: is an order halted, since when, why, and what can be done."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import click
import msgspec

from processor.cli import exits, options
from processor.cli.moments import Moment
from processor.cli.progress import reading
from processor.cli.running import run
from processor.cli.telling import tell
from processor.cli.terminal import console, language, until_the_reader_has_enough
from processor.explain import Explanation, explain, explain_as_of
from processor.rules.inquiry import State
from schemas.catalogue import Language

EPILOG = """
\b
Examples:
  orderhalt explain studio-17 A-2045
  orderhalt explain studio-17 A-2045 --lang de
  orderhalt explain studio-17 A-2045 --json | jq .answer.state
  orderhalt explain studio-17 A-2045 --as-of 2026-11-20T14:00:00Z
  orderhalt explain studio-17 A-2045 --as-of 2h
\b
It reads the changelogs of the studio's partition, which takes a while where many orders and deletions
are kept (a bar shows how far it is), and then searches order-halted backwards for what was said last.
It takes nothing away from the workers.
\b
--as-of replays the inputs of the partition instead, in the order of the journal, up to the last
transaction that was committed by then: what a reader of order-halted could know. It takes as long as
the workers took, or starts from a snapshot of `orderhalt verify` that is older than TIME; it needs the
inputs since, and the workers' configuration.
\b
.answer.state is one of: unknown, early, in_flight, halted, cancelled, transferred, forgotten.
Exit codes: 0 the order is known, halted or not; 3 it is unknown; others as in `orderhalt --help`.
"""


@click.command(name="explain", epilog=EPILOG)
@click.argument("studio")
@click.argument("order")
@click.option(
    "--as-of",
    type=Moment(),
    help="What was known at this time, and why: an instant, or how long ago (2h, 7d).",
)
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --as-of: start where `orderhalt verify --write-snapshot` ended.",
)
@language
@options.as_json
@options.kafka
@options.setting(
    "any_partitioner", "Look for the studio in all partitions, not in its own.", is_flag=True
)
@options.group_id
@options.retention
def command(
    studio: str,
    order: str,
    as_of: int | None,
    snapshot: Path | None,
    language: Language,
    as_json: bool,
    **given: Any,
) -> None:
    """Say whether ORDER of STUDIO is halted: why, since when, by which event, what can be done.

    Where it is not, say why not: it is unknown, in flight and fine, closed, or its credit was not
    checked because no balance is known.
    """
    settings = options.settings(**given)
    if snapshot is not None and as_of is None:
        raise click.UsageError("--snapshot is of use with --as-of alone.")
    # The state has no cycles, and looking for them in it would take most of the time.
    gc.disable()
    with reading("Reading the state" if as_of is None else "Replaying") as progress:
        if as_of is None:
            explanation = run(explain(settings, studio, order, progress))
        else:
            explanation = run(explain_as_of(settings, studio, order, as_of, snapshot, progress))
    with until_the_reader_has_enough():
        _write(explanation, language, as_json=as_json)
    if explanation.answer.state is State.UNKNOWN:
        raise SystemExit(exits.NOT_FOUND)


def _write(explanation: Explanation, language: Language, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(explanation), indent=2))
        return
    screen = console()
    for line in tell(explanation, language):
        screen.print(line)
