"""Say how far a long piece of work has come: a bar on a terminal, a line now and then without."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

_BAR_EVERY_SECONDS: Final = 0.25
_LINE_EVERY_SECONDS: Final = 10.0
_QUICK_SECONDS: Final = 1.0


#: Told how much is done, and of how much.
Report = Callable[[int, int], None]


class CountProgress:
    """Shows a counter that somebody else counts up, on stderr, and sums it up at the end."""

    def __init__(self, what: str, *, total: int | None = None) -> None:
        """Name what is counted, in the plural; `total` is how many there will be, if known."""
        self._what = what
        self._total = total
        self._started = time.monotonic()

    @contextmanager
    def shown(self, counts: Counter[str]) -> Iterator[None]:
        """Show how `counts` grow, from another thread, while the block runs."""
        ended = threading.Event()
        show = self._show_bar if sys.stderr.isatty() else self._show_lines
        thread = threading.Thread(target=show, args=(counts, ended), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def summarize(self, counts: Counter[str]) -> None:
        """Write how many there were of each kind."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
        click.echo(f"{self._line(counts)}: {kinds or 'none'}", err=True)

    def _line(self, counts: Counter[str]) -> str:
        seconds = max(0.001, time.monotonic() - self._started)
        count = counts.total()
        return f"{count:,} {self._what} in {seconds:,.1f} s, {count / seconds:,.0f}/s"

    def _show_bar(self, counts: Counter[str], ended: threading.Event) -> None:
        columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(self._line(counts), total=self._total)
            while not ended.wait(_BAR_EVERY_SECONDS):
                bar.update(task, completed=counts.total(), description=self._line(counts))

    def _show_lines(self, counts: Counter[str], ended: threading.Event) -> None:
        while not ended.wait(_LINE_EVERY_SECONDS):
            click.echo(self._line(counts), err=True)


@contextmanager
def reading(what: str) -> Iterator[Report]:
    """Show how much has been read of how much there is; quick work shows nothing."""
    started = said = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    task = bar.add_task(what, total=None)

    def progress(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now < started + _QUICK_SECONDS:
            return
        if not bar.disable:
            bar.start()
            bar.update(task, completed=done, total=total)
        elif now > said + _LINE_EVERY_SECONDS:
            said = now
            click.echo(f"{what}: {done:,} of {total:,}", err=True)

    try:
        yield progress
    finally:
        bar.stop()
