"""Run the service: Kafka on one side, browsers on the other, until somebody ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from processor.config import ConfigurationError, Settings
from processor.console.access import Access, Open, read_tokens
from processor.console.app import create_app
from processor.console.console import Console
from processor.console.feed import feed
from processor.console.settings import ConsoleSettings

_BACKLOG: Final = 1024
#: Live streams never end by themselves.
_END_WITHIN_SECONDS: Final = 2


async def serve(
    deployment: Settings, settings: ConsoleSettings, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; pages say that they are loading until the state has been read.

    Raises ConfigurationError where the address or the tokens cannot be used, and what `feed` raises.
    """
    access: Access = Open() if settings.tokens is None else read_tokens(settings.tokens)
    listening = _listen(settings)
    console = Console({})
    config = uvicorn.Config(
        create_app(console, settings, access),
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_END_WITHIN_SECONDS,
    )
    server = _Server(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.end)
    feeding = asyncio.create_task(feed(console, deployment))
    feeding.add_done_callback(lambda _: server.end())
    say(f"The pages are at {address_of(listening)}")
    try:
        await server.serve([listening])
    finally:
        listening.close()
        if not feeding.done():
            feeding.cancel()
        await _outcome(feeding)


class _Server(uvicorn.Server):
    """Ends in good order: uvicorn itself would let the signal end the process once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to us."""
        yield

    def end(self) -> None:
        """Take no more requests, and end."""
        self.should_exit = True


async def _outcome(feeding: asyncio.Task[None]) -> None:
    try:
        await feeding
    except asyncio.CancelledError:
        return
    except ExceptionGroup as group:
        # One fault ends all the tasks; it alone is of interest.
        fault: BaseException = group
        while isinstance(fault, BaseExceptionGroup):
            fault = fault.exceptions[0]
        raise fault from None


def listen(host: str, port: int) -> socket.socket:
    """Listen for browsers; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    # What it accepts inherits this. asyncio sets it by itself only where a socket names its protocol,
    # which this one does not; without it the end of an answer waits 40 ms for an acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _listen(settings: ConsoleSettings) -> socket.socket:
    try:
        return listen(settings.host, settings.port)
    except OSError as fault:
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {fault.strerror or fault}. Choose "
            "another --port, or 0 for a free one."
        ) from None


def address_of(listening: socket.socket) -> str:
    """Give the address for a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
