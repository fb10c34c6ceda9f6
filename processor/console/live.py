"""The live stream: server-sent events, one for every batch of changes.

A browser that lost the connection comes back with the number of the last batch that it has, and gets
what it missed. Where that is not kept any more, or it has never been here, `reset` says to load
everything anew. `state` tells whether the replica keeps up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from processor.console.requests import studio_seen, viewer_of
from processor.console.site import Site

#: Without news, something is sent this often: proxies close what is silent, and we notice who left.
_SILENCE_MAX_SECONDS: Final = 10.0
_RETRY_MS: Final = 2_000


class Live:
    """The stream."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.watching = 0
        """How many are connected."""

    async def stream(self, request: Request) -> Response:
        """Send what changes, from the batch after Last-Event-ID (or `after`) on."""
        studio_id = studio_seen(viewer_of(request), request.query_params.get("studio_id"))
        hub = self._site.console.hub
        place = request.headers.get("last-event-id") or request.query_params.get("after")
        number = hub.number_at(place) if place else hub.number
        return StreamingResponse(
            self._events(number, studio_id),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _events(self, number: int | None, studio_id: str | None) -> AsyncIterator[bytes]:
        hub = self._site.console.hub
        self.watching += 1
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode() + self._state()
            while True:
                batches = None if number is None else hub.after(number)
                if batches is None or number is None:
                    number = hub.number
                    yield f"event: reset\nid: {hub.place}\ndata: {{}}\n\n".encode()
                    continue
                if batches:
                    number = batches[-1].number
                if news := b"".join([batch.event(studio_id) for batch in batches]):
                    yield news
                try:
                    async with asyncio.timeout(_SILENCE_MAX_SECONDS):
                        await hub.wait(number)
                except TimeoutError:
                    yield self._state()
        finally:
            self.watching -= 1

    def _state(self) -> bytes:
        return b"event: state\ndata: %b\n\n" % msgspec.json.encode(self._site.console.health)
