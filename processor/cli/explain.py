"""`orderhalt explain`: is an order halted, since when, why, and what can be done."""

from __future__ import annotations

import gc
from typing import Any

import click
import msgspec

from processor.cli import exits, options
from processor.cli.progress import reading
from processor.cli.running import run
from processor.cli.telling import tell
from processor.cli.terminal import console, language, until_the_reader_has_enough
from processor.explain import Explanation, explain
from processor.rules.inquiry import State
from schemas.catalogue import Language

EPILOG = """
\b
Examples:
  orderhalt explain studio-17 A-2045
  orderhalt explain studio-17 A-2045 --lang de
  orderhalt explain studio-17 A-2045 --json | jq .answer.state
\b
It reads the changelogs of the studio's partition, which takes a while where many orders and deletions
are kept (a bar shows how far it is), and then searches order-halted backwards for what was said last.
It takes nothing away from the workers.
\b
.answer.state is one of: unknown, early, in_flight, halted, cancelled, transferred, forgotten.
Exit codes: 0 the order is known, halted or not; 3 it is unknown; others as in `orderhalt --help`.
"""


@click.command(name="explain", epilog=EPILOG)
@click.argument("studio")
@click.argument("order")
@language
@options.as_json
@options.kafka
@options.setting(
    "any_partitioner", "Look for the studio in all partitions, not in its own.", is_flag=True
)
def command(studio: str, order: str, language: Language, as_json: bool, **given: Any) -> None:
    """Say whether ORDER of STUDIO is halted: why, since when, by which event, what can be done.

    Where it is not, say why not: it is unknown, in flight and fine, closed, or its credit was not
    checked because no balance is known.
    """
    settings = options.settings(**given)
    # The state has no cycles, and looking for them in it would take most of the time.
    gc.disable()
    with reading("Reading the state") as progress:
        explanation = run(explain(settings, studio, order, progress))
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
