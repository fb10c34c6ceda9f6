"""Where a later verification may start: what a clean one has found, in one file.

A zip with `about.json` and a member for each partition, so that reading and writing hold one
partition at a time and damage is noticed.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import msgspec
from msgspec import Struct

from processor.rules.changes import ChangedRow
from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, INLINE_TRANSFERS, OwnTransfer, encode
from processor.verify.replay import Origin
from schemas.errors import StateRefused
from schemas.partitioning import join_key

SNAPSHOT_FORMAT: Final = 1
_ABOUT: Final = "about.json"


class About(Struct, frozen=True):
    """Of which deployment it is."""

    format: int
    group: str
    topic_prefix: str
    partitions: int
    """Of the topics."""
    verified: bool = True
    """False: it goes back to a state that was taken as it was (`taking`)."""


class PartitionSnapshot(Struct, array_like=True, frozen=True):
    """One partition after one of its transactions."""

    number: int
    """Of the transaction."""
    committed_ms: int
    """When it was committed, by the broker's clock."""
    checkpoint: bytes | None
    reached: dict[str, int]
    """Input topic → next offset."""
    next: dict[str, int]
    """Topic → next offset, of journal, positions and outputs."""
    rows: list[ChangedRow]
    halts: dict[bytes, tuple[bytes, int]]
    """Order key → digest and sequence of its last record on order-halted."""
    otherwise: dict[str, dict[bytes, bytes]] = {}
    """Table → key → digest of its last record in the changelog, of rows that another release wrote in
    other bytes than stand in `rows`."""


class SnapshotWriter:
    """Writes a snapshot beside its name, and moves it there when all is said."""

    def __init__(self, path: Path, about: About) -> None:
        """Begin; nothing is at `path` before `commit`."""
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._zip = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._zip.writestr(_ABOUT, msgspec.json.encode(about))

    def add(self, partition: int, snapshot: PartitionSnapshot) -> None:
        """Write one partition."""
        self._zip.writestr(_member(partition), msgspec.msgpack.encode(snapshot))

    def commit(self) -> None:
        """Put it where it belongs, in the place of an older one."""
        self._zip.close()
        with self._partial.open("rb") as written:
            os.fsync(written.fileno())
        self._partial.replace(self._path)

    def drop(self) -> None:
        """Leave nothing behind."""
        self._zip.close()
        self._partial.unlink(missing_ok=True)


class SnapshotReader:
    """Reads a snapshot one partition at a time; every fault of the file is a StateRefused."""

    def __init__(self, path: Path) -> None:
        """Open it."""
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
            self.about = msgspec.json.decode(self._zip.read(_ABOUT), type=About)
        except (OSError, zipfile.BadZipFile, KeyError, msgspec.MsgspecError) as error:
            raise self._unusable(error) from error
        if self.about.format > SNAPSHOT_FORMAT:
            raise self._unusable(
                f"has format {self.about.format}, and this release reads up to {SNAPSHOT_FORMAT}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def check(self, group: str, topic_prefix: str, partitions: int) -> None:
        """Refuse the snapshot of another deployment."""
        about = self.about
        ours = (group, topic_prefix, partitions)
        if (about.group, about.topic_prefix, about.partitions) != ours:
            raise self._unusable(
                f"is of the deployment with group {about.group!r}, prefix {about.topic_prefix!r} and "
                f"{about.partitions} partitions, not of {group!r}, {topic_prefix!r} and {partitions}"
            )

    def read(self, partition: int) -> PartitionSnapshot:
        """Read one partition."""
        try:
            return msgspec.msgpack.decode(
                self._zip.read(_member(partition)), type=PartitionSnapshot
            )
        except (zipfile.BadZipFile, KeyError, msgspec.MsgspecError) as error:
            raise self._unusable(f"partition {partition}: {error}") from error

    def _unusable(self, why: object) -> StateRefused:
        return StateRefused(
            f"The snapshot {self._path} cannot be used: {why}.\n"
            "Name one that `orderhalt verify --write-snapshot` has written for this deployment."
        )


def _member(partition: int) -> str:
    return f"partition-{partition}.msgpack"


def rows_of(machine: Machine) -> Iterator[ChangedRow]:
    """Give every row of a machine as it stands in the changelogs."""
    for table in machine.tables:
        for key in machine.keys(table):
            row = machine.row(table, key)
            assert row is not None, "a key has a row"
            if table != "orders" or len(row.transfers) <= INLINE_TRANSFERS:
                yield table, key, encode(row)
                continue
            own = row.transfers[INLINE_TRANSFERS:]
            yield (
                table,
                key,
                encode(msgspec.structs.replace(row, transfers=row.transfers[:INLINE_TRANSFERS])),
            )
            for transfer in own:
                scope = join_key(transfer.package_id or "").encode()
                yield table, key + b"/" + scope, encode(OwnTransfer(FORMAT, transfer))


def resume(machine: Machine, snapshot: PartitionSnapshot) -> Origin:
    """Fill an empty machine, and say where the replay goes on."""
    for table, key, value in snapshot.rows:
        machine.load(table, key, value)
    pending = machine.resume(snapshot.checkpoint)
    return Origin(snapshot.number, snapshot.committed_ms, dict(snapshot.reached), pending)
