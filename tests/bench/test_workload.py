"""The benchmark's workload: what its knobs say is what comes, and all of it are events."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace

import orjson
import pytest

from bench.workload import Record, Workload, generate
from processor.rules.machine import Machine
from schemas import topics
from schemas.partitioning import default_partition
from tests import model

SMALL = Workload(events=20_000, studios=200, orders_in_flight=2_000)
TIMESTAMP_MS = 1_767_600_000_000


def begun(workload: Workload) -> list[Record]:
    """The log without its beginning, which fills the studios."""
    return generate(workload)[workload.studios + workload.orders_in_flight :]


def test_a_seed_gives_the_same_bytes_everywhere() -> None:
    digest = hashlib.sha256()
    for record in generate(SMALL):
        digest.update(b"%s %s %s" % (record.topic.encode(), record.key, record.value))
    assert digest.hexdigest() == "bcda10b56520f5c7cfad29d3f81cd747f6f543bb08fd2fdaababb57916101f52"
    assert generate(SMALL) == generate(SMALL) != generate(replace(SMALL, seed=2))


def test_the_mix_is_the_one_that_was_asked_for() -> None:
    counted = Counter(record.topic for record in begun(SMALL))
    total = sum(counted.values())
    assert counted[topics.ORDER_PLACED.name] / total == pytest.approx(0.44, abs=0.02)
    assert counted[topics.LAB_TRANSFER.name] / total == pytest.approx(0.44, abs=0.02)
    assert counted[topics.BALANCE_CHANGED.name] / total == pytest.approx(0.08, abs=0.01)
    assets = counted[topics.ASSET_DELETED.name] + counted[topics.ASSET_RESTORED.name]
    assert assets / total == pytest.approx(0.04, abs=0.01)
    assert len(generate(SMALL)) == SMALL.events


def test_events_are_of_350_bytes_or_so() -> None:
    records = begun(Workload(events=60_000))
    assert sum(len(x.value) for x in records) / len(records) == pytest.approx(350, rel=0.1)


def test_deletions_take_single_photos_and_whole_jobs() -> None:
    sizes = Counter(
        len(orjson.loads(x.value)["asset_ids"])
        for x in begun(SMALL)
        if x.topic == topics.ASSET_DELETED.name
    )
    assert set(sizes) == {1, SMALL.photos_per_job}
    assert min(sizes.values()) > 50


def test_some_come_twice_and_some_late() -> None:
    events = [orjson.loads(record.value) for record in generate(SMALL)]
    twice = len(events) - len({event["event_id"] for event in events})
    assert twice / len(events) == pytest.approx(0.005, abs=0.002)
    overtaken = latest = 0
    for event in events:
        number = int(event["event_id"].rpartition("-")[2])
        latest = max(latest, number)
        overtaken += number < latest - 10
    assert overtaken / len(events) == pytest.approx(0.015, abs=0.004)
    punctual = generate(replace(SMALL, late_share=0.0, duplicate_share=0.0))
    instants = [orjson.loads(record.value)["occurred_at"] for record in punctual]
    assert instants == sorted(instants)


@pytest.mark.parametrize("hot_share", [0.0, 0.3])
def test_the_largest_studio_has_its_share(hot_share: float) -> None:
    workload = replace(SMALL, hot_share=hot_share, zipf=1.1 if not hot_share else 0.0)
    [(studio, count)] = Counter(record.key for record in begun(workload)).most_common(1)
    own = 1 / sum(1 / (rank + 1) ** workload.zipf for rank in range(workload.studios))
    assert studio == b"studio-00000"
    assert count / len(begun(workload)) == pytest.approx(max(hot_share, own), abs=0.04)


def test_rules_and_model_agree_on_it_and_reject_nothing() -> None:
    """Also: orders in flight stay at what was set, and every reason that it is to cause comes."""
    workload = Workload(events=3_000, studios=40, orders_in_flight=250)
    machine, brute = Machine(0), model.Model()
    codes: Counter[str] = Counter()
    for offset, record in enumerate(generate(workload)):
        place = (record.topic, 0, offset, TIMESTAMP_MS, record.key, record.value)
        outcome = brute.feed(model.Record(*place))
        assert outcome.rejected is None
        emitted = [(x.key.decode(), json.loads(x.value or b"")) for x in machine.apply(*place)]
        assert emitted == [(x.key, x.value) for x in outcome.emitted]
        codes.update(value["primary_reason"] for _, value in emitted)
    assert {"photos_missing", "credit_limit_reached", "transfer_failed"} <= set(codes)
    states = Counter(judged["state"] for judged in brute.judgements().values())
    assert states["in_flight"] == pytest.approx(workload.orders_in_flight, rel=0.1)


def test_a_twentieth_of_the_studios_is_near_its_limit() -> None:
    without = Workload(events=8_000, studios=100, orders_in_flight=1_000, tight_share=0.0)

    def short_of_money(workload: Workload) -> set[str]:
        machine, found = Machine(0), set()
        for offset, record in enumerate(generate(workload)):
            for emission in machine.apply(record.topic, 0, offset, TIMESTAMP_MS, *record[1:]):
                halt = orjson.loads(emission.value or b"")
                if any(reason["code"] == "credit_limit_reached" for reason in halt["reasons"]):
                    found.add(halt["studio_id"])
        return found

    assert not short_of_money(without)
    assert len(short_of_money(replace(without, tight_share=0.05))) == pytest.approx(5, abs=1)


def test_jobs_decide_how_many_orders_share_a_photo() -> None:
    """The knob of the sweep over orders per asset."""
    workload = replace(
        SMALL, studios=1, photos_per_job=1, orders_per_job=50, photos_per_line=1, lines_per_order=1
    )
    orders: defaultdict[str, set[str]] = defaultdict(set)
    for record in generate(workload):
        if record.topic == topics.ORDER_PLACED.name:
            order = orjson.loads(record.value)
            orders[order["lines"][0]["photo_ids"][0]].add(order["order_id"])
    sizes = Counter(len(found) for found in orders.values())
    assert sizes.most_common(1)[0][0] == 50


def test_all_studios_are_spread_over_the_partitions() -> None:
    used = {default_partition(record.key, 4) for record in generate(SMALL)[:200]}
    assert used == {0, 1, 2, 3}
