"""Records of the private topics that belong to the runtime: positions and journal.

Both are MessagePack arrays with a format version first; fields are only ever added at the end.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from schemas.errors import StateRefused

POSITIONS_FORMAT: Final = 1
JOURNAL_FORMAT: Final = 1


class PositionsRow(Struct, array_like=True, frozen=True):
    """Up to where one partition's inputs are applied, and what its state was made with.

    Topic `orderhalt-positions`; the key is the partition number in ASCII. Written in every
    transaction of the partition.
    """

    format: int
    number: int
    """Counts the partition's transactions: 1, 2, 3 …; the journal record beside it has the same."""
    offsets: dict[str, int]
    """Input topic → offset of the next record to apply. All inputs, with their prefix."""
    checkpoint: bytes | None
    """What the state machine needs besides its rows; None before it has applied anything."""
    changelog_ends: dict[str, int]
    """Table → the least end offset that its changelog must have; a lower one has lost rows."""
    quarantine: list[tuple[str, int]] = []
    """(topic, offset) of records ahead that an operator has set aside (`orderhalt skip`)."""


class Run(Struct, array_like=True, frozen=True):
    """Offsets `first` up to, not including, `next` of one input topic, applied without interruption.

    A run may take in offsets that hold no record: control records of transactional producers.
    """

    topic: str
    first: int
    next: int


class JournalRecord(Struct, array_like=True, frozen=True):
    """Which input offsets one transaction applied, in which order: what an exact replay needs.

    Topic `orderhalt-journal`; the key is the partition number in ASCII.
    """

    format: int
    number: int
    """The same as in the positions row of the same transaction."""
    runs: list[Run]
    quarantined: list[tuple[str, int]] = []
    """(topic, offset) of records within `runs` that were set aside and not applied."""
    lost: list[Run] = []
    """Offsets that the broker had deleted before they were read, accepted by an operator."""
    checkpoint: bytes | None = None
    """What the state machine needed besides its rows after this transaction, as in the positions row;
    None in records of the first format, and before anything was applied. A replay learns from it
    when another version of the machine took over."""


_encode = msgspec.msgpack.Encoder().encode
_decode_positions = msgspec.msgpack.Decoder(PositionsRow).decode
_decode_journal = msgspec.msgpack.Decoder(JournalRecord).decode
_decode_version = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


def partition_key(partition: int) -> bytes:
    """Encode the key of a partition's rows in both topics."""
    return str(partition).encode()


def encode(record: PositionsRow | JournalRecord) -> bytes:
    """Encode one record of either topic."""
    return _encode(record)


def decode_positions(value: bytes) -> PositionsRow:
    """Decode a positions row; raises StateRefused where a newer version wrote it."""
    _check_format("positions row", value, POSITIONS_FORMAT)
    return _decode_positions(value)


def decode_journal(value: bytes) -> JournalRecord:
    """Decode a journal record; raises StateRefused where a newer version wrote it."""
    _check_format("journal record", value, JOURNAL_FORMAT)
    return _decode_journal(value)


def _check_format(what: str, value: bytes, known: int) -> None:
    found = msgspec.msgpack.decode(_decode_version(value)[0], type=int)
    if found > known:
        raise StateRefused(
            f"The {what} has format {found}, this version of orderhalt reads up to {known}.\n"
            "Run the version that wrote it, or a newer one."
        )
