"""The simulated shops: lawful, deterministic, and everything that the contract knows happens there."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import islice, takewhile
from statistics import mean, median
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from processor.rules.machine import Machine
from processor.simulator import Record, Settings, simulate
from processor.simulator.world import World
from schemas.door import decode
from schemas.errors import Rejection
from schemas.partitioning import default_partition
from schemas.reasons import ReasonCode, Status
from schemas.topics import INPUTS
from tests import model

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.rules

KINDS = {topic.name: topic.value for topic in INPUTS if topic.value}
PARTITIONS = 4
#: As `orderhalt demo` has it.
DEMO = Settings(seed=1, studios=30, events_per_second=200, orders_in_flight=429, trouble=3.0)


def first(settings: Settings, count: int) -> list[Record]:
    return list(islice(simulate(settings), count))


def until(settings: Settings, end_ms: float) -> list[Record]:
    return list(takewhile(lambda record: record.timestamp_ms < end_ms, simulate(settings)))


def digest(records: Iterable[Record]) -> str:
    """Digest everything that goes to Kafka."""
    sha = hashlib.sha256()
    for record in records:
        sha.update(repr(tuple(record)).encode())
    return sha.hexdigest()


def events_of(records: Iterable[Record], topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(record.value or b"") for record in records if record.topic == topic]


def place_of(record: Record) -> int:
    return (default_partition(record.key or b"", PARTITIONS) + record.partition_shift) % PARTITIONS


def test_a_seed_gives_the_same_bytes_everywhere() -> None:
    """On every Python and machine: benchmarks and crash tests compare runs by the seed alone.

    Whoever changes what is simulated changes the digest here, and on purpose.
    """
    assert digest(first(Settings(seed=7, malformed_share=0.02), 5_000)) == (
        "8c1e94439da661aef60827c134d8cb72988628b7aafd5a80ab11415979ec1697"
    )


def test_another_seed_gives_another_world() -> None:
    ids = [
        {event["event_id"] for event in events_of(first(Settings(seed=seed), 500), "order-placed")}
        for seed in (1, 2)
    ]
    assert ids[0].isdisjoint(ids[1])


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_lawful(seed: int) -> None:
    for record in first(Settings(seed=seed, trouble=3), 5_000):
        decode(KINDS[record.topic], record.key, record.value, record.timestamp_ms)


def test_the_model_accepts_every_event_and_rejects_what_is_malformed() -> None:
    """By the independent reading of the contract: each malformed record has the code it was made for."""
    judge = model.Model(partitions=PARTITIONS)
    settings = Settings(seed=3, trouble=3, malformed_share=0.1, oversized=True)
    seen: Counter[str | None] = Counter()
    for offset, record in enumerate(islice(simulate(settings), 4_000)):
        outcome = judge.feed(
            model.Record(
                record.topic,
                place_of(record),
                offset,
                record.timestamp_ms,
                record.key,
                record.value,
            )
        )
        assert outcome.rejected == record.expected_code, (record, outcome.message)
        seen[outcome.rejected] += 1
    assert {str(code) for code in seen} == {
        "None",
        "too_large",
        "empty_record",
        "malformed_json",
        "invalid_event",
        "key_mismatch",
        "wrong_partition",
        "too_many_scopes",
    }


def test_the_rules_reject_what_is_malformed_and_nothing_else() -> None:
    machines = [Machine(number, partitions=PARTITIONS) for number in range(PARTITIONS)]
    for offset, record in enumerate(first(Settings(seed=4, malformed_share=0.05), 20_000)):
        place = place_of(record)
        code = None
        try:
            machines[place].apply(
                record.topic, place, offset, record.timestamp_ms, record.key, record.value
            )
        except Rejection as rejection:
            code = rejection.code
        assert code == record.expected_code, record


def test_malformed_records_leave_the_others_as_they_are() -> None:
    settings = Settings(seed=5, malformed_share=0.1)
    lawful = (
        record
        for record in simulate(settings)
        if record.expected_code is None and record.key != b"studio-flooded"
    )
    assert digest(islice(lawful, 3_000)) == digest(
        first(replace(settings, malformed_share=0), 3_000)
    )


def test_malformed_records_are_as_many_as_asked_for() -> None:
    records = first(Settings(malformed_share=0.05), 50_000)
    share = mean(record.expected_code is not None for record in records)
    assert share == pytest.approx(0.05, rel=0.1)


def test_rate_and_orders_in_flight_are_as_asked_for() -> None:
    """On average over worlds; a world differs from another by what its studios are like."""
    rates, in_flight = [], []
    for seed in range(8):
        settings = Settings(seed=seed, events_per_second=1_000, orders_in_flight=1_000)
        end_ms = settings.start_us // 1000 + 20_000
        records = until(settings, end_ms)
        rates.append(len(records) / 20)
        in_flight.append(len(unfinished(records)))
    assert mean(rates) == pytest.approx(1_000, rel=0.1)
    assert mean(in_flight) == pytest.approx(1_000, rel=0.15)


def unfinished(records: list[Record]) -> set[tuple[str, str]]:
    """Follow the transfers of every order; give those that have lines which are not secured."""
    scopes: dict[tuple[str, str], set[str | None]] = {}
    done: dict[tuple[str, str], set[str | None]] = {}
    cancelled: set[tuple[str, str]] = set()
    for record in records:
        event = orjson.loads(record.value or b"")
        order = (event["studio_id"], event.get("order_id", ""))
        if record.topic == "order-placed":
            scopes[order] = {line.get("package_id") for line in event["lines"]}
        elif record.topic == "order-cancelled":
            cancelled.add(order)
        elif record.topic == "order-reinstated":
            cancelled.discard(order)
        elif record.topic == "lab-transfer" and event["status"] == "succeeded":
            done.setdefault(order, set()).add(event["package_id"])
    return {
        order
        for order, wanted in scopes.items()
        if order not in cancelled
        and None not in done.get(order, set())
        and not wanted <= done.get(order, set())
    }


def test_limits_stay_in_the_range_of_integers_however_long_a_world_goes_on() -> None:
    world = World(Settings(seed=4, studios=20, trouble=5))
    accounts = [account for studio in world._studios for account in studio.accounts]
    first = [account._limit_minor for account in accounts]
    assert any(first)
    for account in accounts:
        for _ in range(5_000):
            account._state()
    for account, limit in zip(accounts, first, strict=True):
        assert (account._limit_minor or 0) <= 10 * (limit or 0)


@pytest.mark.parametrize("trouble", [-0.1, 20.0, 30.0])
def test_trouble_that_no_order_could_outlive_is_refused(trouble: float) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 15"):
        Settings(trouble=trouble)


def test_every_order_ends() -> None:
    """Transferred in all its scopes, or cancelled: nothing is left of the first half."""
    settings = Settings(seed=6, orders_in_flight=50, trouble=4, late_share=0, duplicate_share=0)
    records = first(settings, 20_000)
    placed_early = {
        (event["studio_id"], event["order_id"])
        for event in events_of(records[:10_000], "order-placed")
    }
    assert len(placed_early) > 2_000
    assert not placed_early & unfinished(records)


def test_studios_are_of_very_different_size() -> None:
    sizes = Counter(
        event["studio_id"] for event in events_of(first(Settings(), 20_000), "order-placed")
    )
    assert len(sizes) == Settings().studios
    assert max(sizes.values()) > 10 * median(sizes.values())


def test_everything_that_the_contract_knows_happens() -> None:
    records = first(Settings(seed=2, trouble=2), 30_000)
    assert {record.topic for record in records} == set(KINDS)
    placed = events_of(records, "order-placed")
    transfers = events_of(records, "lab-transfer")
    balances = events_of(records, "balance-changed")
    deletions = events_of(records, "asset-deleted")
    assert {event.get("version", 1) for event in placed} == {1, 2}
    assert {event["paid"] for event in placed} == {True, False}
    assert {(x["status"], x.get("will_retry")) for x in transfers} == {
        ("started", None),
        ("succeeded", None),
        ("failed", True),
        ("failed", False),
    }
    assert {x["package_id"] is None for x in transfers} == {True, False}
    assert {x["credit_limit_minor"] is None for x in balances} == {True, False}
    assert {"settled_order_ids" in x for x in balances} == {True, False}
    assert {x["asset_type"] for x in deletions} == {"product", "photo", "package"}
    assert {"restorable_until" in x for x in deletions} == {True, False}
    assert max(len(x["asset_ids"]) for x in deletions) > 50, "whole jobs are deleted"
    assert len({x["event_id"] for x in placed}) < len(placed), "some are delivered twice"


def test_photos_are_shared_by_the_orders_of_a_job() -> None:
    orders: dict[tuple[str, str], set[str]] = {}
    for event in events_of(first(Settings(), 10_000), "order-placed"):
        for line in event["lines"]:
            for photo in line["photo_ids"]:
                orders.setdefault((event["studio_id"], photo), set()).add(event["order_id"])
    assert mean(len(ids) > 1 for ids in orders.values()) > 0.1


def test_a_studio_lists_what_is_settled_always_or_never() -> None:
    habits: dict[tuple[str, str], set[bool]] = {}
    for event in events_of(first(Settings(seed=8), 30_000), "balance-changed"):
        account = (event["studio_id"], event["balance"]["currency"])
        habits.setdefault(account, set()).add("settled_order_ids" in event)
    assert all(len(habit) == 1 for habit in habits.values())


def test_the_demo_shows_every_reason_and_releases_soon() -> None:
    """All five reasons open, and halts end in every way, within 20 s of the demo's own world."""
    machines = [Machine(number) for number in range(PARTITIONS)]
    end_ms = DEMO.start_us / 1000 + 20_000
    codes: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for offset, record in enumerate(until(DEMO, end_ms)):
        place = place_of(record)
        for emission in machines[place].apply(
            record.topic, place, offset, record.timestamp_ms, record.key, record.value
        ):
            halted = orjson.loads(emission.value or b"{}")
            codes.update(reason["code"] for reason in halted["reasons"])
            statuses[halted["status"]] += 1
    assert set(codes) == set(ReasonCode)
    assert set(statuses) == set(Status)
