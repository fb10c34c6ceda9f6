"""§4, credit check: who is not funded, and the sums. One row per rule."""

import pytest

from tests.contract.vocabulary import (
    ASTRAL,
    DEAR_PHOTO,
    TWO,
    C,
    Event,
    MakeSubject,
    balance,
    cancelled,
    deleted,
    feed_all,
    line,
    placed,
    record,
    rows,
    transfer,
)
from tests.model import order_key

pytestmark = pytest.mark.rules

# §4 Credit: (name, events, {order: (available, shortfall, top_up)} of those that are not funded)

Sums = dict[str, tuple[int, int, int]]
ORDERS_OF_A_DAY = [
    placed("o1", cost=100, placed_at=0),
    placed("o2", cost=60, placed_at=1),
    placed("o3", cost=50, placed_at=2),
]
SECURED = [placed("o1", *TWO, cost=100), placed("o2", cost=60, placed_at=1)]
THROUGH = transfer("succeeded", at=3)

CREDIT: list[tuple[str, list[Event], Sums]] = [
    ("no balance known", [placed(cost=100)], {}),
    ("no limit", [placed(cost=100), balance(0, None)], {}),
    ("another currency's balance", [placed(cost=100), balance(0, currency="USD")], {}),
    ("one unit short", [placed(cost=100), balance(49, 50)], {"o1": (99, 1, 1)}),
    ("equality funds", [placed(cost=100), balance(50, 50)], {}),
    ("a debt", [placed(cost=100), balance(-30, 20)], {"o1": (-10, 110, 110)}),
    ("cost 0 is not checked", [placed(cost=0), balance(-30)], {}),
    # 150: o1 leaves 50, o2 lacks 10 of 60, o3 just fits into 50.
    ("passed over", [*ORDERS_OF_A_DAY, balance(100, 50)], {"o2": (50, 10, 10)}),
    # 149: o3 lacks 1; to fund all before it too 100 + 60 + 50 - 149 = 61 are needed.
    ("two short", [*ORDERS_OF_A_DAY, balance(99, 50)], {"o2": (49, 11, 11), "o3": (49, 1, 61)}),
    # 160 fund o1 and o2: more money halts the later o3.
    ("more money halts a later one", [*ORDERS_OF_A_DAY, balance(160)], {"o3": (0, 50, 50)}),
    (
        "by placed_at, not by arrival or id",
        [placed("a", cost=100, placed_at=5), placed("b", cost=100, placed_at=4), balance(100)],
        {"a": (0, 100, 100)},
    ),
    (
        "by order_id in code points",
        [placed(ASTRAL, cost=100), placed(DEAR_PHOTO, cost=100), balance(100)],
        {ASTRAL: (0, 100, 100)},
    ),
    (
        "a known transfer comes first",
        [*ORDERS_OF_A_DAY, transfer("started", "o3"), balance(150)],
        {"o2": (0, 60, 60)},
    ),
    (
        "a failed one keeps its place",
        [*ORDERS_OF_A_DAY, transfer("failed", "o3"), balance(150)],
        {"o2": (0, 60, 60)},
    ),
    (
        "even of a package that the order has not",
        [*ORDERS_OF_A_DAY, transfer("started", "o3", "k9"), balance(150)],
        {"o2": (0, 60, 60)},
    ),
    (
        "what lacks an asset reserves nothing",
        [
            placed("o1", line("l1", "p9"), cost=100),
            placed("o2", cost=150, placed_at=1),
            deleted("product", "p9"),
            balance(150),
        ],
        {},
    ),
    # o1: 100 - 50. o2: o1 lacks an asset and is left out of its top-up: 60 - 50.
    (
        "nor does it count in a later top-up",
        [
            placed("o1", line("l1", "p9"), cost=100),
            placed("o2", cost=60, placed_at=1),
            deleted("product", "p9"),
            balance(50),
        ],
        {"o1": (50, 50, 50), "o2": (50, 10, 10)},
    ),
    (
        "only of an unsecured line",
        [
            placed("o1", *TWO, cost=100),
            transfer("succeeded", package="k1"),
            deleted("photo", "f1"),
            placed("o2", cost=60),
            balance(150),
        ],
        {"o2": (50, 10, 10)},
    ),
    (
        "currencies apart",
        [placed("o1", cost=100), placed("o2", cost=60, currency="USD"), balance(100)],
        {},
    ),
    (
        "an amended currency",
        [placed(cost=100), placed(cost=100, currency="USD", version=2), balance(0)],
        {},
    ),
    # A secured cost
    ("secured, not settled", [*SECURED, THROUGH, balance(150, at=2)], {"o2": (50, 10, 10)}),
    ("settled at the closing", [*SECURED, THROUGH, balance(150, at=3)], {}),
    (
        "an empty list settles nothing",
        [*SECURED, THROUGH, balance(150, at=9, settled="")],
        {"o2": (50, 10, 10)},
    ),
    ("listed", [*SECURED, THROUGH, balance(150, at=2, settled="o1")], {}),
    (
        "listed once by a balance that is not kept",
        [*SECURED, THROUGH, balance(1, settled="o1"), balance(150, at=1, version=2, settled="")],
        {},
    ),
    (
        "listed in another currency",
        [*SECURED, THROUGH, balance(150, at=1), balance(0, currency="USD", settled="o1")],
        {"o2": (50, 10, 10)},
    ),
    (
        "settled by date, then a list",
        [*SECURED, THROUGH, balance(150, at=9), balance(150, at=10, version=2, settled="")],
        {"o2": (50, 10, 10)},
    ),
    # Lines are secured at min(3, 5) and min(6, 5): the closing is 5.
    *(
        (
            f"closing at 5, balance at {at}",
            [
                *SECURED,
                transfer("succeeded", package="k1", at=3),
                transfer("succeeded", package="k2", at=6),
                transfer("succeeded", at=5),
                balance(150, at=at),
            ],
            expected,
        )
        for at, expected in ((4, {"o2": (50, 10, 10)}), (5, {}))
    ),
    (
        "the earliest success closes",
        [*SECURED, THROUGH, transfer("succeeded", at=8, attempt=2), balance(150, at=4)],
        {},
    ),
    ("secured and cancelled", [*SECURED, THROUGH, cancelled("o1"), balance(150, at=2)], {}),
    (
        "listed while in flight: neither checked nor reserving",
        [*ORDERS_OF_A_DAY, balance(110, settled="o1")],
        {},
    ),
    (
        "by date only what is secured",
        [*ORDERS_OF_A_DAY, balance(110, at=20)],
        {"o2": (10, 50, 50), "o3": (10, 40, 100)},
    ),
    # §3 ties
    (
        "the higher version",
        [placed(cost=9), balance(0, version=2), balance(9, at=9)],
        {"o1": (0, 9, 9)},
    ),
    ("the later", [placed(cost=9), balance(9, at=2), balance(0, at=3)], {"o1": (0, 9, 9)}),
    (
        "the greater event_id",
        [placed(cost=9), balance(0, event_id="b"), balance(9, event_id="a")],
        {"o1": (0, 9, 9)},
    ),
]


@rows("events, expected", CREDIT)
def test_credit_check(make_subject: MakeSubject, events: list[Event], expected: Sums) -> None:
    records = [record(event, number) for number, event in enumerate(events)]
    for delivered in (records, records[::-1], records * 2):
        subject = make_subject()
        feed_all(delivered, subject)
        found = {}
        for key, judgement in subject.judgements().items():
            credit = judgement["credit"]
            assert (credit is not None) == (C in judgement["codes"])
            if credit is not None:
                sums = credit["available_minor"], credit["shortfall_minor"], credit["top_up_minor"]
                found[key] = sums
        assert found == {order_key("s1", order_id): sums for order_id, sums in expected.items()}
