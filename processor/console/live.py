"""The live stream: server-sent events, one for every batch of changes.

A browser that lost the connection comes back with the number of the last batch that it has, and gets
what it missed. Where that is not kept any more, or it has never been here, `reset` says to load
everything anew. `state` tells whether the replica keeps up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from processor.console.access import Viewer
from processor.console.console import Health
from processor.console.hub import Changes
from processor.console.problems import Refused
from processor.console.requests import read_query, studio_seen, viewer_of
from processor.console.site import Site
from schemas.events import ShortId

#: Without news, something is sent this often: proxies close what is silent, and we notice who left.
_SILENCE_MAX_SECONDS: Final = 10.0
_RETRY_MS: Final = 2_000
#: Streams that one token may hold, so that nobody takes all there are.
_STREAMS_MAX: Final = 1_000


class ChangesParameters(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose changes, and from where on."""

    studio_id: ShortId | None = None
    """Only this studio's; with a studio's own token it may be left out."""
    after: Annotated[str, Meta(max_length=64)] = ""
    """`live_place` of a page, or the id of the last event that came; empty: from now on. The header
    Last-Event-ID, which browsers send when they come back, beats it."""


class Reset(Struct, frozen=True):
    """What came in between is not kept any more: load everything anew, and go on from here."""


#: What the data of each kind of event is.
EVENTS: Final[dict[str, type[Struct]]] = {"changes": Changes, "state": Health, "reset": Reset}


class Live:
    """The stream."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.watching: Counter[Viewer] = Counter()
        """How many streams are held with each token."""

    async def changes(self, request: Request) -> Response:
        """Send what changes, as server-sent events, until the caller leaves."""
        given, viewer = read_query(request, ChangesParameters), viewer_of(request)
        studio_id = studio_seen(viewer, given.studio_id)
        if self.watching[viewer] >= _STREAMS_MAX:
            raise Refused(429, f"{_STREAMS_MAX} streams are held with this token. Close some.")
        hub = self._site.console.hub
        place = request.headers.get("last-event-id") or given.after
        number = hub.number_at(place) if place else hub.number
        return StreamingResponse(
            self._events(number, viewer, studio_id),
            media_type="text/event-stream",
            headers={"X-Accel-Buffering": "no"},
        )

    async def _events(
        self, number: int | None, viewer: Viewer, studio_id: str | None
    ) -> AsyncIterator[bytes]:
        hub = self._site.console.hub
        self.watching[viewer] += 1
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
            self.watching[viewer] -= 1

    def _state(self) -> bytes:
        return b"event: state\ndata: %b\n\n" % msgspec.json.encode(self._site.console.health)
