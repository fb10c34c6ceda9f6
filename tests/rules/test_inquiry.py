"""What people are told of an order is what the rules say, and what `order-halted` has said."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from processor.rules.inquiry import Answer, CreditState, State, inquire
from processor.rules.machine import Machine
from schemas.partitioning import split_key
from schemas.reasons import ReasonCode
from tests.contract.vocabulary import (
    ONE,
    TWO,
    C,
    Event,
    F,
    P,
    T,
    balance,
    cancelled,
    deleted,
    line,
    numbered,
    placed,
    reinstated,
    restored,
    rows,
    transfer,
)
from tests.contract.vocabulary import record as put
from tests.engine import Engine, Rows, decoded, keep
from tests.model import Record
from tests.strategies import Shape, logs, random_log

pytestmark = pytest.mark.rules

CROWDED = Shape(studios=2, orders=4)


def ask(*events: Event, order: str = "o1", studio: str = "s1") -> Answer:
    engine = Engine()
    for item in numbered(events):
        engine.apply(item)
    return inquire(engine.machine(0), studio, order)


NOT_CHECKED = [
    ("no balance known", [placed(cost=5)], CreditState.NO_BALANCE),
    ("a balance of another currency", [balance(0, currency="USD"), placed(cost=5)], "no_balance"),
    ("no limit", [balance(0, None), placed(cost=5)], CreditState.NO_LIMIT),
    ("listed", [balance(0, settled="o1"), placed(cost=5)], CreditState.SETTLED),
    ("costs nothing", [balance(-9), placed(cost=0)], CreditState.NO_COST),
    ("funded to the last cent", [balance(4, 1), placed(cost=5)], CreditState.FUNDED),
    ("short", [balance(4), placed(cost=5)], CreditState.NOT_FUNDED),
]


@rows("events, expected", NOT_CHECKED)
def test_credit(events: list[Event], expected: str) -> None:
    answer = ask(*events)
    assert answer.credit is not None
    assert answer.credit.state == expected
    assert (answer.state is State.HALTED) == (expected == CreditState.NOT_FUNDED)
    assert (answer.credit.sums is not None) == (expected == CreditState.NOT_FUNDED)


STATES = [
    ("never named", [placed("o2")], State.UNKNOWN),
    ("another studio's", [placed(studio_id="s2")], State.UNKNOWN),
    ("only a transfer", [transfer("failed")], State.EARLY),
    ("only a cancellation", [cancelled()], State.EARLY),
    ("only a settlement", [balance(0, settled="o1")], State.EARLY),
    ("in flight", [placed()], State.IN_FLIGHT),
    ("on its way", [placed(), transfer("started")], State.IN_FLIGHT),
    ("halted", [placed(), deleted("product", "p1")], State.HALTED),
    ("restored", [placed(), deleted("product", "p1"), restored("product", "p1", 2)], "in_flight"),
    ("cancelled", [placed(), cancelled()], State.CANCELLED),
    ("reinstated", [placed(), cancelled(at=1), reinstated(at=2)], State.IN_FLIGHT),
    ("transferred", [placed(), transfer("succeeded")], State.TRANSFERRED),
    ("both", [placed(), transfer("succeeded"), cancelled()], State.CANCELLED),
    ("half of it", [placed("o1", *TWO), transfer("succeeded", package="k1")], State.IN_FLIGHT),
]


@rows("events, expected", STATES)
def test_state(events: list[Event], expected: str) -> None:
    answer = ask(*events)
    assert answer.state == expected
    assert answer.unsettled == ()
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer


def test_early_facts_are_told() -> None:
    answer = ask(transfer("failed", error={"code": "E", "message": "m"}), cancelled(at=3))
    assert [(x.status, x.attempt) for x in answer.transfers] == [("failed", 1)]
    assert answer.cancelled_at == "2026-01-01T03:00:00.000000Z"
    assert answer.closed_at is None
    assert answer.order is None


def test_when_an_order_closed() -> None:
    assert ask(placed(), transfer("succeeded", at=4)).closed_at == "2026-01-01T04:00:00.000000Z"
    assert ask(placed(), cancelled(at=5)).closed_at == "2026-01-01T05:00:00.000000Z"


def test_each_line_shows_what_it_lacks() -> None:
    """A secured line needs nothing any more; a line of a failed package shows that."""
    answer = ask(
        placed("o1", line("l1", "p1", "f1 f2"), line("l2", "p1", "f3", "k2"), line("l3", "p3")),
        deleted("product", "p1", deleted_by="who"),
        deleted("photo", "f2 f3"),
        transfer("failed", package="k2"),
    )
    assert answer.order is not None
    shown = {x.line_id: (x.codes, [(g.type, g.id) for g in x.gone]) for x in answer.order.lines}
    assert shown == {
        "l1": ((P, F), [("product", "p1"), ("photo", "f2")]),
        "l2": ((P, F, T), [("product", "p1"), ("photo", "f3")]),
        "l3": ((), []),
    }
    assert answer.order.lines[0].gone[0].deleted_by == "who"
    assert [x.photo_count for x in answer.order.lines] == [2, 1, 0]


def test_a_secured_line_lacks_nothing() -> None:
    answer = ask(placed("o1", *TWO), transfer("succeeded", package="k1"), deleted("photo", "f1 f2"))
    assert answer.order is not None
    assert [(x.secured, x.codes) for x in answer.order.lines] == [(True, ()), (False, (F,))]


def test_what_is_secured_stays_so_while_the_order_is_cancelled() -> None:
    answer = ask(placed("o1", *TWO), transfer("succeeded", package="k1"), cancelled())
    assert answer.order is not None
    assert [x.secured for x in answer.order.lines] == [True, False]


def test_the_sums_are_those_of_now() -> None:
    """They change without a record (contract.md §5), and nobody wants those of last week."""
    answer = ask(balance(0), placed(cost=500), balance(100, version=2))
    assert answer.credit is not None
    assert answer.credit.sums is not None
    assert answer.credit.sums.shortfall_minor == 400
    assert answer.reasons[0].credit == answer.credit.sums
    assert (answer.credit.balance_minor, answer.credit.available_minor) == (100, 100)


def test_a_forgotten_order_leaves_its_id() -> None:
    engine = Engine()
    story = [placed(), deleted("product", "p1"), cancelled()]
    for number, event in enumerate(story):
        engine.apply(put(event, number))
    engine.apply(put(placed("o2"), 9, day=8))
    answer = inquire(engine.machine(0), "s1", "o1")
    assert (answer.state, answer.forgotten_at) == (
        State.FORGOTTEN,
        "2026-01-10T00:00:00.000000Z",
    )


def test_half_a_transaction_is_no_halt_yet() -> None:
    """A replica that has the mark and not the halt says so, and announces nothing itself."""
    engine, replica = Engine(), Machine(0)
    for item in numbered([placed()]):
        engine.apply(item)
    for row in engine.machine(0).drain():
        replica.load(*row)
    engine.apply(put(deleted("product", "p1"), 5))
    rows_of_it = engine.machine(0).drain()
    for row in rows_of_it:
        if row[0] == "products":
            replica.load(*row)
    answer = inquire(replica, "s1", "o1")
    assert (answer.state, answer.reasons, answer.unsettled) == (State.IN_FLIGHT, (), (P,))
    for row in rows_of_it:
        replica.load(*row)
    answer = inquire(replica, "s1", "o1")
    assert (answer.state, answer.unsettled) == (State.HALTED, ())


Said = dict[str, dict[str, Any]]
"""Order key → the last record that has not been taken back by a tombstone."""


def said_by(engine: Engine, log: list[Record]) -> Said:
    said: Said = {}
    for item in log:
        for emission in engine.apply(item):
            key, value, _ = decoded(emission)
            if value is None:
                del said[key]
            else:
                said[key] = value
    return said


def without_sums(reasons: Any) -> Any:
    return [{name: x[name] for name in x if name != "credit"} for x in reasons]


def check_against_records(machine: Machine, said: Said) -> None:
    """Halted is what was said to be, for the reasons that were said, and nothing else is."""
    for key in machine.keys("orders"):
        answer = msgspec.json.decode(
            msgspec.json.encode(inquire(machine, *split_key(key.decode())))
        )
        record = said.get(key.decode())
        reasons = [] if record is None else record["reasons"]
        assert answer["unsettled"] == []
        assert without_sums(answer["reasons"]) == without_sums(reasons)
        assert (answer["state"] == State.HALTED) == bool(reasons)
        assert (answer["last_halt"] is None) == (record is None)
        shown = {code for x in (answer["order"] or {"lines": []})["lines"] for code in x["codes"]}
        assert shown == {x["code"] for x in reasons} - {ReasonCode.CREDIT_LIMIT_REACHED}
        checked = answer["credit"]
        is_short = checked is not None and checked["state"] == CreditState.NOT_FUNDED
        assert is_short == (C in [x["code"] for x in reasons])


@settings(max_examples=60)
@given(log=logs(30, CROWDED))
def test_the_answer_is_what_was_announced(log: list[Record]) -> None:
    engine = Engine()
    said = said_by(engine, log)
    check_against_records(engine.machine(0), said)


@pytest.mark.parametrize("seed", range(20))
def test_a_replica_answers_as_the_live_shard(seed: int) -> None:
    """Also where its rows come in another order, and nobody has funded it before it is asked."""
    engine = Engine()
    said = said_by(engine, random_log(seed, 120, CROWDED))
    live = engine.machine(0)
    kept = Rows()
    keep(kept, live.drain())
    changelog = list(kept.items())
    random.Random(seed).shuffle(changelog)
    replica = engine.recovered(0, changelog)
    check_against_records(replica, said)
    for key in live.keys("orders"):
        names = split_key(key.decode())
        assert inquire(replica, *names) == inquire(live, *names)


@pytest.mark.parametrize("seed", range(10))
def test_asking_changes_nothing(seed: int) -> None:
    """A shard that is asked after every record emits the same as one that is not."""
    log = random_log(seed, 100, CROWDED)
    asked, alone = Engine(), Engine()
    for item in log:
        assert asked.apply(item) == alone.apply(item)
        machine = asked.machine(item.partition)
        dirty = machine.dirty
        for key in machine.keys("orders"):
            inquire(machine, *split_key(key.decode()))
        assert machine.dirty == dirty


def test_one_line_orders_and_many_are_the_same_code() -> None:
    answer = ask(placed("o1", *ONE), deleted("photo", "f1 f2"))
    assert answer.order is not None
    assert answer.order.lines[0].gone == answer.reasons[0].subjects
