"""What state costs: memory by kind of row, and events that touch much at once.

    python -m bench.scale [--only CASE] [--json FILE]

Every case drives one machine with encoded events, in a process of its own, without Kafka; rows are
drained every 2,000 events, as a worker's commits do. Memory is what the process has more at the end
than before the first event, divided by what it holds: indexes, timers, queues and the allocator's
waste included. Each case checks what came out before its figure counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from bench.machine import description
from processor.rules.machine import Machine
from processor.runtime import garbage

_DRAINED_EVERY: Final = 2_000
_STUDIOS: Final = 2_000
_START: Final = datetime(2026, 1, 5, 8, tzinfo=UTC)
_START_MS: Final = int(_START.timestamp() * 1000)
#: How many of each there are while memory is measured.
_ORDERS, _CLOSED, _MARKS = 200_000, 400_000, 1_000_000
_HOT_ORDERS: Final = 10_000
_MASS: Final = 10_000

Result = dict[str, Any]
Event = tuple[str, str, dict[str, Any]]
"""Topic, studio and the fields that are its own."""


def main() -> None:
    """Run all cases, or one of them in this process."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=CASES, help="this case, in this process")
    parser.add_argument("--json", type=Path, help="write the results there, too")
    arguments = parser.parse_args()
    if arguments.only:
        result = CASES[arguments.only]()
    else:
        result = {"measured": "state", **description()} | {name: _apart(name) for name in CASES}
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201 - this is what it is for
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")


def _apart(name: str) -> Result:
    sys.stderr.write(f"{name} …\n")
    command = [sys.executable, "-m", "bench.scale", "--only", name]
    found: Result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


class World:
    """A machine, and the events that it gets."""

    def __init__(self) -> None:
        self.machine = Machine(0)
        self._emitted = 0
        self._offset = 0
        garbage.settle()
        self._before = _resident_bytes()

    def apply(self, events: Iterable[Event]) -> float:
        """Apply events; give the CPU seconds it took, rows included, the making of events not."""
        spent = 0.0
        batch: list[tuple[str, int, int, int, bytes, bytes]] = []
        for event in events:
            batch.append(self._record(event))
            if len(batch) == _DRAINED_EVERY:
                spent += self._take(batch)
                batch = []
        return spent + self._take(batch)

    def apply_one(self, event: Event) -> float:
        """Apply one event; give the seconds by the clock, rows included."""
        record = self._record(event)
        started = time.perf_counter()
        self._emitted += len(self.machine.apply(*record))
        self.machine.drain()
        return time.perf_counter() - started

    def has_said(self, count: int) -> bool:
        """Tell whether so many records have come out."""
        return self._emitted == count

    def bytes_for_each(self, count: int) -> int:
        """Give the memory that was taken since the beginning, by what is held now."""
        gc.collect()
        return round((_resident_bytes() - self._before) / count)

    def _record(self, event: Event) -> tuple[str, int, int, int, bytes, bytes]:
        topic, studio, fields = event
        self._offset += 1
        occurred_at = (_START + timedelta(milliseconds=self._offset)).isoformat()
        value = {
            "event_id": f"{self._offset:032x}",
            "occurred_at": occurred_at,
            "studio_id": studio,
            **fields,
        }
        at = _START_MS + self._offset
        return topic, 0, self._offset, at, studio.encode(), orjson.dumps(value)

    def _take(self, batch: list[tuple[str, int, int, int, bytes, bytes]]) -> float:
        started = time.process_time()
        for record in batch:
            self._emitted += len(self.machine.apply(*record))
        self.machine.drain()
        return time.process_time() - started


def _resident_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


# ---- events


def _studio(number: int) -> str:
    return f"studio-{number % _STUDIOS:04}"


def _placed(studio: str, number: int, cost: int = 4_990) -> Event:
    """Place an order of two lines and six photos, of a job that has about ten orders."""
    job = f"J{number // 10:06}"
    photos = [f"{job}-{(number * 7 + at) % 60:04}" for at in range(6)]
    lines = [
        {"line_id": "1", "product_id": "card-50x70", "photo_ids": photos[:4]},
        {"line_id": "2", "product_id": "calendar-15x20", "photo_ids": photos[4:]},
    ]
    fields = {
        "order_id": f"{number:07}",
        "placed_at": (_START + timedelta(milliseconds=number)).isoformat(),
        "lines": lines,
        "production_cost": {"amount_minor": cost, "currency": "EUR"},
        "paid": True,
    }
    return "order-placed", studio, fields


def _transferred(studio: str, number: int, status: str = "succeeded") -> Event:
    fields = {
        "order_id": f"{number:07}",
        "transfer_id": f"{number:07}-1",
        "package_id": None,
        "attempt": 1,
        "status": status,
        "lab_id": "lab-6",
    }
    return "lab-transfer", studio, fields


def _deleted(studio: str, photos: list[str]) -> Event:
    fields = {
        "asset_type": "photo",
        "asset_ids": photos,
        "deleted_by": "user-7",
        "restorable_until": (_START + timedelta(days=30)).isoformat(),
    }
    return "asset-deleted", studio, fields


