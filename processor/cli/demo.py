"""`orderhalt demo`: all of it in one terminal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import click
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.live import Live

from processor.demo.board import Board
from processor.demo.reader import Reader
from processor.demo.screen import draw
from processor.demo.stage import Plan, Stage, StageError
from processor.kafkajars import LocalKafkaError
from processor.simulator.settings import TROUBLE_MAX

if TYPE_CHECKING:
    from processor.demo.board import News

_DEFAULT_SECONDS: Final = 30.0
_DRAW_EVERY_SECONDS: Final = 0.25
_LINE_EVERY_SECONDS: Final = 5.0
_NEWS_OF_A_KIND: Final = 2


@click.command(epilog="\b\nExamples:\n  orderhalt demo\n  orderhalt demo --duration 60 --rate 1000")
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True),
    help="End by itself so many seconds after the first halt; prints lines instead of a table. "
    f"[default without a terminal: {_DEFAULT_SECONDS:.0f}]",
)
@click.option(
    "--rate",
    default=200.0,
    show_default=True,
    type=click.FloatRange(1, 20_000),
    help="Events per second.",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 8), help="How many."
)
@click.option(
    "--partitions", default=4, show_default=True, type=click.IntRange(1, 64), help="Of every topic."
)
@click.option("--studios", default=30, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--trouble",
    default=3.0,
    show_default=True,
    type=click.FloatRange(0, TROUBLE_MAX),
    help="Scales what goes wrong.",
)
@click.option("--seed", default=1, show_default=True, help="Which shops.")
def command(
    duration: float | None,
    rate: float,
    workers: int,
    partitions: int,
    studios: int,
    trouble: float,
    seed: int,
) -> None:
    """Show it all at once: a Kafka, two workers, shops, and the halts, live.

    Starts a real local Apache Kafka (extra `local`, or KAFKA_HOME), workers and simulated shops, and
    reads order-halted as any consumer would. Ctrl-C ends every process it started and removes
    what they wrote.
    """
    plan = Plan(
        workers=workers,
        partitions=partitions,
        rate=rate,
        seed=seed,
        studios=studios,
        order_seconds=6.0,
        trouble=trouble,
    )
    live = duration is None and sys.stdout.isatty()
    if duration is None and not live:
        duration = _DEFAULT_SECONDS
    # What the clients say of a broker that has just started is no news, and would spoil the screen.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    show = _Show(plan, duration)
    # Between here and the event loop, SIGTERM ends us as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        show.run(live=live)
    except (LocalKafkaError, StageError, KafkaError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Ended before it had begun.", err=True)
        raise SystemExit(130) from None


class _Show:
    """One performance: the stage, the board, and whoever watches."""

    def __init__(self, plan: Plan, duration: float | None) -> None:
        self._plan = plan
        self._duration = duration
        self._console = Console()
        self._board = Board()
        self._started = time.monotonic()
        self._stop = asyncio.Event()
        self._told: Counter[str] = Counter()

    def run(self, *, live: bool) -> None:
        """Perform until it is over, and sum up."""
        with Stage(self._plan, self._say) as stage:
            asyncio.run(self._perform(stage, live=live))
            self._say("Ending every process …")
        self._sum_up()

    def _say(self, text: str) -> None:
        self._console.print(
            f"{self._seconds:5.1f} s  {text}", highlight=False, markup=False, soft_wrap=True
        )

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    async def _perform(self, stage: Stage, *, live: bool) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        reader = Reader(stage.bootstrap_servers, stage.group_id, self._plan.partitions)
        tell = (lambda _: None) if live else self._tell
        reading = asyncio.create_task(reader.fill(self._board, self._started, tell))
        try:
            await (self._draw(stage, reading) if live else self._print(stage, reading))
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    def _goes_on(self, stage: Stage, reading: asyncio.Task[None]) -> bool:
        stage.look_after()
        if reading.done():
            reading.result()
        first = self._board.first_halt_seconds
        if self._duration is not None and first is not None:
            return self._seconds < first + self._duration and not self._stop.is_set()
        return not self._stop.is_set()

    async def _draw(self, stage: Stage, reading: asyncio.Task[None]) -> None:
        with Live(console=self._console, screen=True, auto_refresh=False) as screen:
            while self._goes_on(stage, reading):
                height = self._console.height
                screen.update(draw(self._board, stage.describe(), self._seconds, height))
                screen.refresh()
                await self._pause(_DRAW_EVERY_SECONDS)

    async def _print(self, stage: Stage, reading: asyncio.Task[None]) -> None:
        next_line = self._seconds + _LINE_EVERY_SECONDS
        while self._goes_on(stage, reading):
            if self._seconds >= next_line:
                self._say(self._line())
                next_line += _LINE_EVERY_SECONDS
                self._told.clear()
            await self._pause(_DRAW_EVERY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)

    def _tell(self, news: News) -> None:
        """Print some of the news: the first of each kind between two lines of figures."""
        state = "halted" if news.halted else "ended "
        self._told[state] += 1
        if self._told[state] <= _NEWS_OF_A_KIND:
            self._say(f"  {state} {news.studio_id} / {news.order_id}: {news.text}")

    def _line(self) -> str:
        board = self._board
        delay = board.delay
        shown = f", event to halt {delay.median_ms:,.0f} ms (median)" if delay else ""
        return (
            f"{board.applied:,} events applied ({board.events_per_second:,.0f}/s, "
            f"{board.lag:,} to go){shown}; halted now: {board.counts_in_words()}"
        )

    def _sum_up(self) -> None:
        board = self._board
        self._say(self._line())
        opened = ", ".join(f"{count} {code}" for code, count in board.opened.most_common())
        ended = ", ".join(f"{count} {status}" for status, count in board.ended.most_common())
        self._say(f"Halts opened: {opened or 'none'}. Ended: {ended or 'none'}.")
        if board.first_halt_seconds is not None:
            self._say(f"The first halt was there after {board.first_halt_seconds:.1f} s.")
