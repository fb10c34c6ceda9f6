"""The world: virtual time, what happens next, and the stream of records that comes of it."""

from __future__ import annotations

from bisect import bisect
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from processor.simulator.malformed import Malformer
from processor.simulator.orders import place_order
from processor.simulator.records import Record
from processor.simulator.shops import Studio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from processor.simulator.settings import Settings

#: How many minutes of virtual time stay written out.
_MINUTES_KEPT: Final = 10_000


def simulate(settings: Settings) -> Iterator[Record]:
    """Give the world's records for ever, in the order in which they are sent."""
    world = World(settings)
    if not settings.malformed_share:
        return world.records()
    return Malformer(settings).mixed_into(world.records())


class World:
    """A queue of what happens when, and the one source of chance."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.random = Random(settings.seed)  # noqa: S311  (a simulation)
        self.now_us = settings.start_us
        self._lifetime_us = settings.lifetime_us
        self._queue: list[tuple[int, int, Record | Callable[[], None]]] = []
        self._queued = 0
        self._minutes: dict[int, str] = {}
        weights = [1 / (rank + 1) ** 1.1 for rank in range(settings.studios)]
        self._shares = list(accumulate(weight / sum(weights) for weight in weights))
        self._studios = [
            Studio(self, number + 1, weight / sum(weights)) for number, weight in enumerate(weights)
        ]
        for studio in self._studios:
            for account in studio.accounts:
                self.at(self.now_us + self.draw_span(0.0, 0.3), account.open)
        self.at(self.now_us, self._order_comes)

    def records(self) -> Iterator[Record]:
        """Let time pass."""
        queue = self._queue
        while True:
            self.now_us, _, what = heappop(queue)
            if type(what) is Record:
                yield what
            else:
                what()  # type: ignore[operator]  # all that is no record is called

    def at(self, when_us: int, action: Callable[[], None]) -> None:
        """Let something happen then."""
        self._queued += 1
        heappush(self._queue, (when_us, self._queued, action))

    def send(self, topic: str, studio: Studio, occurred_us: int, body: dict[str, Any]) -> None:
        """Let an event occur then, to be sent at once, or late, or twice."""
        random = self.random.random
        settings = self.settings
        event = {
            "event_id": f"{self.random.getrandbits(128):032x}",
            "occurred_at": self.instant(occurred_us),
            "studio_id": studio.studio_id,
            **body,
        }
        value = orjson.dumps(event)
        sent_us = occurred_us
        if random() < settings.late_share:
            sent_us += self.draw_span(0.05, 1.0)
        self._queue_record(topic, studio.key, value, sent_us)
        if random() < settings.duplicate_share:
            self._queue_record(topic, studio.key, value, sent_us + self.draw_span(0.0, 0.5))

    def _queue_record(self, topic: str, key: bytes, value: bytes, sent_us: int) -> None:
        self._queued += 1
        record = Record(topic, key, value, sent_us // 1000)
        heappush(self._queue, (sent_us, self._queued, record))

    def draw_span(self, least: float, most: float) -> int:
        """Draw a span between two multiples of an order's life, in microseconds, 1 at least."""
        share = least + (most - least) * self.random.random()
        return 1 + int(share * self._lifetime_us)

    def instant(self, when_us: int) -> str:
        """Write an instant as RFC 3339 with microseconds."""
        minute, microseconds = divmod(when_us, 60_000_000)
        text = self._minutes.get(minute)
        if text is None:
            if len(self._minutes) >= _MINUTES_KEPT:
                self._minutes.clear()
            text = datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")
            self._minutes[minute] = text
        return f"{text}{microseconds // 1_000_000:02d}.{microseconds % 1_000_000:06d}Z"

    def _order_comes(self) -> None:
        place_order(self, self._studios[bisect(self._shares, self.random.random() * 0.999999)])
        gap_us = self.random.expovariate(1 / self.settings.order_gap_us)
        self.at(self.now_us + 1 + int(gap_us), self._order_comes)
