"""The model of `aiokafka.AIOKafkaConsumer`: fetches ahead, hands out, moves positions.

What matters of aiokafka for the runtime, and is kept: one fetch at a time is at the broker, for all
partitions that have a valid position and nothing fetched ahead; its answer counts only where the
position is still the one that was asked for; records that were handed out have moved the position,
whether anybody has seen them or not; a rebalance makes positions invalid until the committed offsets
have been asked for, and what was fetched ahead is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError, KafkaConnectionError

from tests.simulation.client import World
from tests.simulation.log import Record
from tests.simulation.network import Connection

RETRY_SECONDS: Final = 0.02


class State:
    """One assigned partition."""

    __slots__ = ("_position", "ahead", "has_valid_position", "paused")

    def __init__(self) -> None:
        self._position = -1
        self.has_valid_position = False
        self.paused = False
        self.ahead: tuple[list[Record], int] | None = None
        """What was fetched and not handed out, and where it ends."""

    @property
    def position(self) -> int:
        assert self.has_valid_position
        return self._position

    def move(self, offset: int) -> None:
        self._position, self.has_valid_position = offset, True


class Assignment:
    """The partitions of a consumer until the next rebalance."""

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self.states = {tp: State() for tp in sorted(partitions)}
        self.active = True

    def state_value(self, tp: Any) -> State | None:
        return self.states.get(tp)


class SimConsumer:
    """Enough of a consumer for recovery's readers and, with `coordination`, for the inputs."""

    def __init__(
        self, *, committed: bool = True, wait: float = 0.5, max_poll_records: int = 1_000
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._network = World.here.network
        self._broker = World.here.broker
        self._connection = Connection()
        self._committed = committed
        self._wait = wait
        self._max_poll_records = max_poll_records
        self._closed = False
        self._fetching: asyncio.Task[None] | None = None
        self._changed: asyncio.Future[None] | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self.assignment_now: Assignment | None = None
        self.reassigning: asyncio.Future[None] | None = None
        """Set while a rebalance is under way: nothing is handed out."""
        self.committed_offsets: Callable[..., Awaitable[Mapping[TopicPartition, int]]] | None = None
        # The names under which Faust's driver and the runtime's transport know these things.
        self._subscription = SimpleNamespace(subscription=self)
        self._fetcher = self
        self._subscriptions = self

    # -- life

    async def start(self) -> None:
        await self.call(self._broker.list_offsets, (), False, False)
        self._fetching = self._loop.create_task(self._fetch_ahead())

    async def stop(self) -> None:
        self._closed = True
        if self._fetching is not None:
            self._fetching.cancel()
        self._wake()

    @property
    def assignment(self) -> Assignment | None:
        return self.assignment_now

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Assign by hand."""
        if self.assignment_now is not None:
            self.assignment_now.active = False
        self.assignment_now = Assignment(partitions)
        self._notify()

    @contextmanager
    def fetch_context(self) -> Iterator[None]:
        yield

    async def call(self, handler: Callable[..., Any], *args: Any) -> Any:
        """Ask the broker, again and again where the connection breaks."""
        while True:
            try:
                return await self._network.request(self._connection, handler, *args)
            except KafkaConnectionError:
                self._connection = Connection()
                await asyncio.sleep(RETRY_SECONDS)

    # -- positions

    def _state(self, tp: TopicPartition) -> State:
        assert self.assignment_now is not None
        return self.assignment_now.states[tp]

    def seek(self, tp: TopicPartition, offset: int) -> None:
        state = self._state(tp)
        state.move(offset)
        state.ahead = None
        self._notify()

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        for tp, offset in (await self.beginning_offsets(partitions)).items():
            self.seek(tp, offset)

    async def position(self, tp: TopicPartition) -> int:
        return self._state(tp).position

    def pause(self, *partitions: TopicPartition) -> None:
        for tp in partitions:
            self._state(tp).paused = True

    def resume(self, *partitions: TopicPartition) -> None:
        for tp in partitions:
            self._state(tp).paused = False
        self._notify()

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = await self.call(
            self._broker.list_offsets, tuple(partitions), False, self._committed
        )
        return found

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = await self.call(
            self._broker.list_offsets, tuple(partitions), True, self._committed
        )
        return found

    # -- fetching ahead

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _fetch_ahead(self) -> None:
        while True:
            self._changed = self._loop.create_future()
            assignment = self.assignment_now
            positions = self._fetchable(assignment)
            if not positions or assignment is None:
                await self._changed
                continue
            found = await self.call(self._broker.fetch, positions, self._committed, self._wait)
            if assignment.active:
                self._keep(assignment, positions, found)

    def _fetchable(self, assignment: Assignment | None) -> dict[TopicPartition, int]:
        if assignment is None or not assignment.active:
            return {}
        return {
            tp: state.position
            for tp, state in assignment.states.items()
            if state.has_valid_position and not state.paused and state.ahead is None
        }

    def _keep(
        self, assignment: Assignment, asked: Mapping[TopicPartition, int], found: Mapping[Any, Any]
    ) -> None:
        for tp, (records, end) in found.items():
            state = assignment.states[tp]
            if state.ahead is not None or not state.has_valid_position:
                continue
            if state.position != asked[tp]:
                continue
            if end < 0:
                # Out of range: `auto_offset_reset="earliest"`.
                state.move(self._broker.logs[tp].start)
            else:
                state.ahead = records, end
        self._wake()

    async def position_from_group(self, assignment: Assignment) -> None:
        """Go to the committed offsets, where nobody has sought meanwhile."""
        assert self.committed_offsets is not None
        offsets = await self.committed_offsets(tuple(assignment.states))
        starts = await self.beginning_offsets(tuple(assignment.states))
        for tp, state in assignment.states.items():
            if assignment.active and not state.has_valid_position:
                state.move(offsets[tp] if offsets[tp] >= 0 else starts[tp])
        self._notify()

    # -- handing out

    def _hand_out(
        self, partitions: Iterable[Any] | None, most: int | None
    ) -> dict[TopicPartition, list[Record]]:
        handed: dict[TopicPartition, list[Record]] = {}
        assignment = self.assignment_now
        if assignment is None or not assignment.active:
            return handed
        left = self._max_poll_records if most is None else most
        for tp, state in assignment.states.items():
            if state.ahead is None or state.paused or left <= 0:
                continue
            if partitions and tp not in partitions:
                continue
            records, end = state.ahead
            if len(records) > left:
                taken, state.ahead = records[:left], (records[left:], end)
                state.move(taken[-1].offset + 1)
            else:
                taken, state.ahead = records, None
                state.move(end)
                self._notify()
            if taken:
                handed[tp] = taken
                left -= len(taken)
        return handed

    async def fetched_records(
        self,
        partitions: Iterable[Any] | None,
        timeout: float = 0,  # noqa: ASYNC109 - aiokafka's name
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[Record]]:
        deadline = self._loop.time() + timeout
        while True:
            if self.reassigning is not None:
                await self.reassigning
            if self._closed:
                raise ConsumerStoppedError
            handed = self._hand_out(partitions, max_records)
            left = deadline - self._loop.time()
            if handed or left <= 0:
                return handed
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.add(waiter)
            timer = self._loop.call_later(left, _resolve, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiters.discard(waiter)

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Record]]:
        return await self.fetched_records(partitions or None, timeout_ms / 1000, max_records)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
