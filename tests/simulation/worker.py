"""One worker process: the real runtime, with stand-ins for Faust's app and for its thread.

Real: partition, window, transaction, recovery, membership, positions, reading, batches, assignor,
rejecting, and of the transport the drain loop, the fetch that is waited for, cursors and seeks; the
producer of aiokafka. Stand-ins: Faust's services, which only say when which of these is called; the
order of these calls is taken from Faust's `App._on_partitions_revoked`, `_on_partitions_assigned` and
`_stop_consumer`.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from faust.transport.drivers.aiokafka import ConsumerRebalanceListener
from faust.types import TP
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from processor.runtime import failstop, transport
from processor.runtime.assignor import CopartitionAssignor
from processor.runtime.config import RuntimeConfig
from processor.runtime.membership import Membership
from processor.runtime.protocol import MachineFactory, Observer
from processor.runtime.runtime import Runtime
from tests.simulation import coordination
from tests.simulation.consumer import SimConsumer
from tests.simulation.loop import Context, Process, SimLoop

_FETCH_WAIT_SECONDS = 0.5
_STOP_WITHIN_SECONDS = 9.0


class _Calls:
    """A thread that runs what another one asks it to."""

    def __init__(self, loop: SimLoop, context: Context) -> None:
        self._loop = loop
        self._context = context

    async def call(
        self, promise: asyncio.Future[Any], function: Any, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Ask for a call; the promise holds its result."""
        self._loop.create_task(_fulfil(promise, function, args, kwargs), context=self._context)
        return promise


async def _fulfil(promise: asyncio.Future[Any], function: Any, args: Any, kwargs: Any) -> None:
    if promise.cancelled():
        return
    try:
        result = await function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - for whoever waits for the promise
        if not promise.done():
            promise.set_exception(error)
    else:
        if not promise.done():
            promise.set_result(result)


class SimThread(transport.ConsumerThread):
    """The consumer's thread: the runtime's own methods, without a thread."""

    def __init__(self, consumer: SimInputs, calls: _Calls, loop: SimLoop) -> None:
        self.consumer: Any = consumer
        self.app = consumer.app
        self.thread_loop: Any = loop
        self._calls = calls
        self._loop_now = loop
        self._cursors = {}

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        promise: asyncio.Future[Any] = self._loop_now.create_future()
        return await (await self._calls.call(promise, fun, *args, **kwargs))


