"""Events that leave a state of a wanted size: half of its rows orders, half of them deleted photos.

Of ten orders four have been through the lab, and the others are in flight. With `churn`, each of the
latter gets so many further transfers, which replace its row and leave stale ones in the changelog.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from confluent_kafka import Producer

from schemas import topics
from schemas.partitioning import default_partition

STUDIOS: Final = 2_000
_PHOTOS_AN_EVENT: Final = 20
_START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)


class Event(NamedTuple):
    """One record of an input topic."""

    topic: str
    studio: str
    value: bytes


class Maker:
    """Makes events, each with an id and an instant of its own; any number of times."""

    def __init__(self) -> None:
        self._made = 0

    def state(self, rows: int, churn: int) -> Iterator[Event]:
        """Give the events that leave about `rows` rows."""
        orders = rows // 2
        for number in range(0, rows - orders, _PHOTOS_AN_EVENT):
            yield self.photos_deleted(number)
        for number in range(orders):
            yield self.placed(number)
        for number in range(orders):
            if number % 10 < 4:
                yield self.transfer(number, "succeeded", 1)
        for attempt in range(1, churn + 1):
            for number in range(orders):
                if number % 10 >= 4:
                    yield self.transfer(number, "started", attempt)

    def one_for_each(self, partitions: int) -> list[Event]:
        """Give one new order for each partition."""
        found: dict[int, Event] = {}
        number = 1_000_000_000 + self._made * STUDIOS
        while len(found) < partitions:
            event = self.placed(number)
            found.setdefault(default_partition(event.studio.encode(), partitions), event)
            number += 1
        return list(found.values())

    def placed(self, number: int) -> Event:
        """Place an order of two lines and six photos."""
        photos = [f"P{number // 10:09}-{(number * 7 + at) % 60:04}" for at in range(6)]
        fields = {
            "order_id": f"O{number:010}",
            "placed_at": _START.isoformat(),
            "lines": [
                {"line_id": "1", "product_id": "card-50x70", "photo_ids": photos[:4]},
                {"line_id": "2", "product_id": "calendar-15x20", "photo_ids": photos[4:]},
            ],
            "production_cost": {"amount_minor": 4_990, "currency": "EUR"},
            "paid": False,
        }
        return self._event(topics.ORDER_PLACED.name, number, fields)

    def transfer(self, number: int, status: str, attempt: int) -> Event:
        """Transfer a whole order."""
        fields = {
            "order_id": f"O{number:010}",
            "transfer_id": f"T{number:010}-{attempt}",
            "package_id": None,
            "attempt": attempt,
            "status": status,
        }
        return self._event(topics.LAB_TRANSFER.name, number, fields)

    def photos_deleted(self, number: int) -> Event:
        """Delete photos that no order refers to."""
        ids = [f"gone-{number + at:010}" for at in range(_PHOTOS_AN_EVENT)]
        fields = {"asset_type": "photo", "asset_ids": ids}
        return self._event(topics.ASSET_DELETED.name, number // _PHOTOS_AN_EVENT, fields)

    def _event(self, topic: str, number: int, fields: dict[str, Any]) -> Event:
        studio = f"studio-{number % STUDIOS:04}"
        self._made += 1
        value = {
            "event_id": f"{self._made:032x}",
            "occurred_at": (_START + timedelta(milliseconds=self._made)).isoformat(),
            "studio_id": studio,
            **fields,
        }
        return Event(topic, studio, orjson.dumps(value))


def send(servers: str, partitions: int, events: Iterator[Event] | list[Event]) -> int:
    """Send events, each to the partition of its studio; give how many."""
    producer = Producer(
        {"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
    )
    places = {
        name: default_partition(name.encode(), partitions)
        for name in (f"studio-{number:04}" for number in range(STUDIOS))
    }
    sent = 0
    for event in events:
        while True:
            try:
                producer.produce(
                    event.topic, event.value, event.studio.encode(), places[event.studio]
                )
            except BufferError:
                producer.poll(0.05)
            else:
                break
        sent += 1
    left = producer.flush(120)
    assert left == 0, f"the broker does not take {left} records"
    return sent
