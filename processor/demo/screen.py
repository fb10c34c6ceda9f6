"""Draw the board on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from schemas.catalogue import catalogue
from schemas.reasons import PRECEDENCE, Status

if TYPE_CHECKING:
    from rich.console import RenderableType

    from processor.demo.board import Board

_COLOURS: Final = dict(zip(PRECEDENCE, ("magenta", "red", "yellow", "cyan", "blue"), strict=True))
#: Lines that everything but the news takes.
_FIXED_LINES: Final = 18
_LEAST_NEWS: Final = 4


def draw(board: Board, processes: str, seconds: float, lines: int) -> RenderableType:
    """Draw the board for a terminal of so many lines."""
    header = Text.assemble(("orderhalt demo", "bold"), f"   {seconds:,.0f} s   {processes}")
    footer = Text("Ctrl-C ends it all. Try kill -9 on a worker: nothing is lost.", style="dim")
    header.no_wrap = footer.no_wrap = True
    tables = Table.grid(padding=(0, 1))  # side by side, however narrow
    tables.add_row(_reasons(board), _figures(board))
    return Group(header, tables, _news(board, max(_LEAST_NEWS, lines - _FIXED_LINES)), footer)


def _reasons(board: Board) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Halted orders", title_justify="left")
    table.add_column("reason")
    table.add_column("now", justify="right")
    table.add_column("so far", justify="right")
    now = board.halted_now
    for code in PRECEDENCE:
        name = Text(catalogue().reason(code).title.to("en"), style=_COLOURS[code])
        table.add_row(name, str(now[code]), str(board.opened[code]))
    table.add_row("all orders", str(now.total()), "", style="bold")
    return table


def _figures(board: Board) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="Figures", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("events applied", f"{board.applied:,}")
    table.add_row("events/s", f"{board.events_per_second:,.0f}")
    table.add_row("not applied yet", f"{board.lag:,}")
    delay = board.delay
    shown = f"{delay.median_ms:,.0f} / {delay.p95_ms:,.0f} ms" if delay else "…"
    table.add_row("delay, median / p95", shown)
    for status in (Status.RELEASED, Status.CANCELLED, Status.TRANSFERRED):
        table.add_row(f"ended: {status}", f"{board.ended[status]:,}")
    return table


def _news(board: Board, lines: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, expand=True, title="Latest", title_justify="left")
    table.add_column("UTC", no_wrap=True)
    table.add_column("studio / order", no_wrap=True)
    table.add_column("", no_wrap=True, width=7)
    table.add_column("what happened → what the studio can do", no_wrap=True, ratio=1)
    for news in list(board.latest)[-lines:][::-1]:
        state = Text("halted", "bold red") if news.halted else Text("ended", "green")
        colour = _COLOURS.get(news.reason, "") if news.reason else "dim"
        table.add_row(
            news.at, f"{news.studio_id} / {news.order_id}", state, Text(news.text, colour)
        )
    return table
