"""An event loop with virtual time, in which processes die or freeze between any two callbacks.

Every callback belongs to a lane, by a variable in its context: the event loop of one thread of one
process. Within a lane callbacks run in the order in which asyncio would run them; which lane is next
is drawn from the seed, and so is how long each takes. When none is ready, time jumps to the next
timer.

A process that dies runs nothing more: its callbacks are dropped, no `finally` runs, nothing is
closed. One that is frozen runs nothing until it wakes; its timers are due all at once then.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, NoReturn, cast

Context = contextvars.Context


class Died(BaseException):
    """Unwinds the callback in which a process ends; nothing of that process runs afterwards."""


class Stuck(Exception):
    """The virtual time that a run may take is over."""


class Process:
    """An operating system process, as far as the event loop is concerned."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.cut_at = float("inf")
        """What it has sent and what arrives later than this, with it died."""
        self.steps_left = -1
        """Dies, or freezes, after so many callbacks; below 0: not so."""
        self.when_steps_end: Callable[[], None] | None = None
        self.when_dead: Callable[[], None] | None = None

    def end(self) -> None:
        """Run nothing more."""
        if not self.dead:
            self.dead = True
            if self.when_dead is not None:
                self.when_dead()

    def step(self) -> None:
        """Count a callback that is about to run."""
        if self.steps_left > 0:
            self.steps_left -= 1
        elif self.steps_left == 0:
            self.steps_left = -1
            if self.when_steps_end is not None:
                self.when_steps_end()

    def __repr__(self) -> str:
        return self.name


class Lane:
    """The ready callbacks of one thread of a process."""

    __slots__ = ("process", "ready")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.ready: deque[Handle] = deque()


class Handle:
    """What `call_soon` and its like return; lighter than asyncio's, of which there are many."""

    __slots__ = ("args", "callback", "cancelled_", "context", "when_")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, when: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_ = when
        self.cancelled_ = False

    def cancel(self) -> None:
        self.cancelled_ = True

    def cancelled(self) -> bool:
        return self.cancelled_

    def when(self) -> float:
        return self.when_


_lane: contextvars.ContextVar[Lane] = contextvars.ContextVar("lane")


def current_process() -> Process:
    """Return the process whose callback is running."""
    return _lane.get().process


async def until(condition: Callable[[], bool], every: float) -> None:
    """Look again and again, which costs nothing in virtual time, until something is so."""
    while not condition():  # noqa: ASYNC110 - what is waited for cannot say so
        await asyncio.sleep(every)


class SimLoop:
    """See the module's docstring. It has of asyncio's loops what is used here, and no more."""

    def __init__(self, random: Random) -> None:
        self.now = 0.0
        self.cost = 0.0
        """What a callback takes, in seconds, at most: so timers fall due between any two."""
        self.callbacks = 0
        self.errors: list[str] = []
        """Exceptions that nobody has taken."""
        self._random = random.random
        self._world = Lane(Process("world"))
        self._context = contextvars.copy_context()
        self._context.run(_lane.set, self._world)
        self._timers: list[tuple[float, int, Handle]] = []
        self._timer_number = 0
        self._busy: list[Lane] = []
        self._tasks: list[asyncio.Task[Any]] = []

    # -- lanes

    def new_lane(self, process: Process) -> Context:
        """Make a context whose callbacks run in a lane of their own."""
        context = contextvars.copy_context()
        context.run(_lane.set, Lane(process))
        return context

    @property
    def world(self) -> Context:
        """The context of what is no process: broker, network, the scenario."""
        return self._context

    def spawn(self, work: Coroutine[Any, Any, Any], context: Context) -> asyncio.Task[Any]:
        """Start a task in the lane of `context`."""
        task: asyncio.Task[Any] = self.create_task(work, context=context)
        return task

    def wake(self, process: Process) -> None:
        """Let a frozen process go on."""
        process.frozen = False

    # -- what asyncio asks of a loop

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=cast("Any", self))

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        task: asyncio.Task[Any] = asyncio.Task(
            coro, loop=cast("Any", self), name=name, context=context
        )
        # Kept to the end: a task that is collected runs its `finally`s, when the collector likes.
        self._tasks.append(task)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        if context is None:
            context = contextvars.copy_context()
        handle = Handle(callback, args, context, 0.0)
        self._put(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        if context is None:
            context = contextvars.copy_context()
        handle = Handle(callback, args, context, when)
        self._timer_number += 1
        heapq.heappush(self._timers, (when, self._timer_number, handle))
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None and not isinstance(error, Died):
            self.errors.append(f"{context.get('message')}: {error!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> NoReturn:
        raise NotImplementedError

    # -- running

    def _put(self, handle: Handle) -> None:
        lane = handle.context.get(_lane, self._world)
        if not lane.ready:
            self._busy.append(lane)
        lane.ready.append(handle)

    def run(self, work: Coroutine[Any, Any, Any], until: float) -> Any:
        """Run until `work` is done; raises Stuck at virtual time `until`."""
        before = events._get_running_loop()
        assert before is None, "one loop at a time"
        events._set_running_loop(cast("Any", self))
        try:
            task = self.spawn(work, self.world)
            while not task.done():
                self._run_ready()
                if not task.done() and not self._advance(until):
                    raise Stuck(f"not done after {until:g} s of virtual time")
            return task.result()
        finally:
            events._set_running_loop(None)

    def _run_ready(self) -> None:
        """Run callbacks until none is ready."""
        busy, random, timers = self._busy, self._random, self._timers
        while busy:
            while timers and timers[0][0] <= self.now:
                handle = heapq.heappop(timers)[2]
                if not handle.cancelled_:
                    self._put(handle)
            at = int(random() * len(busy)) if len(busy) > 1 else 0
            lane = busy[at]
            process = lane.process
            if process.steps_left >= 0 and not process.frozen:
                process.step()
            if process.dead or process.frozen:
                del busy[at]
                if process.dead:
                    lane.ready.clear()
                else:
                    self._look_again_later(lane)
                continue
            ready = lane.ready
            handle = ready.popleft()
            if not ready:
                del busy[at]
            if handle.cancelled_:
                continue
            self.callbacks += 1
            self.now += random() * self.cost
            try:
                handle.context.run(handle.callback, *handle.args)
            except Died:
                pass
            except Exception as error:  # noqa: BLE001 - told at the end of the run
                self.errors.append(f"callback {handle.callback!r}: {error!r}")

    def _look_again_later(self, lane: Lane) -> None:
        """Look whether a frozen lane has woken, in 50 ms."""
        self.call_later(0.05, self._look_again, lane, context=self._context)

    def _look_again(self, lane: Lane) -> None:
        if lane.ready:
            self._busy.append(lane)

    def _advance(self, until: float) -> bool:
        """Go to the next timer; False where there is none in time."""
        timers = self._timers
        while timers:
            when, _, handle = heapq.heappop(timers)
            if handle.cancelled_:
                continue
            if when > until:
                return False
            if when > self.now:
                self.now = when
            self._put(handle)
            return True
        return False

    def close(self) -> None:
        """Drop what is left of every task, without a word of those that are not done."""
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            if task.done():
                if not task.cancelled():
                    task.exception()
                continue
            # A `finally` that awaits cannot, and one that fails in a dead process says nothing.
            with contextlib.suppress(Exception, Died):
                cast("Any", task.get_coro()).close()
        self._tasks.clear()
        self._timers.clear()
        self._busy.clear()
