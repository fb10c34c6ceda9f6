"""The partitions that this worker owns, and the way of a batch to its partition.

`epoch` is the number of the current ownership: it rises at the first sign of a rebalance or of the
end, before anything else happens. A batch carries the epoch under which it was fetched, and is
dropped under another one; it is fetched again from the noted offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from processor.runtime import failpoints
from schemas.topics import INPUT_VALUE_MAX_BYTES, REJECTED_HEADROOM_BYTES

if TYPE_CHECKING:
    from processor.runtime.batches import Batch
    from processor.runtime.config import RuntimeConfig
    from processor.runtime.partition import Partition
    from processor.runtime.protocol import Machine, MachineFactory, Observer

#: Poll batches between the drain loop and the machines; each holds up to `max_poll_records`.
_BATCHES_UNDER_WAY: Final = 8


class Runtime:
    """What the parts of the runtime share: configuration, partitions, epoch."""

    def __init__(
        self, config: RuntimeConfig, machine_factory: MachineFactory, observer: Observer
    ) -> None:
        self.config = config
        self.machine_factory = machine_factory
        self.observer = observer
        self.partitions: dict[int, Partition] = {}
        self.epoch = 0
        self.rejected_limit_bytes = INPUT_VALUE_MAX_BYTES + REJECTED_HEADROOM_BYTES
        """What one record of the rejected topic may take; the start check sets the true value."""
        self._under_way = 0
        self._room = asyncio.Event()

    async def send_off(self, batch: Batch) -> None:
        """Mark a batch as on its way through Faust's queues; wait while too many are.

        Faust's own queues stay unbounded in practice: whoever waits for room in one that a rebalance
        empties is never woken.
        """
        batch.runtime, batch.epoch = self, self.epoch
        while self._under_way >= _BATCHES_UNDER_WAY and batch.epoch == self.epoch:
            self._room.clear()
            await self._room.wait()
        if batch.epoch == self.epoch:
            self._under_way += 1

    async def take(self, batch: Batch) -> None:
        """Apply a batch, then let others run: a topic's queue must not keep the event loop."""
        if batch.epoch != self.epoch:
            return
        self._under_way -= 1
        self._room.set()
        partition = self.partitions.get(batch.partition)
        if partition is not None and partition.active:
            partition.take(batch)
        await asyncio.sleep(0)

    def suspend(self) -> None:
        """Apply nothing from now on: the first thing in a rebalance and at the end."""
        self.epoch += 1
        self._under_way = 0
        self._room.set()
        for partition in self.partitions.values():
            partition.deactivate()
        self.observer.suspended()

    async def commit_open_windows(self) -> None:
        """Commit what has been applied, while the partitions are still ours."""
        failpoints.hit("in_revoke")
        await asyncio.gather(*(partition.commit() for partition in self.partitions.values()))
        failpoints.hit("after_revoke")

    async def finish(self) -> None:
        """Apply what is under way and commit it, before a fail-stop that leaves the state sound."""
        while self._under_way > 0:
            self._room.clear()
            await self._room.wait()
        self.suspend()
        await self.commit_open_windows()

    async def give_up(self, numbers: list[int]) -> None:
        """Forget partitions and everything of theirs in memory."""
        gone = [self.partitions.pop(number) for number in numbers]
        self.observer.given_up(frozenset(numbers))
        # Another rebalance may cancel this; the producers are closed all the same.
        await asyncio.shield(asyncio.gather(*(partition.close() for partition in gone)))

    # -- read-only look at the rows, for Faust tables

    def machines(self) -> Iterator[Machine]:
        """Iterate over the machines of the partitions that are ready."""
        return (partition.machine for partition in self.partitions.values())

    def row(self, table: str, key: bytes) -> Any | None:
        """Find a row in whichever partition has it."""
        for machine in self.machines():
            row = machine.row(table, key)
            if row is not None:
                return row
        return None
