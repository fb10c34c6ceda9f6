"""§4: which orders are in flight, and which reasons are active. One row per rule.

Rows are fed forwards, backwards and twice: a halt never depends on the order of arrival.
"""

import pytest

from tests.contract.vocabulary import (
    ONE,
    TWO,
    C,
    Codes,
    Event,
    F,
    K,
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
    rows,
    transfer,
)

pytestmark = pytest.mark.rules

# (name, events, codes of every placed order, None where it is closed)

MANY_REASONS = [
    balance(0),
    deleted("product", "p1"),
    deleted("photo", "f1"),
    deleted("package", "k1"),
    transfer("failed"),
    placed("o1", *TWO, cost=1),
]

JUDGED: list[tuple[str, list[Event], Codes]] = [
    ("nothing wrong", [placed()], {"o1": []}),
    ("never placed", [deleted("product", "p1"), cancelled(), transfer("failed")], {}),
    ("product gone", [placed(), deleted("product", "p1")], {"o1": [P]}),
    ("photo gone", [placed("o1", *ONE), deleted("photo", "f2")], {"o1": [F]}),
    ("package gone", [placed("o1", *ONE), deleted("package", "k1")], {"o1": [K]}),
    ("another asset gone", [placed(), deleted("product", "p2")], {"o1": []}),
    ("the id of another type", [placed(), deleted("photo", "p1")], {"o1": []}),
    (
        "another studio's asset",
        [placed(), deleted("product", "p1", studio_id="s2")],
        {"o1": []},
    ),
    (
        "a product gone hits two orders",
        [placed("o1"), placed("o2"), deleted("product", "p1")],
        {"o1": [P], "o2": [P]},
    ),
    ("all reasons, by precedence", MANY_REASONS, {"o1": [P, F, K, C, T]}),
    ("cancelled", [*MANY_REASONS, cancelled()], {"o1": None}),
    ("reinstated", [*MANY_REASONS, cancelled(), reinstated(at=2)], {"o1": [P, F, K, C, T]}),
    ("whole order secured", [*MANY_REASONS, transfer("succeeded")], {"o1": None}),
    (
        "secured whatever the transfer says later",
        [placed(), transfer("succeeded"), transfer("failed", attempt=9, at=9)],
        {"o1": None},
    ),
    (
        "a secured line shows nothing",
        [placed("o1", *TWO), transfer("succeeded", package="k1"), deleted("photo", "f1")],
        {"o1": []},
    ),
    (
        "an unsecured line still does",
        [placed("o1", *TWO), transfer("succeeded", package="k1"), deleted("photo", "f2")],
        {"o1": [F]},
    ),
    (
        "every package secured",
        [
            placed("o1", *TWO),
            transfer("succeeded", package="k1"),
            transfer("succeeded", package="k2"),
        ],
        {"o1": None},
    ),
    (
        "a line without package needs the whole order",
        [
            placed("o1", line("l1", package="k1"), line("l2")),
            transfer("succeeded", package="k1"),
        ],
        {"o1": []},
    ),
    (
        "one success secures every line of the package",
        [
            placed("o1", line("l1", package="k1"), line("l2", package="k1")),
            transfer("succeeded", package="k1"),
        ],
        {"o1": None},
    ),
    (
        "another order's success",
        [placed(), deleted("product", "p1"), transfer("succeeded", "o2")],
        {"o1": [P]},
    ),
    (
        "amended away from what is gone",
        [placed(), deleted("product", "p1"), placed("o1", line("l1", "p2"), version=2)],
        {"o1": []},
    ),
    (
        "amended to a secured package",
        [
            placed("o1", *TWO),
            transfer("succeeded", package="k1"),
            placed("o1", TWO[0], version=2),
        ],
        {"o1": None},
    ),
    (
        "amended with a new line after it was secured",
        [
            placed("o1", TWO[0]),
            transfer("succeeded", package="k1"),
            placed("o1", *TWO, version=2),
            deleted("product", "p2"),
        ],
        {"o1": [P]},
    ),
    # transfer_failed
    ("failed", [placed(), transfer("failed")], {"o1": [T]}),
    ("failed, will retry", [placed(), transfer("failed", will_retry=True)], {"o1": []}),
    ("started", [placed(), transfer("started")], {"o1": []}),
    (
        "failed, then started again",
        [placed(), transfer("failed"), transfer("started", attempt=2)],
        {"o1": []},
    ),
    (
        "an unknown package failed",
        [placed("o1", *ONE), transfer("failed", package="k9")],
        {"o1": []},
    ),
    (
        "the package failed, the whole order started higher",
        [placed("o1", *ONE), transfer("failed", package="k1"), transfer("started", attempt=2)],
        {"o1": []},
    ),
    (
        "the package failed, the whole order started at a tie",
        [placed("o1", *ONE), transfer("failed", package="k1"), transfer("started")],
        {"o1": [T]},
    ),
    (
        "the whole order failed, the package started at a tie",
        [placed("o1", *ONE), transfer("started", package="k1"), transfer("failed")],
        {"o1": []},
    ),
    (
        "the whole order failed higher",
        [placed("o1", *ONE), transfer("started", package="k1"), transfer("failed", attempt=2)],
        {"o1": [T]},
    ),
]


@rows("events, expected", JUDGED)
def test_active_reasons_are_a_function_of_the_facts(
    make_subject: MakeSubject, events: list[Event], expected: Codes
) -> None:
    records = [record(event, number) for number, event in enumerate(events)]
    for delivered in (records, records[::-1], records * 2):
        subject = make_subject()
        feed_all(delivered, subject)
        found = {
            key.removeprefix("s1/"): None if j["state"] == "closed" else j["codes"]
            for key, j in subject.judgements().items()
        }
        assert found == expected
