"""The benchmark's workload: events of the contract with given shares and sizes, from a seed.

    python -m bench.workload [--events N] [--seed N] …       says what a log holds

`processor.simulator` lets studios live and takes the mix that comes of it; here shares and sizes are
what is set, one knob each, so that a sweep can move one and leave the others. The number of orders in
flight stays what it was set to: the log begins with a balance for every studio and so many orders, and
a placement that would be one too many amends an order instead.
"""

from __future__ import annotations

import argparse
import json
from bisect import bisect
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import accumulate
from random import Random
from typing import Final, NamedTuple

from schemas.topics import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_PLACED,
)

#: 2026-01-05T08:00:00Z in microseconds.
_START_US: Final = 1_767_600_000_000_000
_PRODUCTS: Final = 20
_PACKAGES: Final = 4
#: A studio near its limit has between so much and so much of what its orders in flight cost.
_TIGHT_FUNDS: Final = (0.9, 1.1)
_AMPLE_FUNDS: Final = (4.0, 8.0)
#: Every so-manieth studio by rank is near its limit, the largest is not.
_TIGHT_RANK: Final = 7
_COST_MINOR: Final = (300, 6_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One log. Two equal settings make the same records, byte for byte."""

    seed: int = 1
    events: int = 400_000
    """Records in all, those of the beginning and the duplicates included."""
    studios: int = 2_000
    zipf: float = 1.1
    """The share of the studio of rank r is proportional to 1 / r ** zipf."""
    hot_share: float = 0.0
    """The share of all events that the largest studio gets besides its own."""
    orders_in_flight: int = 20_000
    """How many orders are in flight at any time, in all studios together."""
    placed_share: float = 0.44
    """The share of placements and amendments; this and the next three are weights, of their sum."""
    transfer_share: float = 0.44
    balance_share: float = 0.08
    deletion_share: float = 0.04
    """The share of deletions and restorations."""
    restored_share: float = 0.2
    """Of those, the share that restores what was deleted before."""
    job_share: float = 0.3
    """Of deletions, the share that takes all photos of a job; the others take one photo."""
    photos_per_job: int = 60
    orders_per_job: int = 15
    """How many orders take photos of one job before the studio begins another."""
    lines_per_order: int = 2
    photos_per_line: int = 3
    package_share: float = 0.3
    """The share of orders whose lines stand in packages; half of these are transferred one by one."""
    failed_share: float = 0.06
    """The share of transfers that fail; a third of them will not be retried by themselves."""
    tight_share: float = 0.05
    """The share of studios that are near their credit limit."""
    late_share: float = 0.01
    """The share of events that come later than others that occurred after them."""
    late_events: int = 5_000
    """By how many records at the most."""
    duplicate_share: float = 0.005
    """The share of events that are delivered a second time."""
    events_per_second: int = 20_000
    """Of virtual time: only what `occurred_at` says."""

    def describe(self) -> dict[str, object]:
        """Name the knobs that differ from the defaults, for a result."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }


class Record(NamedTuple):
    """One record for an input topic."""

    topic: str
    key: bytes
    value: bytes


class _Order:
    __slots__ = (
        "attempt", "cost_minor", "lines", "number", "packages", "placed_at", "studio", "version"
    )  # fmt: skip

    def __init__(self, studio: _Studio, number: int, cost_minor: int, placed_at: str) -> None:
        self.studio = studio
        self.number = number
        self.cost_minor = cost_minor
        self.placed_at = placed_at
        self.lines = ""
        self.packages: list[str] = []
        self.version = 1
        self.attempt = 0


class _Studio:
    __slots__ = (
        "cost_minor", "deleted", "id", "job", "job_orders", "jobs_done", "key", "lists", "orders", "recent",
        "settled", "tight", "version",
    )  # fmt: skip

    def __init__(self, rank: int, *, tight: bool) -> None:
        self.id = f"studio-{rank:05d}"
        self.key = self.id.encode()
        self.tight = tight
        self.lists = rank % 2 == 0
        """Whether its balances list what they settle, or settle by date."""
        self.job = 1
        self.job_orders = 0
        self.orders = 0
        self.version = 0
        self.cost_minor = 0
        """What its orders in flight cost."""
        self.settled: list[str] = []
        """Orders secured since its last balance."""
        self.recent: deque[str] = deque(maxlen=8)
        """Photos of its latest orders."""
        self.jobs_done: deque[int] = deque()
        """Jobs that are done and not deleted."""
        self.deleted: deque[str] = deque(maxlen=64)
        """Asset ids of its latest deletions, as JSON, that may be restored."""


def generate(workload: Workload) -> list[Record]:
    """Make the log, in the order in which it is sent."""
    return list(_Generator(workload).records())


class _Generator:
    def __init__(self, workload: Workload) -> None:
        self._settings = workload
        self._random = Random(f"bench {workload.seed}")  # noqa: S311 - a simulation
        tight_every = round(1 / workload.tight_share) if workload.tight_share else 0
        self._studios = [
            _Studio(
                rank, tight=bool(tight_every) and rank % tight_every == _TIGHT_RANK % tight_every
            )
            for rank in range(workload.studios)
        ]
        weights = [1 / (rank + 1) ** workload.zipf for rank in range(workload.studios)]
        weights[0] += sum(weights) * workload.hot_share / max(1e-9, 1 - workload.hot_share)
        self._shares = list(accumulate(weight / sum(weights) for weight in weights))
        self._in_flight: list[_Order] = []
        self._events = 0
        self._minute, self._minute_text = -1, ""

    def records(self) -> Iterator[Record]:
        """Give as many records as were asked for."""
        settings, random = self._settings, self._random.random
        later: list[tuple[int, int, Record]] = []
        sent = 0
        for record in self._events_for_ever():
            while later and later[0][0] <= sent < settings.events:
                yield heappop(later)[2]
                sent += 1
            if sent >= settings.events:
                return
            drawn = random()
            if drawn < settings.late_share:
                due = sent + 1 + int(random() * settings.late_events)
                heappush(later, (due, self._events, record))
                continue
            if drawn < settings.late_share + settings.duplicate_share:
                due = sent + 1 + int(random() * settings.late_events)
                heappush(later, (due, self._events, record))
            yield record
            sent += 1

    def _events_for_ever(self) -> Iterator[Record]:
        for studio in self._studios:
            yield self._balance(studio)
        for _ in range(self._settings.orders_in_flight):
            yield self._place(self._studio())
        settings = self._settings
        kinds = (self._placement, self._transfer, self._balance_of_some, self._deletion)
        weights = (
            settings.placed_share, settings.transfer_share, settings.balance_share, settings.deletion_share,
        )  # fmt: skip
        bounds = list(accumulate(weight / sum(weights) for weight in weights))
        random = self._random.random
        while True:
            yield kinds[bisect(bounds, random() * 0.999_999)]()

    def _studio(self) -> _Studio:
        return self._studios[bisect(self._shares, self._random.random() * 0.999_999)]

    def _event(self, topic: str, studio: _Studio, body: str) -> Record:
        """Write an event whose fields besides those of every event are `body`, JSON without braces."""
        value = (
            f'{{"event_id":"{self._random.getrandbits(64):016x}-{self._events}",'
            f'"occurred_at":"{self._next_instant()}","studio_id":"{studio.id}",{body}}}'
        )
        self._events += 1
        return Record(topic, studio.key, value.encode())

    def _next_instant(self) -> str:
        """Write when the next event occurs."""
        when_us = _START_US + self._events * 1_000_000 // self._settings.events_per_second
        minute, within_us = divmod(when_us, 60_000_000)
        if minute != self._minute:
            self._minute = minute
            self._minute_text = datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:")
        return f"{self._minute_text}{within_us // 1_000_000:02d}.{within_us % 1_000_000:06d}Z"

    # ---- orders

    def _placement(self) -> Record:
        if len(self._in_flight) < self._settings.orders_in_flight:
            return self._place(self._studio())
        order = self._in_flight[int(self._random.random() * len(self._in_flight))]
        order.version += 1
        cost_minor = self._draw_cost()
        order.studio.cost_minor += cost_minor - order.cost_minor
        order.cost_minor = cost_minor
        return self._placed(order)

    def _place(self, studio: _Studio) -> Record:
        studio.orders += 1
        order = _Order(studio, studio.orders, self._draw_cost(), self._next_instant())
        self._draw_lines(order)
        studio.cost_minor += order.cost_minor
        self._in_flight.append(order)
        return self._placed(order)

    def _draw_cost(self) -> int:
        least, most = _COST_MINOR
        return least + int(self._random.random() * (most - least))

    def _draw_lines(self, order: _Order) -> None:
        settings, random, studio = self._settings, self._random.random, order.studio
        studio.job_orders += 1
        if studio.job_orders > settings.orders_per_job:
            studio.job_orders = 1
            studio.jobs_done.append(studio.job)
            studio.job += 1
        packaged = random() < settings.package_share
        lines = []
        for number in range(1, settings.lines_per_order + 1):
            photos = [
                f"J{studio.job}-{int(random() * settings.photos_per_job):04d}"
                for _ in range(settings.photos_per_line)
            ]
            studio.recent.extend(photos[:1])
            line = f'{{"line_id":"{number}","product_id":"product-{int(random() * _PRODUCTS)}",'
            line += f'"photo_ids":{_strings(photos)}'
            if packaged:
                package = f"package-{int(random() * _PACKAGES)}"
                order.packages.append(package)
                line += f',"package_id":"{package}"'
            lines.append(line + "}")
        order.packages = sorted(set(order.packages)) if random() < 0.5 else []
        order.lines = ",".join(lines)

    def _placed(self, order: _Order) -> Record:
        body = (
            f'"order_id":"{order.number}","version":{order.version},'
            f'"placed_at":"{order.placed_at}","lines":[{order.lines}],'
            f'"production_cost":{{"amount_minor":{order.cost_minor},"currency":"EUR"}},'
            f'"paid":{"true" if order.number % 4 else "false"}'
        )
        return self._event(ORDER_PLACED.name, order.studio, body)

    def _transfer(self) -> Record:
        """Let the lab say something of an order in flight: of one package, or of all of it."""
        if not self._in_flight:
            return self._place(self._studio())
        random, orders = self._random.random, self._in_flight
        place = int(random() * len(orders))
        order = orders[place]
        order.attempt += 1
        scope = order.packages[-1] if order.packages else None
        failed = random() < self._settings.failed_share
        if not failed:
            if order.packages:
                order.packages.pop()
            if not order.packages:
                orders[place] = orders[-1]
                orders.pop()
                order.studio.cost_minor -= order.cost_minor
                order.studio.settled.append(str(order.number))
        body = (
            f'"order_id":"{order.number}","transfer_id":"T{order.number}-{order.attempt}",'
            f'"package_id":{json.dumps(scope)},"attempt":{order.attempt},'
            f'"status":"{"failed" if failed else "succeeded"}","lab_id":"lab-{order.number % 12}"'
        )
        if failed:
            retried = "true" if random() < 2 / 3 else "false"
            body += (
                f',"will_retry":{retried},"error":{{"code":"UNREACHABLE","message":"No answer."}}'
            )
        return self._event(LAB_TRANSFER.name, order.studio, body)

    # ---- money

    def _balance_of_some(self) -> Record:
        return self._balance(self._studio())

    def _balance(self, studio: _Studio) -> Record:
        """Say a balance that settles what was secured, and leaves much or just too little."""
        least, most = _TIGHT_FUNDS if studio.tight else _AMPLE_FUNDS
        share = least + (most - least) * self._random.random()
        funds_minor = int((studio.cost_minor + (0 if studio.tight else 1_000_000)) * share)
        limit_minor = funds_minor // 4
        studio.version += 1
        body = (
            f'"balance":{{"amount_minor":{funds_minor - limit_minor},"currency":"EUR"}},'
            f'"credit_limit_minor":{limit_minor},"version":{studio.version}'
        )
        if studio.lists:
            body += f',"settled_order_ids":{_strings(studio.settled)}'
        studio.settled = []
        return self._event(BALANCE_CHANGED.name, studio, body)

    # ---- assets

    def _deletion(self) -> Record:
        settings, random = self._settings, self._random.random
        studio = self._studio()
        if random() < settings.restored_share and studio.deleted:
            body = f'"asset_type":"photo","asset_ids":{studio.deleted.pop()}'
            return self._event(ASSET_RESTORED.name, studio, body)
        if random() < settings.job_share and studio.jobs_done:
            job = studio.jobs_done.popleft()
            photos = [f"J{job}-{photo:04d}" for photo in range(settings.photos_per_job)]
        elif studio.recent:
            photos = [studio.recent[int(random() * len(studio.recent))]]
        else:
            photos = ["J0-0000"]
        ids = _strings(photos)
        studio.deleted.append(ids)
        body = f'"asset_type":"photo","asset_ids":{ids},"deleted_by":"user-{int(random() * 40)}"'
        return self._event(ASSET_DELETED.name, studio, body)


def _strings(ids: Sequence[str]) -> str:
    """Write ids that need no escapes as a JSON array."""
    return '["' + '","'.join(ids) + '"]' if ids else "[]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give every knob of the workload an option of its name."""
    group = parser.add_argument_group("the workload")
    for knob in fields(Workload):
        option = "--" + knob.name.replace("_", "-")
        kind = float if isinstance(knob.default, float) else int
        group.add_argument(option, type=kind, default=knob.default, help=f"default: {knob.default}")


def from_arguments(arguments: argparse.Namespace) -> Workload:
    """Take the workload out of what `add_arguments` has read."""
    return Workload(**{knob.name: getattr(arguments, knob.name) for knob in fields(Workload)})


def summary(records: Sequence[Record]) -> dict[str, object]:
    """Say how many records of which topic there are, and how large they are."""
    counted = Counter(record.topic for record in records)
    return {
        "records": len(records),
        "bytes_per_record": round(sum(len(x.value) for x in records) / max(1, len(records))),
        "by_topic": dict(counted.most_common()),
    }


def main() -> None:
    """Make a log and say what it holds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_arguments(parser)
    workload = from_arguments(parser.parse_args())
    result = {"workload": asdict(workload), **summary(generate(workload))}
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
