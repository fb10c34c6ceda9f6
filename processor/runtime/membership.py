"""What happens when partitions come and go: assigned, kept, revoked, the end.

    revoked / SIGTERM   apply nothing more (epoch) → commit the open windows → join, or leave
    assigned            give up what went elsewhere → prove that what was kept is still ours →
                        kept partitions go on → recover the new ones → new partitions go on

Kept partitions keep their state and their producer. Whether somebody else has owned one meanwhile
(a group that forgot us while we slept) shows in an empty transaction: it fails if we were fenced.
Kafka's revoke-everything rebalance would otherwise cost a recovery of everything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from processor.runtime import failpoints, failstop, recovery
from processor.runtime.partition import Partition
from processor.runtime.transaction import PartitionWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from processor.runtime.runtime import Runtime
    from processor.runtime.transport import Consumer

log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS: Final = 10.0


class Membership:
    """Follows the consumer group; called on the event loop, by Faust's table manager."""

    def __init__(self, runtime: Runtime, app: Any) -> None:
        self._runtime = runtime
        self._app = app
        self._settling: asyncio.Task[None] | None = None

    def revoked(self) -> None:
        """Apply nothing more. Synchronous: no record may slip in between."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        self._runtime.suspend()

    def assigned(self, inputs: set[Any], settled: Callable[[], None]) -> None:
        """Take over an assignment, in a task of its own: the group protocol does not wait for it."""
        self.revoked()
        self._settling = failstop.watched(self._settle(inputs, settled), "taking over partitions")

    async def stop(self) -> None:
        """Give everything up, at the end; the open windows have been committed."""
        self.revoked()
        await self._runtime.give_up(list(self._runtime.partitions))

    async def _settle(self, inputs: set[Any], settled: Callable[[], None]) -> None:
        runtime = self._runtime
        started, epoch = time.monotonic(), runtime.epoch
        numbers = _numbers(inputs, runtime.config.inputs)
        await runtime.give_up([number for number in runtime.partitions if number not in numbers])
        kept = sorted(runtime.partitions)
        await asyncio.gather(
            *(runtime.partitions[number].commit(even_if_empty=True) for number in kept)
        )
        if kept:
            await self._go_on(kept, epoch)
        new = sorted(numbers.difference(kept))
        if new:
            await self._recover(new)
            failpoints.hit("before_seek")
            await self._go_on(new, epoch)
        settled()
        runtime.observer.owned(frozenset(numbers))
        log.info(
            "Ready with partitions %s (kept %s) after %.2f s",
            sorted(numbers),
            kept,
            time.monotonic() - started,
            extra={"partitions": sorted(numbers), "kept": kept},
        )
        if not numbers:
            await self._stay_in_reserve()

    async def _stay_in_reserve(self) -> None:
        """Stay in the group without partitions, until the next rebalance.

        A member that fetches nothing for the poll interval leaves, and never joins again: it would
        not be there when a partition needs it.
        """
        while True:
            await asyncio.sleep(_KEEP_ALIVE_SECONDS)
            if self._app.should_stop:
                return  # The consumer's thread may have ended.
            await self._consumer.keep_alive()

    async def _recover(self, numbers: list[int]) -> None:
        """Recover partitions; they count as ours only when they are complete."""
        runtime = self._runtime
        partitions = [self._new_partition(number) for number in numbers]
        try:
            await recovery.recover(
                runtime.config, partitions, runtime.observer, self._consumer.keep_alive
            )
        except asyncio.CancelledError:
            await asyncio.gather(*(partition.writer.close() for partition in partitions))
            raise
        for partition in partitions:
            runtime.partitions[partition.number] = partition
            partition.start()

    def _new_partition(self, number: int) -> Partition:
        runtime = self._runtime
        return Partition(
            number,
            runtime.machine_factory(number),
            PartitionWriter(runtime.config, number),
            runtime.config,
            runtime.observer,
            set_paused=self._set_paused,
            rejected_limit_bytes=runtime.rejected_limit_bytes,
        )

    async def _go_on(self, numbers: list[int], epoch: int) -> None:
        """Position the inputs of partitions and let their records come."""
        consumer, partitions = self._consumer, [self._runtime.partitions[p] for p in numbers]
        await consumer.position_at(
            {
                (topic, partition.number): offset
                for partition in partitions
                for topic, offset in partition.next.items()
            }
        )
        # Between here and the end nothing is awaited but the start of the fetcher.
        assert epoch == self._runtime.epoch, "an assignment that is over must have been cancelled"
        for partition in partitions:
            partition.active = True
            self._set_paused(partition.number, False)
        if not consumer.flow_active or not self._app.flow_control.is_active():
            # Resuming also empties the queues, so it is done once and not for each group.
            self._app.flow_control.resume()
            consumer.resume_flow()
            await self._app.start_fetching()

    @property
    def _consumer(self) -> Consumer:
        return self._app.consumer  # type: ignore[no-any-return]

    def _set_paused(self, number: int, paused: bool) -> None:
        self._consumer.set_paused(
            [(topic, number) for topic in self._runtime.config.inputs], paused=paused
        )


def _numbers(assigned: set[Any], inputs: tuple[str, ...]) -> set[int]:
    """Return the partition numbers of an assignment, which has all inputs of each."""
    numbers = {tp.partition for tp in assigned}
    wanted = {(topic, number) for topic in inputs for number in numbers}
    assert wanted == set(assigned), f"not co-partitioned: {sorted(wanted ^ set(assigned))}"
    return numbers
