"""What the runtime asks of a state machine, and what it tells its observers.

The runtime owns everything that touches Kafka; a machine owns what the records mean. There is one
machine per partition, and one caller: nothing here is called from two places at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from schemas.errors import RejectionCode

Headers = Sequence[tuple[str, bytes]]
#: A record to produce: key, value (None is a tombstone) and headers. A `NamedTuple` with
#: these three fields, such as `schemas.halted.Emission`, is one.
Emission = tuple[bytes | None, bytes | None, Headers]
#: A changed row: table, key, and the encoded row or None where it is gone.
ChangedRow = tuple[str, bytes, bytes | None]


class Machine(Protocol):
    """The state of one partition; deterministic: the same records in the same order, the same bytes.

    The life of a machine: `load` for every record of every changelog, `resume` once, then `apply`
    for every input record, with `drain` and `checkpoint` whenever a commit window closes.
    """

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables; each has a changelog of its own."""

    @property
    def dirty(self) -> int:
        """How many rows the next `drain` returns."""

    def load(self, table: str, key: bytes, value: bytes | None) -> None:
        """Take one changelog record at recovery; later ones for the same key replace it.

        Raises `schemas.errors.StateRefused` for a row that this version cannot read.
        """

    def resume(self, checkpoint: bytes | None) -> Sequence[Emission]:
        """Go on after all rows are loaded; None where there was no commit before."""

    def checkpoint(self) -> bytes:
        """Return what `resume` needs besides the rows; stored with the positions of the inputs."""

    def apply(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
    ) -> Sequence[Emission]:
        """Decode and apply one input record; `topic` with its prefix, `timestamp` in ms.

        Raises `schemas.errors.Rejection` before anything has changed when the record is no event.
        Any other exception is a bug and stops the worker.
        """

    def drain(self) -> Sequence[ChangedRow]:
        """Return the rows that changed since the last call, and forget that they did."""

    def report(self) -> object:
        """Return what it has to tell of the records since the last call, for the observer alone.

        Called after `resume`, and after each `drain`; the runtime does not look into it.
        """

    def row(self, table: str, key: bytes) -> Any | None:
        """Return one row for reading, None where there is none."""

    def keys(self, table: str) -> Iterator[bytes]:
        """Iterate over the keys of a table."""

    def size(self, table: str) -> int:
        """Count the rows of a table."""


#: Makes the empty machine of one partition.
MachineFactory = Callable[[int], Machine]


@dataclass(frozen=True, slots=True)
class Committed:
    """What one transaction has made count, for an observer."""

    partition: int
    emissions: Sequence[Emission]
    records: Mapping[str, int]
    """Input topic → records that were applied or rejected."""
    rejections: Sequence[tuple[str, RejectionCode]]
    """(input topic, code) of every rejected record."""
    offsets: Mapping[str, int]
    """Input topic → offset of the next record to apply. All inputs."""
    last_ms: Mapping[str, int]
    """Input topic → timestamp of the last record in it; only topics that had records."""
    report: object
    """What the machine had to tell of the window."""
    opened_at: float | None
    """When the window had its first record, monotonic clock; None where no record was in it."""
    sealed_at: float
    """When its transaction began, monotonic clock."""
    ended_at: float
    """When its transaction was through, monotonic clock."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A partition that has its state back, for an observer."""

    partition: int
    rows: int
    """Changelog records read."""
    seconds: float
    """For it and all partitions that were recovered together with it."""
    offsets: Mapping[str, int]
    """Input topic → offset of the next record to apply."""
    report: object
    """What the machine had to tell of the rows."""


class Observer:
    """Told what happens, on the event loop; must be quick and must not raise. Override what you need."""

    def starting(self) -> None:
        """Hear that the app starts; nothing has been checked, nothing is recovered."""

    def stopping(self) -> None:
        """Hear that the end has begun: SIGTERM, or Ctrl-C."""

    def suspended(self) -> None:
        """Hear that nothing is applied from now on: a rebalance has begun, or the end."""

    def recovered(self, recovered: Recovered) -> None:
        """Hear that a partition has its state back."""

    def given_up(self, partitions: frozenset[int]) -> None:
        """Hear that partitions, and all that was told of them, are others' business from now on."""

    def owned(self, partitions: frozenset[int]) -> None:
        """Hear that an assignment has been taken over: what this worker processes from now on."""

    def opened(self, partition: int, at: float) -> None:
        """Hear that a commit window has its first record; `at`: monotonic clock."""

    def committed(self, committed: Committed) -> None:
        """Hear that a transaction is through."""

    def paused(self, partition: int) -> None:
        """Hear that the inputs of a partition wait for room in the window."""

    def resumed(self, partition: int) -> None:
        """Hear that they do so no longer; `suspended` ends it too."""
