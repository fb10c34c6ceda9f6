"""A state machine that knows nothing of orders: it counts records per key and says so.

Values are `id` or `command id`: `reject` is no event, `poison` raises, `fan:N` changes N further
rows, `emit:BYTES` emits that much, `sleep:MS` takes its time, `row:BYTES` writes a row of that size.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from processor.runtime.protocol import ChangedRow, Emission
from schemas.errors import Rejection, RejectionCode


class ToyMachine:
    tables = ("counts", "fans")

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.rows: dict[str, dict[bytes, bytes]] = {table: {} for table in self.tables}
        self.changed: dict[tuple[str, bytes], None] = {}
        self.applied = 0

    @property
    def dirty(self) -> int:
        return len(self.changed)

    def load(self, table: str, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.rows[table].pop(key, None)
        else:
            self.rows[table][key] = value

    def resume(self, checkpoint: bytes | None) -> Sequence[Emission]:
        self.applied = int(checkpoint or 0)
        return []

    def checkpoint(self) -> bytes:
        return b"%d" % self.applied

    def apply(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
    ) -> Sequence[Emission]:
        if not value or key is None:
            raise Rejection(RejectionCode.EMPTY_RECORD, "no value, or no key")
        command, _, ident = value.rpartition(b" ")
        name, _, argument = command.partition(b":")
        pad = b""
        match name:
            case b"reject":
                raise Rejection(RejectionCode.INVALID_EVENT, "id: asked to be rejected")
            case b"poison":
                raise RuntimeError("asked to fail")
            case b"fan":
                for number in range(int(argument)):
                    self._put("fans", b"%s/%d" % (key, number), ident)
            case b"row":
                self._put("fans", key, b"x" * int(argument))
            case b"emit":
                pad = b"x" * int(argument)
            case b"sleep":
                time.sleep(int(argument) / 1000)
        self.applied += 1
        count = int(self.rows["counts"].get(key, b"0")) + 1
        self._put("counts", key, b"%d" % count)
        record = {"id": ident.decode(), "n": count, "topic": topic, "offset": offset}
        if pad:
            record["pad"] = pad.decode()
        return [(key, orjson.dumps(record), (("toy", b"1"),))]

    def _put(self, table: str, key: bytes, value: bytes) -> None:
        self.rows[table][key] = value
        self.changed[table, key] = None

    def drain(self) -> Sequence[ChangedRow]:
        changed, self.changed = self.changed, {}
        return [(table, key, self.rows[table].get(key)) for table, key in changed]

    def report(self) -> object:
        return None

    def row(self, table: str, key: bytes) -> Any | None:
        return self.rows[table].get(key)

    def keys(self, table: str) -> Iterator[bytes]:
        return iter(self.rows[table])

    def size(self, table: str) -> int:
        return len(self.rows[table])
