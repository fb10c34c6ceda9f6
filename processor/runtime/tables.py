"""Faust tables over the rows of the machines: to read, not to write.

Rows change only through `Machine.apply`, or they would not be in the partition's transaction. Reading
sees every partition that this worker owns, applied but perhaps not yet committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, cast

from faust.stores.base import Store
from faust.tables.table import Table as FaustTable

if TYPE_CHECKING:
    from processor.runtime.runtime import Runtime

_READ_ONLY = (
    "Cannot change table {table}: rows change only through the machine's `apply`, in the transaction "
    "of the record that caused it."
)


class ShardStore(Store[bytes, Any]):
    """The rows of one table, over all partitions of this worker (`store="shard://"`)."""

    @property
    def _runtime(self) -> Runtime:
        runtime: Runtime = cast("Any", self.app).runtime
        return runtime

    def _refuse_change(self) -> NoReturn:
        raise TypeError(_READ_ONLY.format(table=self.table_name))

    def __getitem__(self, key: bytes) -> Any:
        row = self._runtime.row(self.table_name, key)
        if row is None:
            raise KeyError(key)
        return row

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self._runtime.row(self.table_name, key) is not None

    def __iter__(self) -> Iterator[bytes]:
        for machine in self._runtime.machines():
            yield from machine.keys(self.table_name)

    def __len__(self) -> int:
        return sum(machine.size(self.table_name) for machine in self._runtime.machines())

    def __setitem__(self, key: bytes, value: Any) -> None:
        self._refuse_change()

    def __delitem__(self, key: bytes) -> None:
        self._refuse_change()

    def clear(self) -> None:
        """Refuse, as every change."""
        self._refuse_change()

    def _clear(self) -> None:
        self._refuse_change()

    def apply_changelog_batch(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuse: the runtime's own recovery loads the rows."""
        self._refuse_change()

    def persisted_offset(self, tp: Any) -> None:
        """Return None: nothing is on disk."""

    def reset_state(self) -> None:
        """Do nothing: there is no state here."""

    async def backup_partition(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: the changelog is the backup."""

    def restore_backup(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: the changelog is the backup."""


class Table(FaustTable[bytes, Any]):
    """A Faust table without changelog messages, sensors and topic declaration of its own."""

    async def on_start(self) -> None:
        """Start the store; the changelog topic exists, or the start check had refused."""
        await self.add_runtime_dependency(self.data)

    def on_key_get(self, key: Any) -> None:
        """Do nothing: no sensor per key."""

    def on_key_set(self, key: Any, value: Any) -> None:
        """Do nothing: the store refuses."""

    def on_key_del(self, key: Any) -> None:
        """Do nothing: the store refuses."""
