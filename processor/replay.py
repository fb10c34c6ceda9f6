"""Records from JSON Lines through the rules, with no broker.

One machine a partition, the very one that a worker drives; so what comes out is, byte for byte,
what a worker would have put on `order-halted` for the same records in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from processor.rules.forgetting import Retention
from processor.rules.machine import Machine
from schemas import topics
from schemas.errors import Rejection, RejectionCode
from schemas.halted import Emission
from schemas.instants import parse_instant


class Line(Struct, frozen=True):
    """One record as a line of JSON."""

    topic: str
    """Without prefix."""
    value: Raw | UnsetType = UNSET
    """The event; a string stands for the record's text as it is, null for no value at all."""
    key: str | UnsetType | None = UNSET
    """Absent: the value's studio_id; null: a record without key."""
    timestamp: int | None = None
    """Milliseconds; absent: the value's occurred_at."""
    partition: int = 0
    offset: int | None = None
    """Absent: the number of the line, from 0."""


class Rejected(Struct, frozen=True):
    """A line that is not an event, and why."""

    line: int
    """From 1, over all files."""
    topic: str | None
    partition: int
    offset: int
    code: str
    message: str


class _Peek(Struct, frozen=True):
    studio_id: Any = None
    occurred_at: Any = None


@dataclass(slots=True)
class Summary:
    """What a replay has come to."""

    lines: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    opened_reasons: Counter[str] = field(default_factory=Counter)
    """Primary reasons of the halts that opened."""
    halted: dict[bytes, str] = field(default_factory=dict)
    """Order key → primary reason of the orders that are halted now."""


class _Head(Struct, frozen=True):
    """What a summary needs of a record."""

    change: str
    primary_reason: str | None


_decode_line: Final = msgspec.json.Decoder(Line).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_decode_peek: Final = msgspec.json.Decoder(_Peek).decode
_decode_head: Final = msgspec.json.Decoder(_Head).decode
_TOPICS: Final = frozenset(topic.name for topic in topics.INPUTS)


class Replay:
    """Replays lines one after the other."""

    def __init__(
        self,
        *,
        topic_prefix: str = "",
        retention: Retention | None = None,
        partitions: int | None = None,
        emit: Callable[[Emission], None],
        reject: Callable[[Rejected], None],
    ) -> None:
        """Make an empty state; `partitions`: check keys against Kafka's default partitioner."""
        self.summary = Summary()
        self._prefix = topic_prefix
        self._retention = retention
        self._partitions = partitions
        self._emit = emit
        self._reject = reject
        self._machines: dict[int, Machine] = {}

    def feed(self, lines: Iterable[bytes]) -> None:
        """Replay lines; blank ones only count."""
        for line in lines:
            number = self.summary.lines
            self.summary.lines = number + 1
            if not line.isspace() and line:
                self._feed(line, number)

    def _feed(self, text: bytes, number: int) -> None:
        try:
            line = _decode_line(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as fault:
            message = f"The line is not a record: {fault}."
            code = RejectionCode.MALFORMED_JSON
            if isinstance(fault, msgspec.ValidationError):
                code = RejectionCode.INVALID_EVENT
            self._refuse(number, None, number, Rejection(code, message))
            return
        offset = number if line.offset is None else line.offset
        if line.topic not in _TOPICS:
            fault_ = Rejection(RejectionCode.INVALID_EVENT, "topic: is no input topic.", "topic")
            self._refuse(number, line, offset, fault_)
            return
        try:
            value, key, timestamp = _record(line)
        except UnicodeDecodeError:
            fault_ = Rejection(RejectionCode.MALFORMED_JSON, "value: is not UTF-8.", "value")
            self._refuse(number, line, offset, fault_)
            return
        machine = self._machines.get(line.partition) or self._machine(line.partition)
        try:
            emitted = machine.apply(
                self._prefix + line.topic, line.partition, offset, timestamp, key, value
            )
        except Rejection as fault:
            self._refuse(number, line, offset, fault)
            return
        machine.forget_changes()
        for emission in emitted:
            self._count(emission)
            self._emit(emission)

    def _machine(self, partition: int) -> Machine:
        machine = self._machines[partition] = Machine(
            partition,
            topic_prefix=self._prefix,
            retention=self._retention,
            partitions=self._partitions,
        )
        return machine

    def _refuse(self, number: int, line: Line | None, offset: int, fault: Rejection) -> None:
        topic, partition = (line.topic, line.partition) if line is not None else (None, 0)
        self.summary.rejected[fault.code] += 1
        self._reject(Rejected(number + 1, topic, partition, offset, str(fault.code), fault.message))

    def _count(self, emission: Emission) -> None:
        summary = self.summary
        if emission.value is None:
            return
        head = _decode_head(emission.value)
        summary.changes[head.change] += 1
        if head.primary_reason is None:
            summary.halted.pop(emission.key, None)
        else:
            summary.halted[emission.key] = head.primary_reason
            if head.change == "opened":
                summary.opened_reasons[head.primary_reason] += 1


def _record(line: Line) -> tuple[bytes | None, bytes | None, int]:
    """Give value, key and timestamp of the record that a line stands for."""
    value: bytes | None = None
    if isinstance(line.value, Raw):
        value = bytes(line.value)
        if value == b"null":
            value = None
        elif value[:1] == b'"':
            value = _decode_text(value).encode()
    key, timestamp = line.key, line.timestamp
    if key is UNSET or timestamp is None:
        peek = _peek(value)
        if key is UNSET:
            key = peek.studio_id if isinstance(peek.studio_id, str) else None
        if timestamp is None:
            timestamp = _milliseconds(peek.occurred_at)
    return value, key.encode() if isinstance(key, str) else None, timestamp


def _peek(value: bytes | None) -> _Peek:
    try:
        return _decode_peek(value or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Peek()


def _milliseconds(occurred_at: Any) -> int:
    try:
        return parse_instant(occurred_at) // 1000
    except (TypeError, ValueError):
        return 0
