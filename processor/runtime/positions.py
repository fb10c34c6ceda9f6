"""Where a partition goes on, or why it must not: the checks of recovery, without any I/O.

Positions live in the state. Each transaction writes the partition's offset vector as a row of the
positions topic, beside the rows it belongs to; the consumer group gets the same offsets, for lag
tools and as a second witness. Group offsets may expire while the state survives: then the row alone
counts. Anything else that does not fit together means that a part of the state is lost or foreign,
and going on would apply records twice, or to an empty table, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.errors import StateRefused
from schemas.private import PositionsRow

_REBUILD: Final = (
    "Restore the topic as it was. If that cannot be done, the state is lost and can be built again "
    "from what the inputs still hold: stop all workers, delete the consumer group {group} and all "
    "topics of this deployment but its inputs (save from orderhalt-rejected what you still need), run "
    "`orderhalt topics create`, start the workers. Halts are announced again, from sequence 1: who "
    "reads order-halted must forget what it knew."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What recovery found of one partition in Kafka, after the former owner was fenced."""

    partition: int
    group_id: str
    row: PositionsRow | None
    group_offsets: Mapping[str, int]
    """Input topic → committed offset; topics without one are missing."""
    input_starts: Mapping[str, int]
    input_ends: Mapping[str, int]
    changelogs: Mapping[str, str]
    """Table → topic."""
    changelog_ends: Mapping[str, int]
    """Table → last stable offset."""
    log_starts: Mapping[str, int]
    """Private compacted topic → log start offset."""
    rows_read: Mapping[str, int]
    """Table → how many committed records its changelog holds."""


def starting_offsets(found: Found) -> dict[str, int]:
    """Return the next offset of every input; raises StateRefused with the remedy."""
    _check_log_starts(found)
    if found.row is None:
        _check_nothing_was_there(found)
        return dict(found.input_starts)
    _check_changelogs(found, found.row)
    _check_group(found, found.row)
    # An input that the row does not know is new in this version: it starts at its beginning.
    offsets = {
        topic: found.row.offsets.get(topic, start) for topic, start in found.input_starts.items()
    }
    _check_inputs(found, offsets)
    return offsets


def _refuse(found: Found, what: str, remedy: str = _REBUILD) -> StateRefused:
    return StateRefused(
        f"Partition {found.partition}: {what}\n{remedy.format(group=found.group_id)}"
    )


def _check_log_starts(found: Found) -> None:
    for topic, start in found.log_starts.items():
        if start > 0:
            raise _refuse(
                found,
                f"{topic} starts at offset {start} and not at 0: records were deleted from it, and "
                "with them rows that may be the only ones of their keys.",
                "Its cleanup.policy must be `compact` alone and nobody may delete records from it. "
                + _REBUILD,
            )


def _check_nothing_was_there(found: Found) -> None:
    with_rows = [found.changelogs[table] for table, rows in found.rows_read.items() if rows]
    if with_rows:
        raise _refuse(
            found,
            f"{', '.join(with_rows)} hold rows, but the positions topic has no row that says up to "
            "where the inputs are in them.",
        )
    if found.group_offsets:
        listed = ", ".join(f"{topic} at {at}" for topic, at in found.group_offsets.items())
        raise _refuse(
            found,
            f"the consumer group {found.group_id} has offsets ({listed}), but the changelogs and "
            "the positions topic are empty: the state is gone, or the offsets were set by hand.",
            "If there never was any state, delete the group: "
            "`kafka-consumer-groups.sh --delete --group {group}`. " + _REBUILD,
        )


def _check_changelogs(found: Found, row: PositionsRow) -> None:
    for table, least in row.changelog_ends.items():
        end = found.changelog_ends.get(table)
        topic = found.changelogs.get(table, table)
        if end is None:
            raise _refuse(
                found,
                f"the state has a table {table} that this version does not know.",
                "Run the version that wrote the state, or a newer one.",
            )
        if end < least:
            raise _refuse(
                found,
                f"{topic} ends at offset {end}, but {least} was reached before: rows are lost, the "
                "topic was cut or made anew.",
            )


def _check_group(found: Found, row: PositionsRow) -> None:
    differing = [
        f"{topic}: group {at}, state {row.offsets.get(topic, 'none')}"
        for topic, at in found.group_offsets.items()
        if row.offsets.get(topic) != at
    ]
    if differing:
        raise _refuse(
            found,
            "the offsets of the consumer group and of the state differ "
            f"({'; '.join(differing)}). One transaction writes both, so one of them was changed.",
            "If somebody reset the group's offsets, delete the group, and the state's will be used: "
            "`kafka-consumer-groups.sh --delete --group {group}`. If the positions topic was "
            "changed: " + _REBUILD,
        )


def _check_inputs(found: Found, offsets: Mapping[str, int]) -> None:
    for topic, offset in offsets.items():
        start, end = found.input_starts[topic], found.input_ends[topic]
        if offset < start:
            raise lost_records(found.partition, topic, offset, start)
        if offset > end:
            raise _refuse(
                found,
                f"{topic} ends at offset {end}, but {offset} was reached before: the topic was cut "
                "or made anew, and its new records cannot be told from applied ones.",
                "Restore the topic; or keep this deployment for what it has done and start another "
                "one under a new topic prefix.",
            )


def lost_records(partition: int, topic: str, expected: int, start: int) -> StateRefused:
    """Refuse to go on where the broker has deleted records that were not applied yet."""
    return StateRefused(
        f"Partition {partition}: {topic} starts at offset {start}, but the next record to apply is "
        f"{expected}: the broker has deleted records before they were read (retention).\n"
        "Produce them again, if their producer can, and accept the hole: "
        f"`orderhalt skip --lost {topic} {partition} {expected}`. Raise the topic's retention."
    )
