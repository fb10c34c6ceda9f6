"""A crash at any event changes nothing: rows, loaded in any order, are all that the state needs.

Rows are kept by key, as a compacted changelog keeps them. After a crash the records since the last
drain are applied again, as Kafka delivers them again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processor.rules.changes import ChangedRow
from processor.rules.machine import Machine
from schemas.halted import Emission
from tests.engine import Engine, Rows, judgements_of, keep
from tests.model import Record
from tests.strategies import Shape, logs, random_log

pytestmark = [pytest.mark.rules, pytest.mark.usefixtures("tiny_limits")]

T = TypeVar("T")
CROWDED = Shape(studios=1, orders=5)
PAIR = Shape(studios=2, orders=3)


def shuffled(items: Iterable[T], rng: random.Random) -> list[T]:
    listed = list(items)
    rng.shuffle(listed)
    return listed


def recover(engine: Engine, rows: Rows, checkpoint: bytes | None, rng: random.Random) -> Machine:
    """Load rows in any order; a recovered state has nothing to say and nothing to write."""
    machine = engine.recovered(0, shuffled(rows.items(), rng))
    assert machine.resume(checkpoint) == []
    assert machine.dirty == 0
    return machine


def uninterrupted(log: Sequence[Record]) -> tuple[list[list[Emission]], Engine, Rows]:
    """Give what every record emits, the state at the end and all its rows."""
    engine, rows = Engine(), Rows()
    emitted = []
    for record in log:
        emitted.append(engine.apply(record))
        keep(rows, engine.machine(0).drain())
    return emitted, engine, rows


def check_with_crashes(log: Sequence[Record], seed: int, crash_rate: float) -> None:
    rng = random.Random(seed)
    expected, at_once, rows_at_once = uninterrupted(log)
    engine, rows = Engine(), Rows()
    machine, checkpoint = engine.machine(0), None
    committed = at = 0
    crashes_left = 2 * len(log)
    while at < len(log):
        assert machine.apply(*log[at]) == expected[at], (at, committed)
        at += 1
        if rng.random() < 0.3:
            keep(rows, machine.drain())
            committed, checkpoint = at, machine.checkpoint()
        if rng.random() < crash_rate and crashes_left:
            crashes_left -= 1
            machine = engine.machines[0] = recover(engine, rows, checkpoint, rng)
            at = committed
    assert engine.judgements() == at_once.judgements()
    assert engine.remembered() == at_once.remembered()
    keep(rows, machine.drain())
    assert rows == rows_at_once


@settings(max_examples=80)
@given(log=logs(30, CROWDED), seed=st.integers(0, 2**32))
def test_a_crash_at_any_event_changes_nothing(log: list[Record], seed: int) -> None:
    check_with_crashes(log, seed, 0.2)


@pytest.mark.parametrize("seed", range(60))
def test_crashes_in_long_logs_change_nothing(seed: int) -> None:
    check_with_crashes(random_log(seed, 150, CROWDED if seed % 2 else PAIR), seed, 0.05)


@pytest.mark.parametrize("seed", range(20))
def test_each_state_can_be_recovered_and_goes_on_as_if_nothing_had_been(seed: int) -> None:
    """Recovered after each record, every machine emits the next records like the first one."""
    rng = random.Random(seed)
    log = random_log(seed, 60, PAIR)
    expected, _, _ = uninterrupted(log)
    engine, rows = Engine(), Rows()
    machine = engine.machine(0)
    for at, record in enumerate(log):
        machine.apply(*record)
        keep(rows, machine.drain())
        again = recover(engine, rows, machine.checkpoint(), rng)
        for later in range(at + 1, min(at + 4, len(log))):
            assert again.apply(*log[later]) == expected[later]


def interleaved(drained: Sequence[ChangedRow], rng: random.Random) -> list[ChangedRow]:
    """Mix the tables, each a topic of its own: within a table the order stays."""
    by_table = {table: [row for row in drained if row[0] == table] for table, _, _ in drained}
    turns = shuffled((table for table, _, _ in drained), rng)
    return [by_table[table].pop(0) for table in turns]


@settings(max_examples=60)
@given(log=logs(30, CROWDED), seed=st.integers(0, 2**32))
def test_a_replica_that_takes_one_row_at_a_time_judges_the_same(
    log: list[Record], seed: int
) -> None:
    """Rows that replace others, and tombstones, keep the replica's indexes right."""
    rng = random.Random(seed)
    engine = Engine()
    machine, replica = engine.machine(0), engine.empty_machine(0)
    for record in log:
        machine.apply(*record)
        if rng.random() < 0.5:
            for table, key, value in interleaved(machine.drain(), rng):
                replica.load(table, key, value)
            assert replica.resume(machine.checkpoint()) == []
            assert judgements_of(replica) == judgements_of(machine)


def partly_compacted(
    changelog: Sequence[ChangedRow], share: float, rng: random.Random
) -> list[ChangedRow]:
    """Leave out a share of the rows that a later one of their key replaces."""
    last = {(table, key): at for at, (table, key, _) in enumerate(changelog)}
    return [
        row
        for at, row in enumerate(changelog)
        if last[row[0], row[1]] == at or rng.random() >= share
    ]


@pytest.mark.parametrize("share", [0, 0.5, 0.9, 1], ids=["never", "a bit", "much", "wholly"])
def test_a_changelog_gives_the_same_state_however_far_it_was_compacted(share: float) -> None:
    """Stale rows, and rows whose order was forgotten in between, leave nothing behind."""
    for seed in range(25):
        rng = random.Random(seed)
        log = random_log(seed, 100, CROWDED)
        engine = Engine()
        machine, replica = engine.machine(0), engine.empty_machine(0)
        changelog: list[ChangedRow] = []
        for record in log:
            machine.apply(*record)
            if rng.random() < 0.3:
                changelog += machine.drain()
        changelog += machine.drain()
        for table, key, value in interleaved(partly_compacted(changelog, share, rng), rng):
            replica.load(table, key, value)
        assert replica.resume(machine.checkpoint()) == []
        assert judgements_of(replica) == judgements_of(machine)
        found = Engine()
        found.machines[0] = replica
        assert found.remembered() == engine.remembered()
        waiting = [studio.loose_transfers for studio in replica.shard.studios.values()]
        assert not any(waiting), "each transfer has found its order"


def test_a_drain_gives_every_row_with_a_change_and_no_other() -> None:
    """Whoever replays the drained rows has the bytes of a state that was drained at once."""
    for seed in range(10):
        log = random_log(seed, 80, PAIR)
        _, _, rows_step_by_step = uninterrupted(log)
        engine, rows = Engine(), Rows()
        for record in log:
            engine.apply(record)
        drained = engine.machine(0).drain()
        assert engine.machine(0).dirty == 0
        assert engine.machine(0).drain() == []
        keep(rows, drained)
        assert rows == rows_step_by_step


def test_what_was_never_written_has_nothing_to_resume() -> None:
    assert Machine(0).resume(None) == []
