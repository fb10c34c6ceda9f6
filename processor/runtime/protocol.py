"""What the runtime asks of a state machine, and what it tells its observers.

The runtime owns everything that touches Kafka; a machine owns what the records mean. There is one
machine per partition, and one caller: nothing here is called from two places at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

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

    def row(self, table: str, key: bytes) -> Any | None:
        """Return one row for reading, None where there is none."""

    def keys(self, table: str) -> Iterator[bytes]:
        """Iterate over the keys of a table."""

    def size(self, table: str) -> int:
        """Count the rows of a table."""


#: Makes the empty machine of one partition.
MachineFactory = Callable[[int], Machine]


class Observer:
    """Told what happens, on the event loop; must be quick and must not raise. Override what you need."""

    def handled(self, topic: str, partition: int, records: int, rejected: int) -> None:
        """Hear that records of one input topic have been applied, before they are committed."""

    def committed(self, partition: int, entries: int, records: int, seconds: float) -> None:
        """Hear that a transaction of `entries` rows and records for `records` inputs is through."""

    def recovered(self, partition: int, rows: int, seconds: float) -> None:
        """Hear that a partition has its state back."""

    def owned(self, partitions: frozenset[int]) -> None:
        """Hear that the set of partitions that this worker processes has changed."""
