"""`orderhalt rejected`: look at the dead-letter topic, and send repaired records again."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from typing import Any, Final

import click
import orjson

from processor.cli import dossier, exits, options
from processor.cli.moments import Moment
from processor.cli.progress import Report, reading
from processor.cli.running import run, stop
from processor.cli.terminal import console, language, until_the_reader_has_enough
from processor.config import Settings
from processor.rejected import (
    NotSent,
    Rejected,
    Sending,
    Wanted,
    as_it_is,
    find,
    find_all,
    partitions_of_inputs,
    prepare,
    repaired,
    send,
)
from schemas.catalogue import Language
from schemas.errors import RejectionCode

_ROWS_SHOWN: Final = 100

EPILOG = """
\b
Examples:
  orderhalt rejected list --since 2h --code invalid_event
  orderhalt rejected show 3:1042
  orderhalt rejected resend 3:1042 --edit
\b
A record's ID is its place in the dead-letter topic, PARTITION:OFFSET; `list` gives it.
Exit codes: 3 where there is no such record; others as in `orderhalt --help`.
"""


class _Id(click.ParamType):
    """PARTITION:OFFSET."""

    name = "id"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        partition, colon, offset = str(value).partition(":")
        if not (colon and partition.isascii() and partition.isdigit() and offset.isdigit()):
            self.fail(f"{value!r} is not PARTITION:OFFSET, such as 3:1042", param, ctx)
        return int(partition), int(offset)


@click.group(name="rejected", epilog=EPILOG)
def command() -> None:
    """Look at the records that were no events, repair them and send them again."""


@command.command(
    name="list",
    epilog="""
\b
Examples:
  orderhalt rejected list --since 1d
  orderhalt rejected list --code wrong_partition --json | jq -r .id | xargs orderhalt rejected resend
\b
It reads the dead-letter topic from --since, or all of its 14 days; the table has the newest.
""",
)
@click.option(
    "--code",
    "codes",
    multiple=True,
    type=click.Choice([str(code) for code in RejectionCode]),
    help="Only with this code; may be repeated.",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    help="Only from this input topic, with or without prefix; may be repeated.",
)
@click.option("--since", type=Moment(), help="Rejected at or after: 2h, 7d, 2026-01-05T08:00:00Z.")
@click.option("--until", type=Moment(), help="Rejected before.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    help=f"The newest so many.  [default: {_ROWS_SHOWN}, all with --json]",
)
@options.as_json
@options.kafka
def list_(
    codes: tuple[str, ...],
    topics: tuple[str, ...],
    since: int | None,
    until: int | None,
    limit: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """List rejected records: a table, or with --json one object a line."""
    settings = options.settings(**given)
    wanted = Wanted(
        frozenset(codes),
        frozenset(topics),
        None if since is None else since // 1000,
        None if until is None else until // 1000,
    )
    with until_the_reader_has_enough(), reading("Reading what was rejected") as progress:
        if as_json and limit is None:
            run(_stream(settings, wanted, progress))
            return
        newest, counts = run(_newest(settings, wanted, limit or _ROWS_SHOWN, progress))
    with until_the_reader_has_enough():
        if as_json:
            for record in newest:
                click.echo(orjson.dumps(dossier.document(record)))
        else:
            for line in dossier.table(newest):
                console().print(line)
    _sum_up(counts, len(newest))


async def _stream(settings: Settings, wanted: Wanted, progress: Report) -> None:
    async for record in find_all(settings, wanted, progress):
        click.echo(orjson.dumps(dossier.document(record)))


async def _newest(
    settings: Settings, wanted: Wanted, limit: int, progress: Report
) -> tuple[list[Rejected], Counter[str]]:
    """Give the newest records, oldest first, and how many there are of each code."""
    newest: list[tuple[int, int, int, Rejected]] = []
    counts: Counter[str] = Counter()
    async for record in find_all(settings, wanted, progress):
        counts[record.code] += 1
        item = (record.timestamp_ms, record.partition, record.offset, record)
        if len(newest) < limit:
            heapq.heappush(newest, item)
        else:
            heapq.heappushpop(newest, item)
    return [record for *_, record in sorted(newest)], counts


def _sum_up(counts: Counter[str], shown: int) -> None:
    kinds = ", ".join(f"{count:,} {code}" for code, count in counts.most_common())
    only = f"; the newest {shown:,} are shown" if shown < counts.total() else ""
    click.echo(f"{counts.total():,} rejected: {kinds}{only}" if kinds else "None.", err=True)


@command.command(
    epilog="""
\b
Examples:
  orderhalt rejected show 3:1042
  orderhalt rejected show 3:1042 --value > event.json
