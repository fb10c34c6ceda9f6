"""A shop's application on a real port, for browsers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn

from processor.console.access import Access
from processor.console.serve import listen
from tests.console.shop import Shop

Result = TypeVar("Result")


class Served:
    """Serves in a thread of its own; `do` runs something where the application runs."""

    def __init__(
        self, shop: Shop, access: Access | None = None, *, port: int = 0, **settings: Any
    ) -> None:
        self.shop = shop
        self._socket = listen("127.0.0.1", port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            shop.app(access, **settings),
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        await self._server.serve([self._socket])
        # As the end of a process does: live streams are cut off.
        for connection in list(self._server.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def do(self, action: Callable[[], Result]) -> Result:
        """Run `action` in the event loop; gives what it gives."""

        async def run() -> Result:
            return action()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)
