"""Every short log over a small alphabet: one order, one studio, everything that can happen to it.

The engine follows the model along each branch of the tree of logs; a branch is entered through the
rows of the one before, so that recovery is tried at every node. All orders of the same events meet.
"""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest

from schemas.halted import DATA_SCHEMA
from tests.contract.vocabulary import (
    balance,
    cancelled,
    deleted,
    line,
    placed,
    record,
    reinstated,
    restored,
    transfer,
)
from tests.engine import Engine, decoded
from tests.model import Model, Record

pytestmark = pytest.mark.rules

LETTERS = [
    placed("o1", line("l1", photos="f1", package="k1"), cost=100),
    placed("o1", line("l1", package="k1"), line("l2", "p2"), version=2, cost=60, paid=True),
    cancelled(at=2),
    reinstated(at=3),
    deleted("photo", "f1", at=2),
    restored("photo", "f1", at=3),
    transfer("failed", package="k1", at=2),
    transfer("succeeded", package="k1", attempt=2, at=3),
    balance(50, at=2),
    balance(0, 60, at=6, version=2, settled=""),
    # Only in logs of three: the tree would grow too large.
    transfer("failed", attempt=2, at=4),
    transfer("succeeded", attempt=3, at=5),
    deleted("product", "p2", at=4),
]
ALPHABET = [record(event, number) for number, event in enumerate(LETTERS)]
FEWER = range(10)


def model_after(log: tuple[Record, ...]) -> Model:
    model = Model(dataschema=DATA_SCHEMA)
    for item in log:
        model.feed(item)
    return model


def engine_after(log: tuple[Record, ...]) -> Engine:
    engine = Engine()
    for item in log:
        engine.apply(item)
    return engine


def check_each_next(log: tuple[int, ...], letters: range) -> None:
    """After a log, and a recovery from its rows, each next event gives what the model gives."""
    records = tuple(ALPHABET[number] for number in log)
    engine = engine_after(records)
    rows = [((table, key), value) for table, key, value in engine.machine(0).drain() if value]
    checkpoint = engine.machine(0).checkpoint()
    for last in letters:
        model = model_after(records)
        expected = model.feed(ALPHABET[last]).emitted
        again = Engine()
        machine = again.machines[0] = again.recovered(0, reversed(rows))
        assert machine.resume(checkpoint) == []
        emitted = [decoded(emission) for emission in again.apply(ALPHABET[last])]
        assert emitted == expected, (log, last)
        assert again.judgements() == model.judgements(), (log, last)


@pytest.mark.parametrize("first", range(len(ALPHABET)))
def test_every_log_of_three_events(first: int) -> None:
    """At its last step, which makes it every step."""
    letters = range(len(ALPHABET))
    check_each_next((first,), letters)
    for second in letters:
        check_each_next((first, second), letters)


@pytest.mark.parametrize("first", FEWER)
def test_every_log_of_four_events_of_a_smaller_alphabet(first: int) -> None:
    for second, third in product(FEWER, repeat=2):
        check_each_next((first, second, third), FEWER)


@pytest.mark.parametrize("first", FEWER)
def test_all_orders_of_four_events_converge(first: int) -> None:
    for others in combinations(ALPHABET[first + 1 :], 3):
        chosen = (ALPHABET[first], *others)
        expected = model_after(chosen).judgements()
        for log in permutations(chosen):
            assert engine_after(log).judgements() == expected
