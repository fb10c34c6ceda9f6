"""§5: when a record is emitted, and what it says happened."""

import pytest

from tests.contract.vocabulary import (
    ASTRAL,
    DEAR_PHOTO,
    ONE,
    TWO,
    C,
    Event,
    MakeSubject,
    P,
    T,
    balance,
    cancelled,
    deleted,
    feed_all,
    line,
    placed,
    record,
    reinstated,
    restored,
    rows,
    transfer,
)
from tests.model import Emitted

pytestmark = pytest.mark.rules

# §5 When a record is emitted: (name, [(event, [(change, status, episode, codes, ended codes)])])

Short = tuple[str, str, int, list[str], list[str]]
Step = tuple[Event, list[Short]]
OPENED_P: Step = (deleted("product", "p1"), [("opened", "halted", 1, [P], [])])
RELEASED_P: list[Short] = [("ended", "released", 1, [], [P])]

EMITTED: list[tuple[str, list[Step]]] = [
    ("a healthy order says nothing", [(placed(), []), (cancelled(), [])]),
    ("opened by an early fact", [(OPENED_P[0], []), (placed(), OPENED_P[1])]),
    ("released", [(placed(), []), OPENED_P, (restored("product", "p1", at=2), RELEASED_P)]),
    (
        "cancelled",
        [(placed(), []), OPENED_P, (cancelled(), [("ended", "cancelled", 1, [], [P])])],
    ),
    (
        "transferred",
        [
            (placed(), []),
            OPENED_P,
            (transfer("succeeded"), [("ended", "transferred", 1, [], [P])]),
        ],
    ),
    (
        "a second episode",
        [
            (placed(), []),
            OPENED_P,
            (cancelled(), [("ended", "cancelled", 1, [], [P])]),
            (restored("product", "p1", at=1), []),
            (reinstated(at=2), [("opened", "halted", 2, [P], [])]),
        ],
    ),
    (
        "one reason comes, another goes",
        [
            (placed("o1", *ONE), []),
            OPENED_P,
            (transfer("failed"), [("changed", "halted", 1, [P, T], [])]),
            (restored("product", "p1", at=2), [("changed", "halted", 1, [T], [P])]),
            (transfer("succeeded", package="k1"), [("ended", "transferred", 1, [], [T])]),
        ],
    ),
    ("a duplicate says nothing", [(placed(), []), OPENED_P, (OPENED_P[0], [])]),
    (
        "what a subject says has changed",
        [
            (placed(), []),
            OPENED_P,
            (
                deleted("product", "p1", at=2, deleted_by="u1"),
                [("changed", "halted", 1, [P], [])],
            ),
        ],
    ),
    (
        "paid, cost and version each change",
        [
            (placed(), []),
            OPENED_P,
            (placed(at=1, paid=True), [("changed", "halted", 1, [P], [])]),
            (placed(at=2, paid=True, cost=5), [("changed", "halted", 1, [P], [])]),
            (placed(version=2, paid=True, cost=5), [("changed", "halted", 1, [P], [])]),
            # Only placed_at and an id that no reason shows differ.
            (
                placed(
                    "o1", line("l1", photos="f9"), version=2, paid=True, cost=5, at=1, placed_at=3
                ),
                [],
            ),
        ],
    ),
    (
        "paid changes, though no action does",
        [
            (placed(cost=100), []),
            (balance(10), [("opened", "halted", 1, [C], [])]),
            (placed(cost=100, at=1, paid=True), [("changed", "halted", 1, [C], [])]),
        ],
    ),
    (
        "a line more that shows the cause",
        [
            (placed(), []),
            OPENED_P,
            (placed("o1", line("l1"), line("l2"), at=1), [("changed", "halted", 1, [P], [])]),
        ],
    ),
    (
        "the credit sums alone say nothing",
        [
            (placed(cost=100), []),
            (balance(10), [("opened", "halted", 1, [C], [])]),
            (balance(20, version=2), []),
            (balance(100, version=3), [("ended", "released", 1, [], [C])]),
        ],
    ),
    (
        "secured after it was cancelled: nothing more to say",
        [
            (cancelled(at=5), []),
            (reinstated(at=6), []),
            (placed("o1", *ONE), []),
            OPENED_P,
            (cancelled(at=7), [("ended", "cancelled", 1, [], [P])]),
            (transfer("succeeded"), []),
        ],
    ),
    (
        "amended to what is secured: transferred",
        [
            (placed("o1", *TWO), []),
            (transfer("succeeded", package="k2"), []),
            OPENED_P,
            (placed("o1", TWO[1], version=2), [("ended", "transferred", 1, [], [P])]),
        ],
    ),
]


def short(emitted: Emitted) -> Short:
    value = emitted.value
    assert value is not None
    codes = [reason["code"] for reason in value["reasons"]]
    assert value["primary_reason"] == (codes[0] if codes else None)
    ended = [reason["code"] for reason in value["ended_reasons"]]
    return value["change"], value["status"], value["episode"], codes, ended


@rows("steps", EMITTED)
def test_when_a_record_is_emitted(make_subject: MakeSubject, steps: list[Step]) -> None:
    subject = make_subject()
    sequences = []
    for number, (event, expected) in enumerate(steps):
        outcome = subject.feed(record(event, number))
        assert outcome.rejected is None
        assert [short(emitted) for emitted in outcome.emitted] == expected, number
        sequences += [e.value["sequence"] for e in outcome.emitted if e.value is not None]
    assert sequences == list(range(1, len(sequences) + 1))


def test_one_event_emits_by_order_id_in_code_points(make_subject: MakeSubject) -> None:
    orders = ["b", ASTRAL, DEAR_PHOTO, "a", "B"]
    events = [*(placed(order) for order in orders), deleted("product", "p1")]
    records = [record(event, number) for number, event in enumerate(events)]
    outcomes = feed_all(records, make_subject())
    found = [e.value["order_id"] for e in outcomes[-1].emitted if e.value is not None]
    assert found == ["B", "a", "b", DEAR_PHOTO, ASTRAL]
