"""`orderhalt topics`: create the topics of a deployment, and check them."""

from __future__ import annotations

from typing import Any

import click
import orjson

from processor import topicadmin
from processor.cli import options
from processor.cli.running import run, stop
from processor.config import Settings
from schemas import topics

EPILOG = """
\b
Examples:
  orderhalt topics create --partitions 12 --replication-factor 3
  orderhalt topics check --json
"""


@click.group(name="topics", epilog=EPILOG)
def command() -> None:
    """Create the topics, or check that they are as they must be."""


@command.command(
    epilog="\b\nExample:\n  orderhalt topics create --partitions 12 --replication-factor 3"
)
@options.kafka
@options.allow_create_time
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    envvar="ORDERHALT_PARTITIONS",
    show_envvar=True,
    help="Of every topic; cannot be changed later. [as the existing ones, or "
    f"{topicadmin.DEFAULT_PARTITIONS}]",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(min=1),
    envvar="ORDERHALT_REPLICATION_FACTOR",
    show_envvar=True,
    help="Of every topic. [the broker's default]",
)
def create(partitions: int | None, replication_factor: int | None, **given: Any) -> None:
    """Create the topics that are missing; leave those that exist alone."""
    settings = options.settings(**given)
    done = run(topicadmin.create(settings, partitions, replication_factor))
    for name in done.created:
        click.echo(f"created  {name}  ({done.partitions} partitions)")
    for name in done.existing:
        click.echo(f"exists   {name}")
    _end_with_faults(settings)


@command.command(epilog="\b\nExample:\n  orderhalt topics check --topic-prefix shop- --json")
@options.kafka
@options.group_id
@options.allow_create_time
@options.as_json
def check(as_json: bool, **given: Any) -> None:
    """Check the topics as a worker does at its start; exit code 1 where something is wrong."""
    settings = options.settings(**given)
    if not as_json:
        _end_with_faults(settings)
        return
    found = run(topicadmin.check(settings))
    report = {"ok": not found.faults, "partitions": found.partitions, "faults": found.faults}
    click.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    raise SystemExit(1 if found.faults else 0)


def _end_with_faults(settings: Settings) -> None:
    found = run(topicadmin.check(settings))
    if found.faults:
        stop(f"The topics are not as they must be:\n{topicadmin.listing(found.faults)}")
    click.echo(f"All {len(topics.ALL)} topics are well: {found.partitions} partitions.")
