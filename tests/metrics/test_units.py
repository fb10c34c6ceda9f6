"""The parts: sums of differences, lag, health, exemplars, the table, one case a row."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from prometheus_client.openmetrics import exposition, parser

from processor.metrics import currencies, names
from processor.metrics.exporter import Exporter
from processor.metrics.health import Health
from processor.metrics.instruments import CounterFamily, HistogramFamily, make_exemplar
from processor.metrics.lag import Lag
from processor.metrics.pauses import GarbagePauses
from processor.metrics.tallies import Ages, Oldest
from processor.runtime.protocol import Recovered
from tests.metrics.cluster import Clock, make_exporter, read, scrape

# -- sums of differences


@pytest.mark.parametrize("seed", range(5))
def test_the_oldest_is_the_least_of_what_is_in(seed: int) -> None:
    rng = random.Random(seed)
    oldest, there = Oldest(), list[int]()
    for _ in range(2_000):
        if there and rng.random() < 0.5:
            oldest.remove(there.pop(rng.randrange(len(there))))
        else:
            there.append(rng.randrange(200))
            oldest.add(there[-1])
        if rng.random() < 0.3:
            assert oldest.least() == (min(there) if there else None)
    assert len(oldest._heap) <= 2 * len(oldest._counts) + 65, "what is gone does not pile up"


@pytest.mark.parametrize("seed", range(5))
def test_ages_count_what_lies_before_a_moving_end(seed: int) -> None:
    rng = random.Random(seed)
    ages, there, end = Ages(), list[int](), 0
    for _ in range(2_000):
        if there and rng.random() < 0.5:
            ages.change(there.pop(rng.randrange(len(there))), -1)
        else:
            there.append(rng.randrange(300))
            ages.change(there[-1], 1)
        if rng.random() < 0.2:
            end += rng.randrange(4)
            assert ages.before(end) == sum(slot < end for slot in there)


# -- labels


def test_an_unknown_value_is_other() -> None:
    assert names.known("moonlight", names.CODES) == names.OTHER
    assert names.known("empty_record", names.CODES) == "empty_record"
    assert names.reason_at(len(names.REASONS)) == names.OTHER
    assert [names.reason_at(n) for n in range(5)] == list(names.REASONS[:-1])
    assert currencies.label("EUR") == "EUR"
    assert currencies.label("QQQ") == names.OTHER


def test_names_follow_the_conventions() -> None:
    """Prefix, unit in the name, `_total` on counters alone; labels from sets that are closed."""
    assert len(names.BY_NAME) == len(names.ALL)
    open_labels = {"partition", "currency", "version", "python"}
    for metric in names.ALL:
        assert metric.name.startswith("orderhalt_")
        assert (metric.kind is names.Kind.COUNTER) is metric.name.endswith("_total")
        assert (metric.unit == "seconds") is bool({"seconds"} & set(metric.name.split("_")))
        assert set(metric.labels) <= names.VALUES.keys() | open_labels
        assert bool(metric.buckets) is (metric.kind is names.Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert metric.help.endswith(".")


def test_the_buckets_of_the_delay_have_the_objective_and_the_bounds_that_were_asked_for() -> None:
    assert names.HALT_DELAY_BUCKETS[0] == 0.01
    assert names.HALT_DELAY_BUCKETS[-1] == 300
    assert 30 in names.HALT_DELAY_BUCKETS


# -- exemplars


def test_an_exemplar_names_the_last_order_where_openmetrics_has_room_for_it() -> None:
    short, long = b"studio-1/o1", b"s/" + b"x" * 200
    counter = CounterFamily(names.ORDERS_HALTED_TOTAL)
    counter.add_order(1, short, "photos_missing")
    [sample] = [x for x in counter.family().samples if x.labels["reason"] == "photos_missing"]
    assert sample.exemplar is not None
    assert sample.exemplar.labels == {"order_key": "studio-1/o1"}
    assert make_exemplar(long, 1) is None
    histogram = HistogramFamily(names.HALT_DELAY_SECONDS)
    histogram.observe_order(0.2, short, "photos_missing")
    exemplars = [x for x in histogram.family().samples if x.exemplar is not None]
    assert [(x.labels["le"], x.exemplar and x.exemplar.value) for x in exemplars] == [("0.25", 0.2)]


def test_a_scrape_is_openmetrics_to_the_strict_parser() -> None:
    exporter = make_exporter(Clock(1e9))
    exporter.counters[names.ORDERS_HALTED_TOTAL.name].add_order(1, b"s/o", "photos_missing")
    text = exposition.generate_latest(exporter.registry).decode()
    found = {family.name for family in parser.text_string_to_metric_families(text)}
    wanted = {
        x.name.removesuffix("_total") if x.kind is names.Kind.COUNTER else x.name for x in names.ALL
    }
    assert found == wanted


# -- lag


def test_lag_rises_with_the_log_and_the_clock_until_something_is_committed() -> None:
    lag = Lag()
    lag.begin(0, {"t": 10}, now=0, now_ms=1_000)
    assert lag.readings(2_000) == [("t", 0, 0, 0)], "nothing is known of the end yet"
    assert lag.look({("t", 0): 13}, now=1, now_ms=2_000) == {("t", 0): 10}
    assert lag.readings(3_000)[0][2:] == (3, 2.0), "since it was taken over, at the least"
    lag.date(("t", 0), 10, 500)
    assert lag.readings(3_000)[0][2:] == (3, 2.5)
    assert lag.readings(9_000)[0][2:] == (3, 8.5)
    lag.look({("t", 0): 20}, now=2, now_ms=9_000)
    assert lag.readings(9_000)[0][2:] == (10, 8.5)
    lag.commit(0, {"t": 15}, {"t": 8_000}, now=3)
    assert lag.readings(9_000)[0][2:] == (5, 1.0), (
        "what waits came after the last that is committed"
    )
    lag.commit(0, {"t": 21}, {"t": 8_500}, now=4)
    assert lag.readings(9_000)[0][2:] == (0, 0), "the look was before the commit"


def test_a_record_after_long_silence_is_as_old_as_the_last_look_at_most() -> None:
    lag = Lag()
    lag.begin(0, {"t": 10}, now=0, now_ms=0)
    lag.commit(0, {"t": 10}, {"t": 0}, now=0)
    lag.look({("t", 0): 10}, now=5, now_ms=50_000)
    assert lag.look({("t", 0): 11}, now=10, now_ms=55_000) == {}
    assert lag.readings(56_000)[0][2:] == (1, 6.0)


def test_lag_goes_with_its_partition() -> None:
    lag = Lag()
    for partition in (0, 1):
        lag.begin(partition, {"t": 0}, now=0, now_ms=0)
    lag.look({("t", 0): 5, ("t", 1): 5}, now=0, now_ms=0)
    lag.drop({0})
    lag.commit(0, {"t": 5}, {}, now=0)
    assert [x.partition for x in lag.readings(0)] == [1]


# -- health


def test_ready_means_assigned_recovered_and_committing() -> None:
    clock = Clock(0)
    lag = Lag()
    health = Health(lag, commits_within_seconds=30, live_within_seconds=60, clock=clock)
    assert not health.ready().yes, "nothing is assigned"
    health.partitions = frozenset()
    assert health.ready().yes, "a spare worker is ready"
    lag.begin(3, {"t": 0}, now=0, now_ms=0)
    health.partitions = frozenset([3])
    lag.look({("t", 3): 1}, now=0, now_ms=0)
    clock.now = 29
    assert health.ready().yes
    clock.now = 31
    answer = health.ready()
    assert not answer.yes
    assert "Partition 3 has records waiting" in answer.reasons[0]
    lag.commit(3, {"t": 1}, {"t": 0}, now=31)
    assert health.ready().yes
    health.stopping = True
    assert health.ready() == (type(answer))(False, ("The worker ends.",))


def test_live_means_that_the_event_loop_comes_round() -> None:
    """A loop that sleeps is seen from another thread, and is heard of when it wakes."""
    late: list[float] = []
    lives: list[bool] = []

    async def test() -> None:
        health = Health(Lag(), live_within_seconds=0.4)
        beating = asyncio.create_task(health.beat(late.append))
        await asyncio.sleep(0.3)
        asked = asyncio.get_running_loop().run_in_executor(None, ask, health)
        time.sleep(1.2)  # noqa: ASYNC251 - the event loop is to be stuck
        await asked
        await asyncio.sleep(0.3)
        lives.append(health.live().yes)
        beating.cancel()

    def ask(health: Health) -> None:
        lives.append(health.live().yes)
        time.sleep(0.9)
        lives.append(health.live().yes)
        assert health.stalled_seconds() > 0.3

    asyncio.run(test())
    assert lives == [True, False, True]
    assert max(late) > 0.8


# -- the rest


def test_pauses_of_the_collector_are_counted() -> None:
    import gc

    pauses = GarbagePauses()
    pauses.start()
    try:
        gc.collect()
    finally:
        pauses.stop()
    counted = {x.name: x.value for x in pauses.family().samples if x.name.endswith("_count")}
    assert counted == {"orderhalt_gc_pause_seconds_count": 1}


def test_windows_that_are_not_committed_show_by_their_age() -> None:
    exporter: Exporter = make_exporter(Clock(0))
    exporter.recovered(Recovered(1, 0, 0.1, {}, None))
    exporter.opened(1, time.monotonic() - 5)
    exporter.opened(1, time.monotonic())
    exporter.paused(1)
    scraped = scrape(exporter)
    assert 5 <= read(scraped, names.COMMIT_WINDOW_OPEN_SECONDS) < 6
    assert read(scraped, names.PARTITIONS_PAUSED) == 1
    exporter.suspended()
    exporter.given_up(frozenset([1]))
    scraped = scrape(exporter)
    assert read(scraped, names.COMMIT_WINDOW_OPEN_SECONDS) == 0
    assert read(scraped, names.PARTITIONS_PAUSED) == 0