class SimInputs(transport.Consumer):
    """The consumer as the event loop of the worker sees it."""

    def __init__(self, app: SimApp, thread_calls: _Calls, own_calls: _Calls, loop: SimLoop) -> None:
        self.app: Any = app
        self.callback = app.on_message
        self._active_partitions = set()
        self._paused_partitions = set()
        self._buffered_partitions = set()
        self.flow_active = True
        self.can_resume_flow: Any = asyncio.Event()
        self.suspend_flow: Any = asyncio.Event()
        self._stopped: Any = asyncio.Event()
        self._fetching = asyncio.Lock()
        self._in_flight = None
        self._resumed = asyncio.Event()
        self._next_poll_at = 0.0
        self._method_queue: Any = own_calls
        self._thread: Any = SimThread(self, thread_calls, loop)

    async def wait(self, *events: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109
        await events[0].wait()

    def assignment(self) -> set[TP]:
        now = self._thread._consumer.assignment_now
        return {TP(tp.topic, tp.partition) for tp in now.states} if now is not None else set()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """As Faust's, without its spans."""
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self.app.on_revoked()

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """As Faust's, without its spans."""
        self._paused_partitions.intersection_update(assigned)
        self._set_active_tps(assigned)
        await self.app.on_assigned(set(assigned))


class SimApp:
    """What the runtime asks of Faust's app, and what Faust's app asks of the runtime."""

    def __init__(
        self,
        loop: SimLoop,
        process: Process,
        config: RuntimeConfig,
        factory: MachineFactory,
        observer: Observer,
    ) -> None:
        self.process = process
        self.runtime = Runtime(config, factory, observer)
        self.membership = Membership(self.runtime, self)
        self.should_stop = False
        self.consumer_generation_id = 0
        self.flow_control = FlowControlEvent()
        self._loop = loop
        self._queues: dict[str, FlowControlQueue[Any]] = {}
        self._fetcher = SimpleNamespace(_stopped=asyncio.Event())
        self._drain: asyncio.Task[None] | None = None
        main, thread = loop.new_lane(process), loop.new_lane(process)
        self._main, self._thread = main, thread
        loop.create_task(self._start(), context=main)

    async def _start(self) -> None:
        config, loop = self.runtime.config, self._loop
        thread_calls = _Calls(loop, self._thread)
        self.consumer = SimInputs(self, thread_calls, _Calls(loop, self._main), loop)
        for topic in config.inputs:
            queue: FlowControlQueue[Any] = FlowControlQueue(
                1_000_000, flow_control=self.flow_control, clear_on_resume=True
            )
            self._queues[topic] = queue
            failstop.watched(_agent(queue), f"agent of {topic}")
        await thread_calls.call(loop.create_future(), self._start_consumer)

    async def _start_consumer(self) -> None:
        config, thread = self.runtime.config, self.consumer._thread
        consumer = SimConsumer(wait=_FETCH_WAIT_SECONDS, max_poll_records=config.max_poll_records)
        thread._consumer = consumer
        await consumer.start()
        self.coordination = coordination.Coordination(
            consumer,
            coordination.Membership(
                config.group_id,
                config.inputs,
                config.instance_id,
                session_seconds=config.session_timeout_ms / 1000,
            ),
            CopartitionAssignor(lambda: list(self.runtime.partitions)),
            ConsumerRebalanceListener(thread),
        )
        failstop.watched(self.coordination.run(), "group coordination")

    # -- what Faust's app is asked

    def on_rebalance_start(self) -> None:
        """Hear that a rebalance starts."""

    async def on_message(self, message: Any) -> None:
        await self._queues[message.topic].put(message.value)

    async def start_fetching(self) -> None:
        if self._drain is None:
            self._drain = failstop.watched(
                self.consumer._drain_messages(self._fetcher), "drain loop"
            )

    async def on_revoked(self) -> None:
        """As `App._on_partitions_revoked`."""
        if self.should_stop:
            return
        self.membership.revoked()
        assignment = self.consumer.assignment()
        if assignment:
            self._suspend(assignment)
            await self.consumer.wait_empty()

    def _suspend(self, assignment: set[TP]) -> None:
        self.consumer.stop_flow()
        self.flow_control.suspend()
        self.consumer.pause_partitions(assignment)
        self.flow_control.clear()

    async def on_assigned(self, assigned: set[TP]) -> None:
        """As `App._on_partitions_assigned`."""
        if self.should_stop:
            return
        await asyncio.sleep(0)
        self.consumer.pause_partitions(assigned)
        await asyncio.sleep(0)
        self.membership.assigned(set(assigned), self._settled)

    def _settled(self) -> None:
        """Hear that an assignment has been taken over."""

    # -- the orderly end

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._loop.call_soon(self._begin_to_stop, context=self._main)

    def _begin_to_stop(self) -> None:
        if not self.should_stop and hasattr(self, "coordination"):
            failstop.watched(self._stop(), "the orderly end")

    async def _stop(self) -> None:
        """As `App.on_stop`: `_stop_consumer`, then the services."""
        self.should_stop = True
        failstop.stop_after(_STOP_WITHIN_SECONDS)
        assignment = self.consumer.assignment()
        if assignment:
            self.membership.revoked()
            self._suspend(assignment)
            await self._stop_fetching()
            await self.consumer.wait_empty()
            await self._stop_fetching()
            await self.membership.stop()
        await self.consumer._thread.call_thread(self._leave)
        self.process.end()

    async def _stop_fetching(self) -> None:
        self._fetcher._stopped.set()
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None

    async def _leave(self) -> None:
        await self.coordination.close()


async def _agent(queue: FlowControlQueue[Any]) -> None:
    while True:
        batch = await queue.get()
        await batch.apply()