def _balance(studio: str, amount: int, version: int, settled: list[str] | None = None) -> Event:
    balance = {"amount_minor": amount, "currency": "EUR"}
    fields = {"balance": balance, "credit_limit_minor": 0, "version": version}
    return "balance-changed", studio, fields | {"settled_order_ids": settled or []}


# ---- cases


def orders_in_flight() -> Result:
    """Hold orders in flight of two lines and six photos, over 2,000 studios."""
    world = World()
    spent = world.apply(_placed(_studio(number // 10), number) for number in range(_ORDERS))
    assert world.machine.size("orders") == _ORDERS and world.has_said(0)
    return {
        "held": _ORDERS,
        "bytes_each": world.bytes_for_each(_ORDERS),
        "us_each": _us(spent, _ORDERS),
    }


def closed_orders() -> Result:
    """Hold orders that have been transferred and settled; few are in flight at a time."""
    world = World()

    def lives() -> Iterator[Event]:
        for number in range(_CLOSED):
            studio = _studio(number // 10)
            yield _placed(studio, number)
            yield _transferred(studio, number, "started")
            yield _transferred(studio, number)
            if number % 10 == 9:
                settled = [f"{x:07}" for x in range(number - 9, number + 1)]
                yield _balance(studio, 1_000_000, number, settled)

    world.apply(lives())
    assert world.machine.size("orders") == _CLOSED and world.has_said(0)
    return {"held": _CLOSED, "bytes_each": world.bytes_for_each(_CLOSED)}


def single_marks() -> Result:
    """Hold marks of photos that were deleted one by one."""
    world = World()
    world.apply(
        _deleted(_studio(n // 500), [f"J{n // 100:06}-{n % 100:04}"]) for n in range(_MARKS)
    )
    assert world.machine.size("photos") == _MARKS
    return {"held": _MARKS, "bytes_each": world.bytes_for_each(_MARKS)}


def mass_marks() -> Result:
    """Hold marks of photos that were deleted 1,000 at a time."""
    world = World()
    world.apply(
        _deleted(_studio(first // 5_000), [f"J{first // 1_000:06}-{at:04}" for at in range(1_000)])
        for first in range(0, _MARKS, 1_000)
    )
    assert world.machine.size("photos") == _MARKS
    return {"held": _MARKS, "bytes_each": world.bytes_for_each(_MARKS)}


def hot_studio() -> Result:
    """Place and transfer orders of a studio that has 10,000 in flight and money for half of them."""
    world, studio, cost = World(), "studio-0001", 1_000
    world.apply([_balance(studio, cost * _HOT_ORDERS // 2, 1)])
    world.apply(_placed(studio, number, cost) for number in range(_HOT_ORDERS))
    assert world.has_said(_HOT_ORDERS // 2), "half of them are not funded"
    news = [_placed(studio, _HOT_ORDERS + number, cost) for number in range(500)]
    placed = [world.apply_one(event) for event in news]
    # Of the oldest half, which is funded: its turn comes before all others', and money stays tied.
    funded = [world.apply_one(_transferred(studio, 7 * n, "started")) for n in range(500)]
    short = [
        world.apply_one(_transferred(studio, _HOT_ORDERS // 2 + 9 * n, "started"))
        for n in range(500)
    ]
    through = [world.apply_one(_transferred(studio, 7 * n)) for n in range(500)]
    topped_up = world.apply_one(_balance(studio, cost * 2 * _HOT_ORDERS, 2))
    return {
        "in_flight": world.machine.size("orders"),
        "placed_us": _spread(placed),
        "transfer_started_funded_us": _spread(funded),
        "transfer_started_not_funded_us": _spread(short),
        "transfer_succeeded_us": _spread(through),
        "balance_that_releases_all_ms": round(topped_up * 1e3, 1),
    }


def mass_deletion() -> Result:
    """Delete 10,000 photos in one event, which 10,000 orders refer to, and restore them."""
    world, studio = World(), "studio-0001"
    photos = [f"J{number:06}-0001" for number in range(_MASS)]

    def orders() -> Iterator[Event]:
        for number, photo in enumerate(photos):
            topic, _, fields = _placed(studio, number)
            fields["lines"][0]["photo_ids"] = [photo]
            yield topic, studio, fields

    world.apply(orders())
    assert world.has_said(0)
    deleted = world.apply_one(_deleted(studio, photos))
    assert world.has_said(_MASS), "all of them are halted"
    restored = world.apply_one(
        ("asset-restored", studio, {"asset_type": "photo", "asset_ids": photos})
    )
    assert world.has_said(2 * _MASS), "all of them are released"
    return {
        "orders": _MASS,
        "deleted_ms": round(deleted * 1e3, 1),
        "restored_ms": round(restored * 1e3, 1),
    }


def _us(seconds: float, count: int) -> float:
    return round(seconds / count * 1e6, 2)


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "mean": _us(sum(ordered), len(ordered)),
        "median": _us(statistics.median(ordered), 1),
        "p99": _us(ordered[len(ordered) * 99 // 100], 1),
        "max": _us(ordered[-1], 1),
    }


CASES: Final[dict[str, Callable[[], Result]]] = {
    case.__name__: case
    for case in (
        orders_in_flight, closed_orders, single_marks, mass_marks, hot_studio, mass_deletion,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
