"""A TCP proxy between workers and a broker that knows Kafka's frames, and harms those it is told to.

It reads the length of every frame, the API of every request, and by correlation id to which request
an answer belongs. What it does is what a network can do: a stream of bytes keeps its order, so what
is held back holds back what comes after it, and what was dropped ends the stream silently. What is
on its way to the broker arrives, also when the worker that sent it has died meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from processor.localkafka import free_port

_HOST: Final = "127.0.0.1"
#: How long an answer is waited for whose asker is gone.
_LINGER_SECONDS: Final = 10.0

#: So long what else the producer has sent has time to arrive, and then the late request.
_SETTLING_SECONDS: Final = 0.3


class Api(Enum):
    """Requests, with their numbers in Kafka's protocol."""

    PRODUCE = 0
    FETCH = 1
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


#: What a transaction consists of.
TRANSACTION: Final = tuple(api for api in Api if api is not Api.FETCH)


class Harm(Enum):
    """What is done to one request or its answer."""

    ANSWER_DROPPED = "answer dropped, the connection stays open and silent"
    ANSWER_LATE = "answer held back, then delivered"
    ANSWER_CUT = "connection cut in place of the answer"
    REQUEST_LATE = "request held back, then delivered"
    REQUEST_LATE_AND_CUT = "connection cut, request delivered to the broker later"


