"""The sequence of each order on `order-halted`: 1, 2, 3 …, until a tombstone ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from processor.runtime.protocol import Emission
from processor.verify.findings import Check, Findings, shown


class _Said(msgspec.Struct, frozen=True):
    sequence: int


_decode: Final = msgspec.json.Decoder(_Said).decode


def sequence_of(value: bytes) -> int:
    """Give the sequence that a record of order-halted has."""
    return _decode(value).sequence


class Sequences:
    """Follows them through what the replay makes, which the log is then compared with."""

    def __init__(self, topic: str, findings: Findings, known: Mapping[bytes, int]) -> None:
        """Go on from `known`: order key → sequence of its last record."""
        self.last = dict(known)
        self._topic = topic
        self._findings = findings

    def check(self, emissions: Sequence[Emission]) -> None:
        """Check the records of one transaction."""
        for key, value, _ in emissions:
            assert key is not None, "every record of order-halted has a key"
            if value is None:
                self.last.pop(key, None)
                continue
            found, expected = sequence_of(value), self.last.get(key, 0) + 1
            if found != expected:
                self._findings.add(
                    Check.SEQUENCE,
                    self._topic,
                    None,
                    f"the sequence of {shown(key)} goes on with {found}, and must with {expected}",
                )
            self.last[key] = found
