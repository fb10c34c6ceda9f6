"""What `order-halted` has said of each order, with where it stands and what caused it.

Filled by reading the topic from its start. The broker keeps every record for a week and the last one
of an order for as long as the order is known (contract.md §1), so this is what can be told.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from schemas.partitioning import join_key

#: Of each order the last so many are kept.
LISTED_MAX: Final = 50


class Caused(Struct, frozen=True, array_like=True):
    """Where the input event behind a record stands; all None where new rules changed the halt."""

    topic: str | None
    partition: int | None
    offset: int | None
    event_id: str | None


class Told(Struct, frozen=True, array_like=True):
    """One record of `order-halted`."""

    sequence: int
    change: str
    status: str
    occurred_at: str
    codes: tuple[str, ...]
    ended_codes: tuple[str, ...]
    caused_by: Caused
    partition: int
    offset: int


class _Reason(Struct):
    code: str


class _Record(Struct):
    """The part of `schemas.halted.OrderHalted` that is kept; its sets of codes are open here."""

    sequence: int
    change: str
    status: str
    occurred_at: str
    reasons: list[_Reason]
    ended_reasons: list[_Reason]
    caused_by: _CausedBy


class _CausedBy(Struct):
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    event_id: str | None = None


_decode_record: Final = msgspec.json.Decoder(_Record).decode
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Told).decode


class History:
    """The records by order key, packed: most are never looked at."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[bytes, ...]] = {}

    def __len__(self) -> int:
        return len(self._told)

    def take(self, key: bytes, value: bytes | None, partition: int, offset: int) -> None:
        """Take a record of `order-halted`; a tombstone ends an order's history."""
        order_key = key.decode()
        if value is None:
            self._told.pop(order_key, None)
            return
        record = _decode_record(value)
        cause = record.caused_by
        told = Told(
            record.sequence,
            record.change,
            record.status,
            record.occurred_at,
            tuple([x.code for x in record.reasons]),
            tuple([x.code for x in record.ended_reasons]),
            Caused(cause.topic, cause.partition, cause.offset, cause.event_id),
            partition,
            offset,
        )
        before = self._told.get(order_key, ())
        self._told[order_key] = (*before[1 - LISTED_MAX :], _encode(told))

    def of(self, studio_id: str, order_id: str) -> list[Told]:
        """Give what was said of an order, the latest first."""
        return [_decode(x) for x in reversed(self._told.get(join_key(studio_id, order_id), ()))]