@dataclass
class Fault:
    """One harm to the next request of an API; `happened` and `over` say how far it has come."""

    api: Api
    harm: Harm
    seconds: float = 0.0
    only: str = ""
    """Only requests of clients whose id ends so."""
    until: Api | None = None
    """A late request goes on just before the same producer's next request of this API, or after
    `seconds`."""
    happened: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    """Nothing of it is on its way any more."""
    client: str = ""
    """The client id of the request that it met."""
    error_code: int | None = None
    """What the broker answered to the request, where it has a single code."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)


class _Request(NamedTuple):
    api: int
    version: int
    correlation: int
    client: str


class _Due(NamedTuple):
    at: float
    frame: bytes | None
    """None: end of the stream."""
    fault: Fault | None = None


class Proxy:
    """Listens on a port of its own for as long as the block lasts; every connection goes to `target`."""

    def __init__(self, target_port: int, *, port: int = 0, latency_seconds: float = 0.0) -> None:
        """`latency_seconds`: added to every answer."""
        self.port = port or free_port()
        self.latency_seconds = latency_seconds
        self.seen: dict[int, int] = {}
        """API → requests that have passed."""
        self.held: list[Fault] = []
        """Late requests that wait for something else to happen first."""
        self.silent_until = 0.0
        """Nothing passes before, by the monotonic clock."""
        self._target_port = target_port
        self._faults: list[Fault] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._ready = threading.Event()
        self._ended = asyncio.Event()

    @property
    def address(self) -> str:
        return f"{_HOST}:{self.port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(10), "the proxy does not listen"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    def inflict(self, fault: Fault) -> Fault:
        """Do `fault` to the next request that it fits."""
        self._loop.call_soon_threadsafe(self._faults.append, fault)
        return fault

    def cut_off(self, seconds: float) -> None:
        """Let nothing pass for so long; then what was on its way arrives, as TCP would have it."""
        self.silent_until = time.monotonic() + seconds

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, _HOST, self.port)
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up = await asyncio.open_connection(_HOST, self._target_port)
        except OSError:
            writer.close()
            return
        await _Connection(self, reader, writer, *up).run()

    def fault_for(self, request: _Request) -> Fault | None:
        """Take the fault that this request is to suffer."""
        self.seen[request.api] = self.seen.get(request.api, 0) + 1
        for fault in self._faults:
            if fault.api.value == request.api and request.client.endswith(fault.only):
                self._faults.remove(fault)
                fault.client = request.client
                return fault
        return None

    def released_by(self, answered: _Request) -> Fault | None:
        """Find the late request that goes on now."""
        for fault in self.held:
            if (
                fault.until
                and fault.until.value == answered.api
                and fault.client == answered.client
            ):
                self.held.remove(fault)
                return fault
        return None


class _Connection:
    """One connection of a worker and its counterpart at the broker."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy = proxy
        self._reader, self._writer = reader, writer
        self._up_reader, self._up_writer = up_reader, up_writer
        self._asked: deque[tuple[_Request, Fault | None]] = deque()
        self._up: asyncio.Queue[_Due] = asyncio.Queue()
        self._down: asyncio.Queue[_Due] = asyncio.Queue()
        self._silent = False
        self._faults: list[Fault] = []

    async def run(self) -> None:
        """Pump both ways until both sides are done."""
        try:
            async with asyncio.TaskGroup() as pumps:
                answers = pumps.create_task(self._read_answers())
                pumps.create_task(self._write(self._down, self._writer))
                sending = pumps.create_task(self._write(self._up, self._up_writer))
                await self._read_requests()
                self._up.put_nowait(_Due(0, None))
                await sending
                await self._wait_for_late_answers()
                answers.cancel()
                self._down.put_nowait(_Due(0, None))
        finally:
            self._writer.close()
            self._up_writer.close()
            for fault in self._faults:
                fault.over.set()

    async def _wait_for_late_answers(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_SECONDS):
                for fault in [fault for _, fault in self._asked if fault]:
                    await fault.answered.wait()

    async def _read_requests(self) -> None:
        held = 0.0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _read_frame(self._reader)
                request = _request_of(frame)
                if late := self._proxy.released_by(request):
                    asyncio.get_running_loop().call_later(_SETTLING_SECONDS, late.release.set)
                    held = time.monotonic() + 2 * _SETTLING_SECONDS
                fault = self._proxy.fault_for(request)
                # A Produce request with acks 0 would have no answer; no worker sends one.
                self._asked.append((request, fault))
                self._faults += [fault] if fault else []
                if fault and fault.harm in (Harm.REQUEST_LATE, Harm.REQUEST_LATE_AND_CUT):
                    held = time.monotonic() + fault.seconds
                    self._proxy.held += [fault] if fault.until else []
                    fault.happened.set()
                self._up.put_nowait(_Due(held, frame, fault))
                if fault and fault.harm is Harm.REQUEST_LATE_AND_CUT:
                    self._cut()
                    return

    async def _read_answers(self) -> None:
        held = 0.0
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                frame = await _read_frame(self._up_reader)
                request, fault = self._asked[0]
                assert struct.unpack_from(">i", frame, 4)[0] == request.correlation
                if fault:
                    fault.error_code = _error_code(request, frame)
                    fault.answered.set()
                    if fault.harm is Harm.ANSWER_LATE:
                        held = time.monotonic() + fault.seconds
                    self._harm_answer(fault)
                self._asked.popleft()
                if not self._silent:
                    due = max(held, time.monotonic() + self._proxy.latency_seconds)
                    self._down.put_nowait(_Due(due, frame, fault))
        self._down.put_nowait(_Due(held, None))

    def _harm_answer(self, fault: Fault) -> None:
        fault.happened.set()
        if fault.harm is Harm.ANSWER_DROPPED:
            self._silent = True
        if fault.harm is Harm.ANSWER_CUT:
            self._silent = True
            self._cut()
        if fault.harm is not Harm.ANSWER_LATE:
            fault.over.set()

    def _cut(self) -> None:
        """Cut the worker's side at once, with a reset."""
        self._writer.transport.abort()

    async def _write(self, queue: asyncio.Queue[_Due], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due = await queue.get()
                await self._wait_for(due, up=writer is self._up_writer)
                await asyncio.sleep(max(0.0, self._proxy.silent_until - time.monotonic()))
                if due.fault and due.fault.harm is Harm.ANSWER_LATE and writer is self._writer:
                    due.fault.over.set()
                if due.frame is None:
                    break
                writer.write(due.frame)
                await writer.drain()
        if writer is self._writer:
            writer.close()

    async def _wait_for(self, due: _Due, *, up: bool) -> None:
        seconds = max(0.0, due.at - time.monotonic())
        if up and due.fault and due.fault.until:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(due.fault.release.wait(), seconds)
        else:
            await asyncio.sleep(seconds)


async def _read_frame(reader: asyncio.StreamReader) -> bytes:
    """Read one frame with its length."""
    length = await reader.readexactly(4)
    return length + await reader.readexactly(struct.unpack(">i", length)[0])


def _request_of(frame: bytes) -> _Request:
    api, version, correlation, length = struct.unpack_from(">hhih", frame, 4)
    client = frame[14 : 14 + max(0, length)].decode(errors="replace")
    return _Request(api, version, correlation, client)


def _error_code(request: _Request, frame: bytes) -> int | None:
    """Read the code of an answer that has but one: correlation, throttle time, code."""
    single = (Api.INIT_PRODUCER_ID.value, Api.ADD_OFFSETS_TO_TXN.value, Api.END_TXN.value)
    if request.api not in single or request.version > 2:
        return None
    code: int = struct.unpack_from(">h", frame, 12)[0]
    return code
