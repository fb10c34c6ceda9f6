"""`orderhalt skip`: set one poison record aside."""

from __future__ import annotations

from typing import Any

import click

from processor import topicadmin
from processor.cli import options, running
from processor.config import Settings
from processor.deployment import runtime_config
from processor.runtime.skip import NotSkipped, Request, skip

EPILOG = """
\b
Example, with what a worker's last message names:
  orderhalt skip order-placed 3 41872
"""


@click.command(name="skip", epilog=EPILOG)
@click.argument("topic")
@click.argument("partition", type=click.IntRange(min=0))
@click.argument("offset", type=click.IntRange(min=0))
@click.option(
    "--lost",
    is_flag=True,
    envvar="ORDERHALT_LOST",
    show_envvar=True,
    help="OFFSET is the first of records that the broker has deleted before they were read: go on "
    "after them.",
)
@options.kafka
@options.group_id
@options.allow_create_time
def command(topic: str, partition: int, offset: int, lost: bool, **given: Any) -> None:
    """Set the record at OFFSET of TOPIC's PARTITION aside, so that its partition can go on.

    For a record that a worker stops at again and again. It goes to orderhalt-rejected with the code
    `quarantined`, and the journal says so. TOPIC is the name with its prefix. Exactly this record is
    skipped; run the worker afterwards. A worker that has the partition now is stopped by this.
    """
    settings = options.settings(**given)
    config = runtime_config(settings)
    if topic not in config.inputs:
        raise click.UsageError(f"{topic} is not an input topic: {', '.join(config.inputs)}")
    try:
        click.echo(running.run(_skip(settings, Request(topic, partition, offset, lost))))
    except NotSkipped as refusal:
        running.stop(str(refusal))


async def _skip(settings: Settings, request: Request) -> str:
    found = await topicadmin.preflight(settings)
    if request.partition >= found.partitions:
        raise NotSkipped(
            f"{request.topic} has {found.partitions} partitions: 0 to {found.partitions - 1}."
        )
    return await skip(runtime_config(settings), request, found.rejected_limit_bytes)
