"""The faster model is the model: the same outcomes for any log, forgetting included."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from processor.simulator import Settings, simulate
from tests.broker.swift import SwiftModel
from tests.model import Model, Record, partition_of
from tests.strategies import Shape, random_log, shuffled_and_duplicated, with_dense_offsets


def expect_same_outcomes(log: list[Record], **retention_ms: Any) -> None:
    plain, swift = Model(**retention_ms), SwiftModel(**retention_ms)
    for record in log:
        assert swift.feed(record) == plain.feed(record), record
    assert swift.remembered() == plain.remembered()


@pytest.mark.parametrize("seed", range(40))
def test_random_logs(seed: int) -> None:
    """With clocks that jump by days and months, so that everything is forgotten now and then."""
    log = random_log(seed, 120, Shape(studios=3, orders=5), partitions=2)
    expect_same_outcomes(log)
    expect_same_outcomes(shuffled_and_duplicated(log, seed))


def test_simulated_shops_with_short_memories() -> None:
    hour_ms = 3_600_000
    settings = Settings(seed=5, studios=8, events_per_second=0.05, orders_in_flight=40, trouble=3)
    log = [
        Record(r.topic, partition_of(r.key or b"", 2), 0, r.timestamp_ms, r.key, r.value)
        for r in islice(simulate(settings), 1_200)
    ]
    expect_same_outcomes(
        with_dense_offsets(log),
        closed_retention_ms=4 * hour_ms,
        asset_retention_ms=6 * hour_ms,
        forgotten_retention_ms=12 * hour_ms,
    )
