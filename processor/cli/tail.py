"""`orderhalt tail`: follow order-halted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, BinaryIO, Final

import click
import msgspec
from rich.console import Console
from rich.text import Text

from processor.cli import options
from processor.cli.running import run
from processor.cli.terminal import (
    STYLES,
    console,
    instant,
    language,
    until_the_reader_has_enough,
)
from processor.config import Settings
from processor.haltstream import Halt, Halted, Wanted, follow
from processor.words import describe
from schemas.catalogue import Language, catalogue
from schemas.halted import OrderHalted
from schemas.reasons import ReasonCode, Status

EPILOG = """
\b
Examples:
  orderhalt tail
  orderhalt tail --studio studio-17 --reason photos_missing --reason product_missing
  orderhalt tail --from-beginning --to-end --json | jq -c '[.studio_id, .order_id, .status]'
\b
On a terminal it writes a line for people, else the values of the records, one a line. The records of
a studio come in their order; those of different partitions come as they are read. Tombstones are left
out. It ends with SIGTERM or Ctrl-C, exit code 0; others as in `orderhalt --help`.
"""

_decode: Final = msgspec.json.Decoder(OrderHalted).decode


@click.command(name="tail", epilog=EPILOG)
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record that is kept.")
@click.option("--to-end", is_flag=True, help="End where the topic ends now, and do not wait.")
@click.option("--studio", "studios", multiple=True, help="Only of this studio; may be repeated.")
@click.option("--order", "orders", multiple=True, help="Only of this order; may be repeated.")
@click.option(
    "--reason",
    "reasons",
    multiple=True,
    metavar="CODE",
    help=f"Only with this reason, active or just ended; may be repeated: {', '.join(ReasonCode)}.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATUS",
    help=f"Only with this status; may be repeated: {', '.join(Status)}.",
)
@language
@options.as_json
@options.kafka
@options.setting(
    "any_partitioner", "Look for a --studio in all partitions, not in its own.", is_flag=True
)
def command(
    from_beginning: bool,
    to_end: bool,
    studios: tuple[str, ...],
    orders: tuple[str, ...],
    reasons: tuple[str, ...],
    statuses: tuple[str, ...],
    language: Language,
    as_json: bool,
    **given: Any,
) -> None:
    """Follow order-halted: who is halted now, why, and who goes on.

    It belongs to no consumer group and commits nothing. A broker that is away is waited for; what was
    committed meanwhile comes when it is back.
    """
    settings = options.settings(**given)
    _mention_unknown("reason", reasons, ReasonCode)
    _mention_unknown("status", statuses, Status)
    wanted = Wanted(*map(frozenset, (studios, orders, reasons, statuses)))
    # It says at every attempt that a broker is away; we say so once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    writer = _Lines() if as_json or not sys.stdout.isatty() else _Readable(language)
    with until_the_reader_has_enough():
        run(_tail(settings, wanted, writer, from_beginning=from_beginning, to_end=to_end))


def _mention_unknown(what: str, given: Sequence[str], known: Iterable[str]) -> None:
    """Say that a code is none that we know; a newer release may write it all the same."""
    for code in given:
        if code not in set(known):
            close = get_close_matches(code, list(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else "."
            click.echo(f"{code} is no {what} that this release knows{hint}", err=True)


async def _tail(
    settings: Settings, wanted: Wanted, writer: _Writer, *, from_beginning: bool, to_end: bool
) -> None:
    me = asyncio.current_task()
    assert me is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, me.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async for halt in follow(
            settings, wanted, from_beginning=from_beginning, to_end=to_end, answers=_tell
        ):
            writer.write(halt)


def _tell(answered: bool) -> None:
    """Say on standard error that Kafka has gone, or is back."""
    screen = Console(stderr=True, highlight=False)
    if answered:
        screen.print("Kafka answers again.", style="green")
    else:
        screen.print("Kafka does not answer; going on when it is back.", style="yellow")


class _Lines:
    """The values of the records, one a line, as they are."""

    def __init__(self) -> None:
        self._output: BinaryIO = sys.stdout.buffer

    def write(self, halt: Halt) -> None:
        self._output.write(halt.value + b"\n")
        self._output.flush()


class _Readable:
    """A line for people."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._screen = console()

    def write(self, halt: Halt) -> None:
        self._screen.print(readable(halt, self._language))


_Writer = _Lines | _Readable


def readable(halt: Halt, language: Language) -> Text:
    """Say a record in a line."""
    halted = halt.halted
    status = catalogue().status(halted.status).title.to(language)
    line = Text(f"{instant(halted.occurred_at)}  ", style="")
    line.append(f"{status:<12}", style=STYLES.get(halted.status, "magenta"))
    line.append(f" {halted.studio_id} / {halted.order_id}", style="bold")
    return line.append(f"  {_sentence(halt.value, halted, language)}")


def _sentence(value: bytes, halted: Halted, language: Language) -> str:
    try:
        return describe(_decode(value), language)
    except msgspec.ValidationError:
        # A newer release wrote a code that this one does not know (contract.md §5: open sets).
        title = catalogue().reason(halted.primary_reason or "").title.to(language)
        return f"{title}: {halted.primary_reason or halted.status}"
