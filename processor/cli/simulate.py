"""`orderhalt simulate`: the events of simulated shops, to Kafka or as JSON Lines."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from itertools import islice, takewhile
from math import inf
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from processor.cli import exits, options
from processor.cli.moments import Instant
from processor.cli.progress import CountProgress
from processor.simulator import Record, Settings, simulate
from processor.simulator.records import to_line
from processor.simulator.settings import DEFAULT_START_US, TROUBLE_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processor.config import Settings as KafkaSettings

_DEFAULTS: Final = Settings()
_EPILOG: Final = """\b
Examples:
  orderhalt simulate                                     100 events/s until Ctrl-C
  orderhalt simulate --rate 2000 --duration 60           a minute of a busy evening
  orderhalt simulate --fast --events 1000000             a million, as fast as Kafka takes them
  orderhalt simulate --events 10000 --output - | orderhalt replay -
  orderhalt simulate --rate 0.01 --events 100000 --output half-a-year.jsonl
"""


@click.command(epilog=_EPILOG)
@click.option("--seed", default=_DEFAULTS.seed, show_default=True, help="Which world.")
@click.option(
    "--rate",
    default=_DEFAULTS.events_per_second,
    show_default=True,
    type=click.FloatRange(0, 1_000_000, min_open=True),
    help="Events per second, on average.",
)
@click.option("--events", type=click.IntRange(0), help="End after so many records.")
@click.option(
    "--duration",
    type=click.FloatRange(0, min_open=True),
    help="End after so many seconds; of virtual time with --output or --fast.",
)
@click.option(
    "--studios",
    default=_DEFAULTS.studios,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="How many studios there are; few of them have most of the orders.",
)
@click.option(
    "--in-flight",
    default=_DEFAULTS.orders_in_flight,
    show_default=True,
    type=click.IntRange(1),
    help="How many orders are on their way at a time: with the rate it sets how long one takes.",
)
@click.option(
    "--trouble",
    default=_DEFAULTS.trouble,
    show_default=True,
    type=click.FloatRange(0, TROUBLE_MAX),
    help="Scales what goes wrong: deletions, failing transfers, studios short of money.",
)
@click.option(
    "--late",
    default=_DEFAULTS.late_share,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of events that arrive long after they occurred.",
)
@click.option(
    "--duplicates",
    default=_DEFAULTS.duplicate_share,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of events that are delivered a second time.",
)
@click.option(
    "--malformed",
    default=_DEFAULTS.malformed_share,
    show_default=True,
    type=click.FloatRange(0, 0.9),
    help="Share of records that are not events, of every kind. The others stay as they are.",
)
@click.option(
    "--start",
    type=Instant(),
    help="With --output: when virtual time begins.  [default: 2026-01-05T08:00:00Z]",
)
@click.option(
    "--output",
    "-o",
    type=click.File("wb", lazy=False),
    help="Write JSON Lines as `orderhalt replay` reads them (- is stdout), not to Kafka.",
)
@click.option(
    "--fast",
    is_flag=True,
    help="Send as fast as Kafka takes them; virtual time ends now. Needs --events or --duration.",
)
@options.kafka
def command(
    seed: int,
    rate: float,
    events: int | None,
    duration: float | None,
    studios: int,
    in_flight: int,
    trouble: float,
    late: float,
    duplicates: float,
    malformed: float,
    start: int | None,
    output: BinaryIO | None,
    fast: bool,
    **kafka: Any,
) -> None:
    """Make the events of simulated shops.

    Studios of very different size, jobs, orders that are paid, amended, produced, delivered or
    cancelled, assets that are deleted and restored, transfers that fail and are tried again,
    accounts that run short and are topped up.

    The same seed and options make the same events, byte for byte; sent to Kafka, their times are
    moved to now. Without --events or --duration it goes on until Ctrl-C.
    """
    if fast and events is None and duration is None:
        raise click.UsageError("--fast needs --events or --duration: it would never end.")
    if output is None:
        start = time.time_ns() // 1000
        if fast:
            start -= int(min(duration or inf, (events or inf) / rate) * 1_000_000)
    settings = Settings(
        seed=seed,
        studios=studios,
        events_per_second=rate,
        orders_in_flight=in_flight,
        start_us=DEFAULT_START_US if start is None else start,
        trouble=trouble,
        late_share=late,
        duplicate_share=duplicates,
        malformed_share=malformed,
        for_lines=output is not None,
    )
    run = _Run(settings, events, duration)
    if output is not None:
        run.write(output)
        return
    found = options.settings(**kafka)
    asyncio.run(run.send(found, fast=fast))


class _Run:
    """One run of a world, to its end or until somebody ends it."""

    def __init__(self, settings: Settings, events: int | None, duration: float | None) -> None:
        self._settings = settings
        self._events = events
        self._duration = duration
        self._progress = CountProgress("records", total=events)

    def _records(self) -> Iterator[Record]:
        records = simulate(self._settings)
        if self._duration is not None:
            end_ms = self._settings.start_us / 1000 + self._duration * 1000
            records = takewhile(lambda record: record.timestamp_ms < end_ms, records)
        return islice(records, self._events)

    def write(self, output: BinaryIO) -> None:
        """Write JSON Lines."""
        written: Counter[str] = Counter()
        try:
            with self._progress.shown(written):
                for record in self._records():
                    output.write(to_line(record))
                    written[record.topic] += 1
                output.flush()
        except BrokenPipeError:
            # Whoever reads has enough, as `head` does. Python would complain of it at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            output.flush()
        self._progress.summarize(written)

    async def send(self, kafka: KafkaSettings, *, fast: bool) -> None:
        """Send to Kafka, until Ctrl-C or SIGTERM at the latest."""
        # Here: it is slow to import, and whoever writes lines has no use for it.
        from aiokafka.errors import KafkaConnectionError, KafkaError

        from processor.cli.running import stop as stop_with
        from processor.connection import client_options
        from processor.runtime.failstop import EXIT_REFUSED, EXIT_UNAVAILABLE
        from processor.simulator.sender import Sender, TopicsMissingError

        # Errors come to us as exceptions; what the client says besides is no news.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        sender = Sender(
            kafka.bootstrap_servers,
            topic_prefix=kafka.topic_prefix,
            client_options=client_options(kafka),
        )
        try:
            async with sender:
                if self._settings.malformed_share:
                    oversized = await sender.takes_oversized()
                    self._settings = replace(self._settings, oversized=oversized)
                with self._progress.shown(sender.sent):
                    if fast:
                        await sender.send(self._records(), stop)
                    else:
                        await sender.send_in_time(self._records(), stop)
        except (KafkaError, TopicsMissingError) as error:
            codes = {KafkaConnectionError: EXIT_UNAVAILABLE, TopicsMissingError: EXIT_REFUSED}
            stop_with(
                f"The events could not be sent to {kafka.bootstrap_servers}: {error}",
                codes.get(type(error), exits.FAILED),
            )
        self._progress.summarize(sender.sent)
