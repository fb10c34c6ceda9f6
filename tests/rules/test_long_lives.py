"""Few orders over many weeks: what is held past its age meets amendments, balances and recoveries.

Here logs are long and ids few, so that an order is closed, held, in flight again and forgotten
within one log; shorter ones seldom get there.
"""

from __future__ import annotations

import random

import pytest

from schemas.halted import DATA_SCHEMA
from tests.contract.vocabulary import (
    Event,
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
from tests.engine import Engine, Rows, keep
from tests.model import Model

EVENTS = 40
#: An order whose cost counts when it has reached its age.
BEGINNING = (
    balance(0, 9, settled=""),
    placed("o1", line("l1", package="k1"), cost=5),
    transfer("succeeded", "o1", "k1"),
)


def any_event(chance: random.Random) -> Event:
    order, at = chance.choice(["o1", "o2"]), chance.randrange(6)
    kind = chance.randrange(9)

    def package() -> str | None:
        return chance.choice(["k1", "k2", None])

    if kind < 3:
        lines = [
            line(
                f"l{n}", chance.choice(["p1", "p2"]), chance.choice(["", "f1", "f1 f2"]), package()
            )
            for n in range(chance.randint(1, 2))
        ]
        currency = chance.choice(["EUR", "EUR", "EUR", "USD"])
        version = chance.randint(1, 6)
        return placed(order, *lines, at=at, version=version, cost=5, currency=currency)
    if kind == 3:
        return chance.choice([cancelled, reinstated])(order, at=at)
    if kind == 4:
        asset = chance.choice(["product", "photo", "package"])
        ids = chance.choice(["p1 f1 k1", "p2 k2", "f2"])
        return chance.choice([deleted, restored])(asset, ids, at=at)
    if kind < 7:
        status = chance.choice(["started", "failed", "succeeded", "succeeded"])
        return transfer(status, order, package(), chance.randint(1, 3), at=at)
    return balance(
        chance.choice([-5, 0, 10]),
        chance.choice([None, 9, 9, 9]),
        at=at,
        version=chance.randint(1, 9),
        settled=chance.choice([None, "", "", "", "o1"]),
        currency=chance.choice(["EUR", "EUR", "USD"]),
    )


@pytest.mark.rules
@pytest.mark.parametrize("seed", range(60))
def test_engine_and_model_agree_over_weeks_and_recoveries(seed: int) -> None:
    chance = random.Random(seed)
    engine, model = Engine(), Model(dataschema=DATA_SCHEMA)
    rows: Rows = {}
    day = 0.0
    for number in range(EVENTS):
        day += chance.choice([0, 0, 0.5, 4, 8, 30])
        event = BEGINNING[number] if number < len(BEGINNING) else any_event(chance)
        item = record(event, number, day)
        assert engine.feed(item) == model.feed(item), number
        if chance.random() < 0.1:
            machine = engine.machine(0)
            keep(rows, machine.drain())
            kept = list(rows.items())
            chance.shuffle(kept)
            engine.machines[0] = engine.recovered(0, kept)
            assert engine.machines[0].resume(machine.checkpoint()) == []
    assert engine.remembered() == model.remembered()
