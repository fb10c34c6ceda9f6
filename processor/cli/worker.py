"""`orderhalt worker`: one process of the consumer group."""

from __future__ import annotations

import os
import signal
from typing import Any

import click

from processor import logs
from processor.cli import options

EPILOG = """
\b
Examples:
  orderhalt worker
  orderhalt worker --bootstrap-servers kafka1:9092,kafka2:9092 --topic-prefix shop-
\b
Start as many as there are cores, up to the number of partitions. Exit codes:
   0  ended by SIGTERM or Ctrl-C: what was applied is committed
  69  Kafka cannot be reached at the start
  70  fail-stop: nothing after the last commit counts; start it again
  78  refused to start; the message names the remedy
"""


@click.command(name="worker", epilog=EPILOG)
@options.kafka
@options.group_id
@options.setting(
    "instance_id",
    "A name that this worker keeps over restarts: its partitions wait for it (static membership).",
)
@options.setting(
    "commit_interval_ms",
    "From a window's first change to its transaction [100].",
    metavar="INTEGER",
)
@options.setting(
    "session_timeout_ms",
    "Without a heartbeat for so long, others take over [6000].",
    metavar="INTEGER",
)
@options.setting(
    "transaction_timeout_ms",
    "The broker aborts a transaction after this [10000].",
    metavar="INTEGER",
)
@options.setting("max_poll_records", "Records per poll [1000].", metavar="INTEGER")
@options.setting(
    "one_by_one",
    "One record per transaction, to find the one that a commit fails on. Slow.",
    is_flag=True,
)
@options.any_partitioner
@options.allow_create_time
@options.retention
@options.setting("admin_host", "Serve health and metrics on this address [127.0.0.1].")
@options.setting(
    "admin_port",
    "Port of health and metrics; 0, or where it is taken: a free one [9464].",
    metavar="INTEGER",
)
@options.setting(
    "overdue_age_hours",
    "Count orders in flight, not halted, as overdue after this [72].",
    metavar="NUMBER",
)
@click.option(
    "--log-level",
    type=click.Choice(logs.LEVELS),
    default="info",
    show_default=True,
    envvar=logs.LEVEL_VARIABLE,
    show_envvar=True,
    help="How much to say on standard error.",
)
def command(log_level: str, **given: Any) -> None:
    """Run one worker of the consumer group, until SIGTERM or Ctrl-C.

    Takes its share of the partitions, applies the events of the input topics and writes what is
    halted to order-halted, each event exactly once.
    """
    # Until Faust has its own handlers there is nothing to commit, and nothing to leave.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    settings = options.settings(**given)
    logs.to_stderr(log_level)
    # Imported here: Faust takes its time, and a wrong option should not.
    from processor.app import create_app
    from processor.runtime.worker import run

    run(create_app(settings))
