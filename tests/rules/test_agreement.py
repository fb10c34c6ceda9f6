"""The engine gives, record by record, exactly what the brute-force model of the contract gives."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.halted import DATA_SCHEMA
from tests.engine import Engine
from tests.model import Model, Record
from tests.strategies import (
    PARTITIONS,
    Shape,
    logs,
    malformed_records,
    random_log,
    shuffled_and_duplicated,
    with_dense_offsets,
)

pytestmark = pytest.mark.rules

CROWDED = Shape(studios=1, orders=5)
WIDE = Shape(studios=3, orders=4)
JUDGED_EVERY = 8
"""Judgements are compared after so many records, as the model makes all of them anew."""


def check_agreement(log: Sequence[Record], partitions: int | None, prefix: str = "") -> None:
    """Feed both; outcomes agree at each record, judgements and what is remembered now and then."""
    model = Model(prefix, partitions=partitions, dataschema=DATA_SCHEMA)
    engine = Engine(prefix, partitions=partitions)
    for number, record in enumerate(log, 1):
        expected, found = model.feed(record), engine.feed(record)
        assert found.rejected == expected.rejected, (number, record)
        assert found.emitted == expected.emitted, (number, record)
        if number % JUDGED_EVERY == 0 or number == len(log):
            assert engine.judgements() == model.judgements(), number
            assert engine.remembered() == model.remembered(), number
    for partition in {record.partition for record in log}:
        assert engine.partition_time(partition) == model.partition_time(partition)


@settings(max_examples=60)
@given(log=logs(30, CROWDED))
def test_one_studio(log: list[Record]) -> None:
    check_agreement(log, None)


@settings(max_examples=60)
@given(log=logs(30, WIDE, partitions=3, prefix="acme."))
def test_several_studios_and_partitions(log: list[Record]) -> None:
    check_agreement(log, 3, "acme.")


@settings(max_examples=40)
@given(log=logs(20, CROWDED), seed=st.integers(0, 2**32))
def test_shuffled_and_duplicated(log: list[Record], seed: int) -> None:
    check_agreement(shuffled_and_duplicated(log, seed), None)


@pytest.mark.parametrize("seed", range(60))
def test_long_logs(seed: int) -> None:
    check_agreement(random_log(seed, 120, CROWDED if seed % 2 else WIDE, partitions=2), 2)


@pytest.mark.parametrize("seed", range(60))
def test_long_logs_with_tiny_limits(seed: int, tiny_limits: None) -> None:
    check_agreement(random_log(1000 + seed, 120, CROWDED), 1)


@pytest.mark.parametrize("seed", range(10))
def test_a_rejected_record_changes_nothing(seed: int) -> None:
    """With records that are not events in between, the others give what they give without."""
    rng = random.Random(seed)
    lawful = random_log(seed, 60, Shape(studios=2, orders=3), partitions=PARTITIONS)
    rejected = [record for _, record, _ in rng.sample(malformed_records(), len(lawful))]
    mixed = [pair for pairs in zip(lawful, rejected, strict=True) for pair in pairs]
    check_agreement(with_dense_offsets(mixed), PARTITIONS)
    alone, among = Engine(partitions=PARTITIONS), Engine(partitions=PARTITIONS)
    for record, nonsense in zip(lawful, rejected, strict=True):
        assert among.feed(record) == alone.feed(record)
        before = {number: machine.dirty for number, machine in among.machines.items()}
        assert among.feed(nonsense).rejected is not None
        after = {number: among.machine(number).dirty for number in before}
        assert after == before
