"""§7: what is forgotten, when, and what stays."""

import pytest

from tests.contract.vocabulary import (
    DAY_0_MS,
    ONE,
    TWO,
    Event,
    MakeSubject,
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

pytestmark = pytest.mark.rules

# §7 Forgetting: (name, [(day, event, tombstones)], what is remembered at the end)

Days = list[tuple[float, Event, list[str]]]
GONE = deleted("product", "p1")
OTHER = placed("other", line("l1", "p2"))
HALTED_THEN_CANCELLED: Days = [(0, GONE, []), (0, placed(), []), (1, cancelled(), [])]
CANCELLED_IN_HEALTH: Days = [(0, placed(), []), (1, cancelled(), [])]
PAID_OUT: Days = [
    (0, transfer("failed", at=1), []),
    (0, placed(cost=5), []),
    (0, transfer("succeeded", at=3), []),
]

FORGOTTEN: list[tuple[str, Days, dict[str, str]]] = [
    (
        "closed, not yet of age",
        [*HALTED_THEN_CANCELLED, (7.999, OTHER, [])],
        {"placed": "o1 other", "marks": "p1"},
    ),
    (
        "closed, of age",
        [*HALTED_THEN_CANCELLED, (8, OTHER, ["o1"])],
        {"placed": "other", "forgotten": "o1", "marks": "p1"},
    ),
    (
        "only order-placed moves the partition time",
        [*HALTED_THEN_CANCELLED, (50, cancelled("o2"), [])],
        {"placed": "o1", "unplaced": "o2", "marks": "p1"},
    ),
    (
        "never emitted: nothing stays",
        [*CANCELLED_IN_HEALTH, (8, OTHER, [])],
        {"placed": "other"},
    ),
    (
        "in flight: never",
        [(0, GONE, []), (0, placed(), []), (1000, OTHER, [])],
        {"placed": "o1 other", "marks": "p1"},
    ),
    (
        "a duplicate refreshes",
        [(0, placed(), []), (0, cancelled(), []), (5, cancelled(), []), (11.9, OTHER, [])],
        {"placed": "o1 other"},
    ),
    (
        "a settlement refreshes, a balance that does not list it does not",
        [
            (0, placed(), []),
            (0, cancelled(), []),
            (4, balance(1, settled="o1"), []),
            (6, balance(2, version=2), []),
            (10.9, OTHER, []),
            (11, OTHER, []),
        ],
        {"placed": "other"},
    ),
    (
        "its order-placed does so itself",
        [(0, placed(), []), (0, cancelled(), []), (50, placed(), [])],
        {"placed": "o1"},
    ),
    (
        "a record ahead of the partition time is as old as it says",
        [(0, placed(), []), (20, cancelled(), []), (26.9, OTHER, [])],
        {"placed": "o1 other"},
    ),
    (
        "a record behind it is as old as its application",
        [(0, placed(), []), (20, OTHER, []), (1, cancelled(), []), (26.9, OTHER, [])],
        {"placed": "o1 other"},
    ),
    (
        "a later event behind does not make older",
        [(0, placed(), []), (20, cancelled(), []), (3, cancelled(), []), (26.9, OTHER, [])],
        {"placed": "o1 other"},
    ),
    (
        "never placed",
        [
            (0, OTHER, []),
            (0, cancelled("a"), []),
            (0, transfer("failed", "b"), []),
            (0, balance(0, settled="c"), []),
            (1, reinstated("d"), []),
            (7, OTHER, []),
        ],
        {"placed": "other", "unplaced": "d"},
    ),
    (
        "nothing before the first order-placed",
        [(0, cancelled(), []), (0, GONE, []), (500, reinstated("o2"), []), (600, GONE, [])],
        {"unplaced": "o1 o2", "marks": "p1"},
    ),
    (
        "then what is old goes with it",
        [(0, cancelled(), []), (0, GONE, []), (500, reinstated("o2"), []), (506, OTHER, [])],
        {"placed": "other", "unplaced": "o2"},
    ),
    # A cost that counts
    (
        "secured, no balance",
        [*PAID_OUT, (7, OTHER, ["o1"])],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "secured, no limit",
        [*PAID_OUT, (0, balance(0, None), []), (7, OTHER, ["o1"])],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "secured, its cost counts",
        [*PAID_OUT, (0, balance(0, at=2), []), (900, OTHER, [])],
        {"placed": "o1 other"},
    ),
    (
        "until a balance settles it by date",
        [
            *PAID_OUT,
            (0, balance(0, at=2), []),
            (9, OTHER, []),
            (9, balance(0, at=3, version=2), ["o1"]),
        ],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "or the limit is lifted",
        [*PAID_OUT, (0, balance(0, at=2), []), (9, OTHER, []), (9, balance(0, None, 2, 2), ["o1"])],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "listed, and seven days more",
        [
            *PAID_OUT,
            (0, balance(0, at=2), []),
            (9, OTHER, []),
            (9, balance(0, at=2, version=2, settled="o1"), []),
            (15.9, OTHER, []),
            (16, OTHER, ["o1"]),
        ],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "in flight again, it is not closed whatever a balance says then",
        [
            (0, placed("o1", line("l1", package="k1"), cost=5), []),
            (0, transfer("succeeded", package="k1"), []),
            (0, balance(0, 9, at=2, settled=""), []),
            (9, OTHER, []),
            (9, placed("o1", line("l1", package="k1"), line("l2"), cost=5, version=2), []),
            (9, transfer("started", package="k2"), []),
            (9, balance(0, None, at=3, version=2), []),
            (9, transfer("succeeded", at=4), []),
            (16, OTHER, []),
            (16.1, OTHER, []),
        ],
        {"placed": "other"},
    ),
    (
        "secured and cancelled",
        [*PAID_OUT, (0, balance(0, at=2), []), (0, cancelled(), []), (7, OTHER, ["o1"])],
        {"placed": "other", "forgotten": "o1"},
    ),
    # The id that stays
    (
        "later events are stale",
        [
            *HALTED_THEN_CANCELLED,
            (8, OTHER, ["o1"]),
            (9, placed(version=2), []),
            (9, reinstated(at=9), []),
            (9, transfer("failed"), []),
            (9, balance(0, settled="o1"), []),
        ],
        {"placed": "other", "forgotten": "o1", "marks": "p1"},
    ),
    (
        "it stays for 400 days, however stale events come",
        [
            *HALTED_THEN_CANCELLED,
            (8, OTHER, ["o1"]),
            (300, placed(version=2), []),
            (407.9, OTHER, []),
        ],
        {"placed": "other", "forgotten": "o1"},
    ),
    (
        "and then goes",
        [*HALTED_THEN_CANCELLED, (8, OTHER, ["o1"]), (300, placed(), []), (408, OTHER, [])],
        {"placed": "other"},
    ),
    (
        "even with the stale event that takes the time there",
        [*HALTED_THEN_CANCELLED, (8, OTHER, ["o1"]), (408, placed(), [])],
        {"placed": "other"},
    ),
    # Marks
    ("a mark", [(0, GONE, []), (90, OTHER, [])], {"placed": "other"}),
    ("a mark before", [(0, GONE, []), (89.9, OTHER, [])], {"placed": "other", "marks": "p1"}),
    (
        "a restored one too",
        [(0, restored("product", "p1"), []), (90, OTHER, [])],
        {"placed": "other"},
    ),
    (
        "a mark named again, though it is stale",
        [(0, GONE, []), (60, restored("product", "p1", at=0), []), (149, OTHER, [])],
        {"placed": "other", "marks": "p1"},
    ),
    (
        "a mark of a secured line of an order in flight",
        [
            (0, placed("o1", *TWO), []),
            (0, transfer("succeeded", package="k1"), []),
            (0, deleted("photo", "f1"), []),
            (0, deleted("photo", "f7"), []),
            (90, OTHER, []),
        ],
        {"placed": "o1 other", "marks": "f1"},
    ),
    (
        "a mark of a closed order",
        [
            (0, placed("o1", *ONE), []),
            (0, transfer("succeeded"), []),
            (0, deleted("photo", "f1"), []),
            (90, OTHER, []),
        ],
        {"placed": "other"},
    ),
    (
        "a mark goes once its order has closed",
        [
            (0, placed("o1", *ONE), []),
            (0, deleted("photo", "f7"), []),
            (0, restored("photo", "f1"), []),
            (100, OTHER, []),
            (100, transfer("succeeded"), []),
        ],
        {"placed": "o1 other"},
    ),
]


@rows("days, expected", FORGOTTEN)
def test_what_is_forgotten_and_when(
    make_subject: MakeSubject, days: Days, expected: dict[str, str]
) -> None:
    subject = make_subject()
    numbers: dict[str, int] = {}
    for day, event, tombstones in days:
        # The same event has the same event_id whenever it comes.
        number = numbers.setdefault(repr(event), len(numbers))
        outcome = subject.feed(record(event, number, day))
        assert outcome.rejected is None
        found = [emitted.key for emitted in outcome.emitted if emitted.value is None]
        assert found == [f"s1/{order_id}" for order_id in tombstones], (day, event)
        assert all(emitted.headers == {} for emitted in outcome.emitted if emitted.value is None)
    remembered = {
        name: " ".join(sorted(item[-1] for item in items))
        for name, items in subject.remembered().items()
        if items
    }
    assert remembered == expected


def test_an_order_begins_anew_when_its_id_is_forgotten_too(make_subject: MakeSubject) -> None:
    days: list[tuple[float, Event]] = [
        *((day, event) for day, event, _ in HALTED_THEN_CANCELLED),
        (8, OTHER),
        (408, OTHER),
        (409, GONE),
        (409, placed()),
    ]
    records = [record(e, number, day) for number, (day, e) in enumerate(days)]
    outcomes = feed_all(records, make_subject())
    value = outcomes[-1].emitted[0].value
    assert value is not None
    assert (value["sequence"], value["episode"], value["change"]) == (1, 1, "opened")


def test_tombstones_stand_behind_records_by_age_studio_and_order(make_subject: MakeSubject) -> None:
    days: list[tuple[float, Event]] = []
    for day, studio, order in ((1, "b", "o"), (0, "c", "o"), (0, "a", "p"), (0, "a", "b")):
        event = placed(order, studio_id=studio)
        days += [(0, event), (0, transfer("failed", order, studio_id=studio))]
        days.append((day, transfer("succeeded", order, studio_id=studio)))
    days += [(0, deleted("product", "p9")), (8, placed("new", line("l1", "p9")))]
    records = [record(e, number, day) for number, (day, e) in enumerate(days)]
    outcomes = feed_all(records, make_subject())
    found = [(emitted.key, emitted.value is None) for emitted in outcomes[-1].emitted]
    gone = [(key, True) for key in ("a/b", "a/p", "c/o", "b/o")]
    assert found == [("s1/new", False), *gone]


def test_a_rejected_order_placed_does_not_move_the_partition_time(
    make_subject: MakeSubject,
) -> None:
    subject = make_subject()
    feed_all([record(placed(), 0)], subject)
    assert subject.feed(record(placed(), 1, 50)._replace(key=None)).rejected == "key_mismatch"
    assert subject.partition_time(0) == DAY_0_MS


def test_partitions_have_their_own_time(make_subject: MakeSubject) -> None:
    subject = make_subject()
    feed_all([record(placed(), 0), record(cancelled(), 1)], subject)
    subject.feed(record(placed("x", studio_id="s2"), 2, 50)._replace(partition=1))
    assert (subject.partition_time(0), subject.partition_time(2)) == (DAY_0_MS, None)
    assert ("s1", "o1") in subject.remembered()["placed"]
