"""What is not as it must be, with its place."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

from msgspec import Struct

#: So many are kept of each partition, and all are counted: one fault may bring many about.
KEPT_MAX: Final = 50


class Check(StrEnum):
    """Which promise a finding breaks."""

    APPLIED_ONCE = "applied_once"
    """Every committed input offset stands in the journal exactly once, and none beyond."""
    JOURNAL = "journal"
    """The journal itself: readable, of this partition, its numbers rising."""
    HALTS = "halts"
    """order-halted is what the replay gives, byte for byte."""
    SEQUENCE = "sequence"
    """1, 2, 3 … per order."""
    STATE = "state"
    """The changelogs are what the replay gives."""
    REJECTED = "rejected"
    """orderhalt-rejected is complete, byte for byte."""
    POSITIONS = "positions"
    """Positions rows, group offsets and journal agree."""
    PARTITION = "partition"
    """Every key is in the partition of its studio."""


class Finding(Struct, frozen=True):
    """One difference. `offset` is where to look; None where the place itself is missing."""

    check: Check
    topic: str
    partition: int
    offset: int | None
    transaction: int | None
    """The number of the journal's transaction at which it was noticed; None: of no single one."""
    message: str


class Findings:
    """The findings of one partition: the first ones, and how many there are of each kind."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.kept: list[Finding] = []
        self.counts: Counter[Check] = Counter()
        self.transaction: int | None = None
        """At which transaction the replay is."""

    def add(self, check: Check, topic: str, offset: int | None, message: str) -> None:
        """Note a difference."""
        self.counts[check] += 1
        if len(self.kept) < KEPT_MAX:
            self.kept.append(
                Finding(check, topic, self.partition, offset, self.transaction, message)
            )


def shown(key: bytes | None) -> str:
    """Show a key in a message; a stranger's control characters must not steer a terminal."""
    return "no key" if key is None else ascii(key.decode(errors="backslashreplace"))
