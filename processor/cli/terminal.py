"""What people read: text on standard output, in colour where that is wanted, and never wrapped.

Colour only on a terminal, and not with NO_COLOR; rich sees to both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console

from schemas.catalogue import LANGUAGES

#: Of a status, wherever one is shown.
STYLES: Final = {
    "halted": "bold red",
    "released": "green",
    "transferred": "green",
    "cancelled": "yellow",
}

language = click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    envvar="ORDERHALT_LANG",
    show_envvar=True,
    help="The language of explanations.",
)


def console() -> Console:
    """Make the console of standard output; lines stay whole, so that they can be copied and cut."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextmanager
def until_the_reader_has_enough() -> Iterator[None]:
    """End in good order when standard output is closed, as `head` does it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain of it once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def instant(text: str) -> str:
    """Shorten an instant of the contract for a reader: seconds are enough."""
    return f"{text[:10]} {text[11:19]} UTC"