""",
)
@click.argument("id_", metavar="ID", type=_Id())
@click.option(
    "--value", "value_only", is_flag=True, help="Write the bytes of the value, only them."
)
@language
@options.as_json
@options.kafka
def show(
    id_: tuple[int, int], value_only: bool, language: Language, as_json: bool, **given: Any
) -> None:
    """Show one rejected record: why it was rejected, what to do about it, headers and bytes."""
    settings = options.settings(**given)
    [record] = _found(settings, [id_])
    with until_the_reader_has_enough():
        if value_only:
            click.get_binary_stream("stdout").write(record.value or b"")
        elif as_json:
            found = dossier.document(record, whole=True)
            click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        else:
            for line in dossier.tell(record, language):
                console().print(line)


@command.command(
    epilog="""
\b
Examples:
  orderhalt rejected resend 3:1042 --edit                   repair it in $EDITOR
  orderhalt rejected resend 3:1042 --value event.json       with a repaired value (- is stdin)
  orderhalt rejected resend 3:1042 3:1043 0:77              as they are: a producer had chosen the
                                                            wrong partition, or after `skip`
\b
Do not send events of orders again that have closed more than a week ago (closed_retention_days):
they would be taken for new orders.
""",
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=_Id())
@click.option(
    "--value",
    "value",
    type=click.Path(allow_dash=True),
    help="Send these bytes instead; - is standard input. For one record.",
)
@click.option("--edit", is_flag=True, help="Edit the value in $VISUAL or $EDITOR. For one record.")
@click.option("--key", help="Send with this key instead, the studio_id. For one record.")
@click.option("--force", is_flag=True, help="Send even what would be rejected again.")
@click.option("--dry-run", is_flag=True, help="Check, and send nothing.")
@options.as_json
@options.kafka
@options.setting(
    "any_partitioner", "Send to the partition that it came from, not to its key's.", is_flag=True
)
def resend(
    ids: tuple[tuple[int, int], ...],
    value: str | None,
    edit: bool,
    key: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Send rejected records again, repaired or as they are, to where they belong.

    To their topic, with their key and their own headers, into the partition that Kafka's default
    partitioner gives the key. Each is checked first as a worker would: if one would be rejected
    again, none is sent. The rejected records stay where they are.
    """
    if value is not None and edit:
        raise click.UsageError("--value and --edit are two ways to repair; take one.")
    if len(ids) > 1 and (value is not None or edit or key is not None):
        raise click.UsageError("--value, --edit and --key are for one record; give one ID.")
    settings = options.settings(**given)
    records = _found(settings, ids)
    if value is not None or edit or key is not None:
        mended = _edited(records[0]) if edit else None if value is None else _read(value)
        records = [repaired(records[0], mended, None if key is None else key.encode())]
    sendings = _checked(settings, records, force=force)
    offsets = [None] * len(sendings) if dry_run else run(send(settings, sendings))
    for sending, offset in zip(sendings, offsets, strict=True):
        _say(sending, offset, as_json=as_json)


def _found(settings: Settings, places: tuple[tuple[int, int], ...] | list[tuple[int, int]]) -> Any:
    records = run(find(settings, places))
    missing = [f"{p}:{o}" for (p, o), x in zip(places, records, strict=True) if x is None]
    if missing:
        stop(
            f"There is no rejected record {', '.join(missing)}: see `orderhalt rejected list`. "
            "What is older than the topic's retention is gone.",
            exits.NOT_FOUND,
        )
    return records


def _read(path: str) -> bytes:
    try:
        with click.open_file(path, "rb") as file:
            value: bytes = file.read()
    except OSError as error:
        stop(f"{path} cannot be read: {error.strerror}. Nothing was sent.")
    return value


def _edited(record: Rejected) -> bytes:
    try:
        before = (record.value or b"").decode()
    except UnicodeDecodeError:
        stop(
            f"The value of {record.id} is no text, so it cannot be edited as such. Write it with "
            f"`orderhalt rejected show {record.id} --value`, and send it with --value."
        )
    after = click.edit(before, extension=".json", require_save=True)
    if after is None or after.rstrip("\n") == before.rstrip("\n"):
        stop("Nothing was changed, and nothing is sent.")
    return after.rstrip("\n").encode()


def _checked(settings: Settings, records: list[Rejected], *, force: bool) -> list[Sending]:
    partitions = run(partitions_of_inputs(settings))
    if force:
        return [as_it_is(settings, record, partitions) for record in records]
    sendings, faults = [], []
    for record in records:
        try:
            sendings.append(prepare(settings, record, partitions, time.time_ns() // 1_000_000))
        except NotSent as fault:
            faults.append(str(fault))
    if faults:
        stop("\n".join([*faults, "Nothing was sent."]))
    return sendings


def _say(sending: Sending, offset: int | None, *, as_json: bool) -> None:
    place = {"topic": sending.topic, "partition": sending.partition, "offset": offset}
    if as_json:
        click.echo(orjson.dumps({"id": sending.id, **place}))
    elif offset is None:
        click.echo(f"{sending.id} would go to {sending.topic} partition {sending.partition}")
    else:
        click.echo(
            f"{sending.id} is sent: {sending.topic} partition {sending.partition} offset {offset}"
        )
