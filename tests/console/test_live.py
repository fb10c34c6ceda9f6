"""The live stream leaves nothing out: not for who comes back, and not without a word for who is late."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Any

import jsonschema_rs
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from processor.console import hub as hubs
from processor.console import live as lives
from processor.console.access import CARE, Open, Viewer
from processor.console.live import Live
from processor.console.problems import Refused
from processor.console.settings import ConsoleSettings
from processor.console.site import Site
from tests.console.shop import Shop
from tests.contract.vocabulary import deleted, placed, restored


@cache
def _described() -> dict[str, jsonschema_rs.Draft202012Validator]:
    """What the description of the API says of each kind of event."""
    document = Shop().client().get("/api/v1/openapi.json").json()
    kinds = document["paths"]["/api/v1/changes"]["get"]["x-events"]
    components = {"components": document["components"]}
    return {
        name: jsonschema_rs.Draft202012Validator(schema | components)
        for name, schema in kinds.items()
    }


class Stream:
    """A connected browser."""

    def __init__(self, live: Live, viewer: Viewer, query: str = "", last: str = "") -> None:
        headers = [(b"last-event-id", last.encode())] if last else []
        scope = {
            "type": "http",
            "headers": headers,
            "query_string": query.encode(),
            "state": {"viewer": viewer},
        }
        self._live = live
        self._request = Request(scope)
        self._kinds = _described()
        self._events: AsyncIterator[Any] | None = None
        self._buffer = ""

    async def read(self, *kinds: str) -> tuple[str, str, dict[str, Any]]:
        """Give the next event of these kinds: (event, id, data)."""
        if self._events is None:
            response = await self._live.changes(self._request)
            assert isinstance(response, StreamingResponse)
            assert response.media_type == "text/event-stream"
            self._events = aiter(response.body_iterator)
        while True:
            while "\n\n" in self._buffer:
                block, _, self._buffer = self._buffer.partition("\n\n")
                fields = dict(x.split(": ", 1) for x in block.splitlines())
                if "event" not in fields:
                    assert fields.keys() == {"retry"}
                    continue
                data = json.loads(fields["data"])
                self._kinds[fields["event"]].validate(data)
                if fields["event"] in kinds:
                    return fields["event"], fields.get("id", ""), data
            self._buffer += (await asyncio.wait_for(anext(self._events), 5)).decode()

    async def close(self) -> None:
        if self._events is not None:
            await self._events.aclose()  # type: ignore[attr-defined]


def run(test: Callable[[Shop, Live], Any]) -> None:
    async def inside() -> None:
        shop = Shop()
        live = Live(Site(shop.console, ConsoleSettings(), Open()))
        await test(shop, live)

    asyncio.run(inside())


def test_changes_come_as_they_happen() -> None:
    async def test(shop: Shop, live: Live) -> None:
        stream = Stream(live, CARE)
        _, _, state = await stream.read("state")
        assert state == {"ready": True, "connected": True, "behind": 0}
        assert live.watching[CARE] == 1
        shop.send(placed("o1"), deleted("product", "p1"))
        _, place, data = await stream.read("changes")
        assert data["halted"] == 1
        (change,) = data["changes"]
        assert (change["change"], change["order_id"]) == ("opened", "o1")
        assert change["primary_reason"] == "product_missing"
        shop.send(restored("product", "p1", at=2))
        _, later, data = await stream.read("changes")
        assert data["halted"] == 0 and data["changes"][0]["change"] == "ended"
        assert later != place
        await stream.close()
        assert live.watching[CARE] == 0

    run(test)


def test_who_comes_back_gets_what_was_missed() -> None:
    async def test(shop: Shop, live: Live) -> None:
        stream = Stream(live, CARE)
        await stream.read("state")
        shop.send(placed("o1"), deleted("product", "p1"))
        _, place, _ = await stream.read("changes")
        await stream.close()
        shop.send(placed("o2", at=3))
        shop.send(restored("product", "p1", at=4))
        again = Stream(live, CARE, last=place)
        said = [(await again.read("changes", "reset")) for _ in range(2)]
        assert [[c["change"] for c in data["changes"]] for _, _, data in said] == [
            ["opened"],
            ["ended", "ended"],
        ]
        await again.close()

    run(test)


def test_who_is_too_late_is_told_to_load_everything_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is who comes from another process, or from one before this."""
    monkeypatch.setattr(hubs, "_KEPT", 3)

    async def test(shop: Shop, live: Live) -> None:
        place = shop.console.hub.place
        for number in range(4):
            shop.send(placed(f"o{number}"), deleted("product", "p1"))
        for query in (f"after={place}", "after=feed-1", "after=nonsense", "after=ffffffff-99"):
            stream = Stream(live, CARE, query)
            event, now, _ = await stream.read("changes", "reset")
            assert (event, now) == ("reset", shop.console.hub.place)
            await stream.close()

    run(test)


def test_a_studio_s_stream_is_its_own() -> None:
    async def test(shop: Shop, live: Live) -> None:
        stream = Stream(live, Viewer("s2"))
        await stream.read("state")
        shop.send(placed("o1"), deleted("product", "p1"), studio="s1")
        shop.send(placed("o2"), deleted("product", "p1"), studio="s2")
        _, _, data = await stream.read("changes")
        assert data == {"halted": 1, "changes": data["changes"]}
        assert [x["studio_id"] for x in data["changes"]] == ["s2"]
        await stream.close()
        with pytest.raises(Refused):
            await Stream(live, Viewer("s2"), "studio_id=s1").read("changes")

    run(test)


def test_silence_is_broken_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "_SILENCE_MAX_SECONDS", 0.01)

    async def test(shop: Shop, live: Live) -> None:
        stream = Stream(live, CARE)
        for _ in range(3):
            await stream.read("state")
        await stream.close()

    run(test)


def test_nobody_takes_all_streams_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "_STREAMS_MAX", 2)

    async def test(shop: Shop, live: Live) -> None:
        streams = [Stream(live, Viewer("s1")) for _ in range(2)]
        for stream in streams:
            await stream.read("state")
        with pytest.raises(Refused, match="2 streams are held"):
            await Stream(live, Viewer("s1")).read("state")
        other = Stream(live, CARE)
        await other.read("state")
        await streams[0].close()
        await Stream(live, Viewer("s1")).read("state")

    run(test)


def test_many_watchers_all_get_everything() -> None:
    async def test(shop: Shop, live: Live) -> None:
        streams = [Stream(live, CARE) for _ in range(50)]
        await asyncio.gather(*(x.read("state") for x in streams))

        async def listen(stream: Stream) -> list[str]:
            heard: list[str] = []
            while len(heard) < 30:
                _, _, data = await stream.read("changes", "reset")
                heard += [x["order_id"] for x in data["changes"]]
            return heard

        listening = asyncio.gather(*(listen(x) for x in streams))
        shop.send(deleted("product", "p1"))
        for number in range(30):
            shop.send(placed(f"o{number}"))
            await asyncio.sleep(0)
        for heard in await asyncio.wait_for(listening, 30):
            assert heard == [f"o{number}" for number in range(30)]
        await asyncio.gather(*(x.close() for x in streams))

    run(test)
