"""The records that a world gives, and how they are written as JSON Lines."""

from __future__ import annotations

from typing import NamedTuple

import orjson


class Record(NamedTuple):
    """One record for an input topic."""

    topic: str
    """Without prefix."""
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    """When it is sent, in virtual time."""
    expected_code: str | None = None
    """The code with which it is to be rejected; None: it is an event."""
    partition_shift: int = 0
    """How many partitions away from where its key belongs it is to be sent."""


def to_line(record: Record) -> bytes:
    """Write one line as `orderhalt replay` reads it.

    What is malformed stands there as a string of its text. Raises UnicodeDecodeError for what is
    not text: `Settings.for_lines` leaves it out.
    """
    key, value = record.key, record.value
    if value is None:
        value = b"null"
    elif record.expected_code is not None:
        value = orjson.dumps(value.decode())
    return b'{"topic":"%s","key":%s,"value":%s,"timestamp":%d}\n' % (
        record.topic.encode(),
        b"null" if key is None else orjson.dumps(key.decode()),
        value,
        record.timestamp_ms,
    )
