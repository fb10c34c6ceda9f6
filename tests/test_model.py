"""The model's own tests: one row per rule of the contract, expectations worked out by hand.

Rows of judgement are fed forwards and backwards: a halt never depends on the order of arrival.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given, settings

from tests.model import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    Emitted,
    Model,
    Outcome,
    Record,
    murmur2,
    order_key,
    partition_of,
)
from tests.model.decoding import free_text, parse_instant
from tests.model.output import instant
from tests.strategies import (
    PARTITIONS,
    Shape,
    borderline_records,
    logs,
    malformed_records,
    random_log,
    shuffled_and_duplicated,
    too_many_scopes,
)

pytestmark = pytest.mark.rules

DAY_MS = 86_400_000
DAY_0_MS = 1_767_312_000_000
"""2026-01-02T00:00:00Z: hours of events are those of the day before."""
DEAR_PHOTO = "\ufb01"
ASTRAL = "\U00010348"

Event = tuple[str, dict[str, Any]]

# Events in a few words; `at` is an hour of 2026-01-01


def hour(at: int) -> str:
    return f"2026-01-01T{at:02}:00:00.000000Z"


def line(line_id: str, product: str = "p1", photos: str = "", package: str | None = None) -> Any:
    fields = {"line_id": line_id, "product_id": product, "photo_ids": photos.split()}
    return fields if package is None else {**fields, "package_id": package}


def placed(
    order: str = "o1",
    *lines: Any,
    at: int = 0,
    placed_at: int = 0,
    version: int = 1,
    cost: int = 0,
    currency: str = "EUR",
    paid: bool = False,
    **more: Any,
) -> Event:
    fields = {"order_id": order, "version": version, "placed_at": hour(placed_at), "paid": paid}
    fields["lines"] = list(lines) or [line("l1")]
    fields["production_cost"] = {"amount_minor": cost, "currency": currency}
    return ORDER_PLACED, {**fields, "occurred_at": hour(at), **more}


def cancelled(order: str = "o1", at: int = 1, **more: Any) -> Event:
    return ORDER_CANCELLED, {"order_id": order, "occurred_at": hour(at), **more}


def reinstated(order: str = "o1", at: int = 1, **more: Any) -> Event:
    return ORDER_REINSTATED, {"order_id": order, "occurred_at": hour(at), **more}


def deleted(kind: str, ids: str, at: int = 1, **more: Any) -> Event:
    fields = {"asset_type": kind, "asset_ids": ids.split(), "occurred_at": hour(at)}
    return ASSET_DELETED, {**fields, **more}


def restored(kind: str, ids: str, at: int = 1, **more: Any) -> Event:
    fields = {"asset_type": kind, "asset_ids": ids.split(), "occurred_at": hour(at)}
    return ASSET_RESTORED, {**fields, **more}


def transfer(
    status: str,
    order: str = "o1",
    package: str | None = None,
    attempt: int = 1,
    at: int = 1,
    **more: Any,
) -> Event:
    fields = {"order_id": order, "transfer_id": "t1", "package_id": package, "status": status}
    return LAB_TRANSFER, {**fields, "attempt": attempt, "occurred_at": hour(at), **more}


def balance(
    amount: int,
    limit: int | None = 0,
    at: int = 1,
    version: int = 1,
    settled: str | None = None,
    currency: str = "EUR",
    **more: Any,
) -> Event:
    fields: dict[str, Any] = {"balance": {"amount_minor": amount, "currency": currency}}
    fields |= {"credit_limit_minor": limit, "version": version, "occurred_at": hour(at)}
    if settled is not None:
        fields["settled_order_ids"] = settled.split()
    return BALANCE_CHANGED, {**fields, **more}


def record(event: Event, number: int, day: float = 0.0, prefix: str = "") -> Record:
    """Put an event into a record; its event_id is `e` and its number unless it has one."""
    topic, fields = event
    value = {"event_id": f"e{number}", "studio_id": "s1", **fields}
    timestamp = DAY_0_MS + round(day * DAY_MS)
    key = value["studio_id"].encode()
    return Record(prefix + topic, 0, number, timestamp, key, json.dumps(value).encode())


def feed_all(records: Sequence[Record], model: Model | None = None) -> tuple[Model, list[Outcome]]:
    model = model or Model()
    outcomes = [model.feed(item) for item in records]
    assert [o for o in outcomes if o.rejected] == []
    return model, outcomes


def rows(names: str, table: Sequence[tuple[Any, ...]]) -> pytest.MarkDecorator:
    """Parametrize by a table whose first column is the case's name."""
    values = [row[1] if len(row) == 2 else row[1:] for row in table]
    return pytest.mark.parametrize(names, values, ids=[row[0] for row in table])


# §4 Which reasons are active: (name, events, codes of every placed order, None where it is closed)

P, F, K = "product_missing", "photos_missing", "package_missing"
C, T = "credit_limit_reached", "transfer_failed"
Codes = dict[str, list[str] | None]
TWO = (line("l1", "p1", "f1", "k1"), line("l2", "p2", "f2", "k2"))
ONE = (line("l1", "p1", "f1 f2", "k1"),)
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
    # §3 ties
    (
        "order: the higher version, though earlier",
        [placed(version=2, at=1), placed("o1", line("l1", "p9"), at=5), deleted("product", "p9")],
        {"o1": []},
    ),
    (
        "order: at a tie the later",
        [placed(at=1), placed("o1", line("l1", "p9"), at=2), deleted("product", "p9")],
        {"o1": [P]},
    ),
    (
        "order: at a tie the greater event_id, by code point",
        [
            placed(event_id=DEAR_PHOTO),
            placed("o1", line("l1", "p9"), event_id=ASTRAL),
            deleted("product", "p9"),
        ],
        {"o1": [P]},
    ),
    ("cancelled beats reinstated", [placed(), cancelled(), reinstated()], {"o1": None}),
    ("reinstated earlier", [placed(), cancelled(at=3), reinstated(at=2)], {"o1": None}),
    (
        "deleted beats restored",
        [placed(), deleted("product", "p1", event_id="a"), restored("product", "p1")],
        {"o1": [P]},
    ),
    (
        "restored later",
        [placed(), deleted("product", "p1"), restored("product", "p1", at=2)],
        {"o1": []},
    ),
    (
        "restored earlier",
        [placed(), deleted("product", "p1", at=3), restored("product", "p1", at=2)],
        {"o1": [P]},
    ),
    (
        "failed beats started",
        [placed(), transfer("failed"), transfer("started", at=9)],
        {"o1": [T]},
    ),
    (
        "will_retry false beats true",
        [placed(), transfer("failed"), transfer("failed", at=9, will_retry=True)],
        {"o1": [T]},
    ),
    (
        "a lower attempt counts for nothing",
        [placed(), transfer("started", attempt=2), transfer("failed", at=9)],
        {"o1": []},
    ),
]


@rows("events, expected", JUDGED)
def test_codes(events: list[Event], expected: Codes) -> None:
    records = [record(event, number) for number, event in enumerate(events)]
    for delivered in (records, records[::-1], records * 2):
        model, _ = feed_all(delivered)
        found = {
            key.removeprefix("s1/"): None if j["state"] == "closed" else j["codes"]
            for key, j in model.judgements().items()
        }
        assert found == expected


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
def test_credit(events: list[Event], expected: Sums) -> None:
    records = [record(event, number) for number, event in enumerate(events)]
    for delivered in (records, records[::-1], records * 2):
        model, _ = feed_all(delivered)
        found = {}
        for key, judgement in model.judgements().items():
            credit = judgement["credit"]
            assert (credit is not None) == (C in judgement["codes"])
            if credit is not None:
                sums = credit["available_minor"], credit["shortfall_minor"], credit["top_up_minor"]
                found[key] = sums
        assert found == {order_key("s1", order_id): sums for order_id, sums in expected.items()}


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
def test_emission(steps: list[Step]) -> None:
    model = Model()
    sequences = []
    for number, (event, expected) in enumerate(steps):
        outcome = model.feed(record(event, number))
        assert outcome.rejected is None
        assert [short(emitted) for emitted in outcome.emitted] == expected, number
        sequences += [e.value["sequence"] for e in outcome.emitted if e.value is not None]
    assert sequences == list(range(1, len(sequences) + 1))


def test_one_event_emits_by_order_id_in_code_points() -> None:
    orders = ["b", ASTRAL, DEAR_PHOTO, "a", "B"]
    events = [*(placed(order) for order in orders), deleted("product", "p1")]
    _, outcomes = feed_all([record(event, number) for number, event in enumerate(events)])
    found = [e.value["order_id"] for e in outcomes[-1].emitted if e.value is not None]
    assert found == ["B", "a", "b", DEAR_PHOTO, ASTRAL]


# §5 Every field


def test_every_field_of_a_record() -> None:
    """The record that adds transfer_failed to photos_missing, and the one that ends all."""
    until = "2026-02-01T01:30:00.1234567+01:30"
    error = {"code": "jam", "message": "a\tb" + "x" * 500}
    events = [
        placed("o/1", *TWO, line("l3", "p3", "f1 f3 f1"), cost=70, paid=True),
        deleted("photo", "f3 f1", at=2, deleted_by="u1", restorable_until=until),
        transfer("failed", "o/1", "k2", attempt=2, at=3, lab_id="lab1", error=error),
        transfer("succeeded", "o/1", at=4),
    ]
    records = [record(event, number, prefix="acme.") for number, event in enumerate(events)]
    model = Model("acme.", dataschema="urn:schema")
    _, outcomes = feed_all(records, model)
    assert [len(outcome.emitted) for outcome in outcomes] == [0, 1, 1, 1]
    changed, ended = outcomes[2].emitted[0], outcomes[3].emitted[0]
    subject = {"type": "photo", "deleted_at": hour(2), "deleted_by": "u1"}
    subject["restorable_until"] = "2026-02-01T00:00:00.123456Z"
    event_id = str(uuid5(NAMESPACE_URL, "/orderhalt/acme./s1/o%2F1/2/e2"))
    assert changed.value == {
        "event_id": event_id,
        "occurred_at": hour(3),
        "studio_id": "s1",
        "order_id": "o/1",
        "order_version": 1,
        "placed_at": hour(0),
        "paid": True,
        "production_cost": {"amount_minor": 70, "currency": "EUR"},
        "sequence": 2,
        "change": "changed",
        "status": "halted",
        "episode": 1,
        "halted_since": hour(2),
        "primary_reason": F,
        "reasons": [
            {
                "code": F,
                "since": hour(2),
                "line_ids": ["l1", "l3"],
                "line_count": 2,
                "subjects": [{**subject, "id": "f1"}, {**subject, "id": "f3"}],
                "subject_count": 2,
                "restorable_until": "2026-02-01T00:00:00.123456Z",
                "actions": ["restore_assets", "contact_customer_care"],
            },
            {
                "code": T,
                "since": hour(3),
                "line_ids": ["l2"],
                "line_count": 1,
                "subjects": [
                    {
                        "type": "package",
                        "id": "k2",
                        "deleted_at": None,
                        "deleted_by": None,
                        "restorable_until": None,
                    }
                ],
                "subject_count": 1,
                "restorable_until": None,
                "actions": ["contact_support"],
                "transfers": [
                    {
                        "transfer_id": "t1",
                        "package_id": "k2",
                        "attempt": 2,
                        "lab_id": "lab1",
                        "error": {"code": "jam", "message": "a b" + "x" * 497},
                    }
                ],
                "transfer_count": 1,
            },
        ],
        "ended_reasons": [],
        "caused_by": {
            "topic": "acme.lab-transfer",
            "partition": 0,
            "offset": 2,
            "event_id": "e2",
        },
    }
    assert changed.key == "s1/o%2F1"
    assert changed.headers == {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "/orderhalt/acme.",
        "ce_type": "orderhalt.halt.changed.v1",
        "ce_subject": "s1/o%2F1",
        "ce_time": hour(3),
        "ce_dataschema": "urn:schema",
        "content-type": "application/json",
    }
    assert ended.value == changed.value | {
        "event_id": str(uuid5(NAMESPACE_URL, "/orderhalt/acme./s1/o%2F1/3/e3")),
        "occurred_at": hour(4),
        "sequence": 3,
        "change": "ended",
        "status": "transferred",
        "primary_reason": None,
        "reasons": [],
        "ended_reasons": [{"code": F, "since": hour(2)}, {"code": T, "since": hour(3)}],
        "caused_by": {
            "topic": "acme.lab-transfer",
            "partition": 0,
            "offset": 3,
            "event_id": "e3",
        },
    }
    assert ended.headers["ce_type"] == "orderhalt.halt.ended.v1"


def test_every_field_of_a_credit_reason() -> None:
    events = [balance(-5, 30, at=2), placed(cost=100, at=1, placed_at=7)]
    _, outcomes = feed_all([record(event, number) for number, event in enumerate(events)])
    value = outcomes[1].emitted[0].value
    assert value is not None
    assert value["event_id"] == str(uuid5(NAMESPACE_URL, "/orderhalt/s1/o1/1/e1"))
    assert value["halted_since"] == hour(1)
    assert value["reasons"] == [
        {
            "code": C,
            "since": hour(1),
            "line_ids": [],
            "line_count": 0,
            "subjects": [],
            "subject_count": 0,
            "restorable_until": None,
            "actions": ["top_up", "contact_customer_care"],
            "credit": {
                "currency": "EUR",
                "cost_minor": 100,
                "balance_minor": -5,
                "credit_limit_minor": 30,
                "available_minor": 25,
                "shortfall_minor": 75,
                "top_up_minor": 75,
            },
        }
    ]


def reasons_after(*events: Event) -> dict[str, Any]:
    """Return the reasons by code of the last record that the events give."""
    _, outcomes = feed_all([record(event, number) for number, event in enumerate(events)])
    value = [e for outcome in outcomes for e in outcome.emitted][-1].value
    assert value is not None
    return {reason["code"]: reason for reason in value["reasons"]}


CANCEL = ["cancel_order", "create_new_order"]
CARE = ["contact_customer_care"]
LATER = "2026-02-01T00:00:00.000000Z"
SOONER = "2026-01-20T00:00:00.000000Z"
ACTIONS: list[tuple[str, list[Event], bool, str, list[str], str | None]] = [
    ("gone, unpaid", [deleted("product", "p1")], False, P, CANCEL, None),
    ("gone, paid", [deleted("photo", "f1")], True, F, CARE, None),
    (
        "restorable, unpaid",
        [deleted("photo", "f1", restorable_until=LATER)],
        False,
        F,
        ["restore_assets", *CANCEL],
        LATER,
    ),
    (
        "restorable, paid",
        [deleted("package", "k1", restorable_until=LATER)],
        True,
        K,
        ["restore_assets", *CARE],
        LATER,
    ),
    (
        "the earliest of two",
        [
            deleted("photo", "f1", restorable_until=LATER),
            deleted("photo", "f2", restorable_until=SOONER),
        ],
        False,
        F,
        ["restore_assets", *CANCEL],
        SOONER,
    ),
    (
        "one of two has none",
        [deleted("photo", "f1", restorable_until=LATER), deleted("photo", "f2")],
        True,
        F,
        CARE,
        None,
    ),
    ("failed, unpaid", [transfer("failed")], False, T, CANCEL, None),
    ("failed, paid", [transfer("failed")], True, T, ["contact_support"], None),
]


@rows("events, paid, code, actions, restorable_until", ACTIONS)
def test_actions(
    events: list[Event], paid: bool, code: str, actions: list[str], restorable_until: str | None
) -> None:
    reason = reasons_after(*events, placed("o1", *ONE, paid=paid))[code]
    assert (reason["actions"], reason["restorable_until"]) == (actions, restorable_until)


def test_whole_order_and_packages_stand_among_the_failed_transfers() -> None:
    lines = [line("l1", package="k1"), line("l3"), line("l2")]
    failed = transfer("failed", package="k1", transfer_id="t9")
    reason = reasons_after(placed("o1", *lines), transfer("failed"), failed)[T]
    assert [(s["type"], s["id"]) for s in reason["subjects"]] == [
        ("order", "o1"),
        ("package", "k1"),
    ]
    found = [(t["transfer_id"], t["package_id"], t["error"]) for t in reason["transfers"]]
    assert found == [("t1", None, None), ("t9", "k1", None)]
    assert (reason["line_ids"], reason["transfer_count"]) == (["l1", "l2", "l3"], 2)


def test_lists_are_cut_at_100_and_compared_before() -> None:
    ids = [f"{i:03}" for i in range(150)]
    lines = [line(f"l{i}", photos=i, package=f"k{i}") for i in ids]
    events = [
        placed("o1", *lines),
        deleted("photo", " ".join(reversed(ids)), restorable_until=LATER),
        *(transfer("failed", package=f"k{i}") for i in ids),
    ]
    reasons = reasons_after(*events)
    photos, transfers = reasons[F], reasons[T]
    assert (photos["line_count"], photos["subject_count"], transfers["transfer_count"]) == (
        150,
    ) * 3
    assert photos["line_ids"] == [f"l{i}" for i in ids[:100]]
    assert [s["id"] for s in photos["subjects"]] == ids[:100]
    assert [t["package_id"] for t in transfers["transfers"]] == [f"k{i}" for i in ids[:100]]
    # Only the 150th photo changes: not visible among the first 100, and emitted nevertheless.
    unseen = deleted("photo", "149", at=2, restorable_until=SOONER)
    assert reasons_after(*events, unseen)[F]["restorable_until"] == SOONER
    unseen = deleted("photo", "149", at=2, restorable_until=LATER)
    _, outcomes = feed_all([record(e, number) for number, e in enumerate([*events, unseen])])
    assert len(outcomes[-1].emitted) == 1


def test_since_begins_again_after_an_interruption() -> None:
    steps = [
        placed(at=0),
        transfer("failed", at=1),
        deleted("product", "p1", at=2),
        restored("product", "p1", at=3),
        deleted("product", "p1", at=4),
    ]
    reasons = reasons_after(*steps)
    assert (reasons[P]["since"], reasons[T]["since"]) == (hour(4), hour(1))


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
def test_forgetting(days: Days, expected: dict[str, str]) -> None:
    model = Model()
    numbers: dict[str, int] = {}
    for day, event, tombstones in days:
        # The same event has the same event_id whenever it comes.
        number = numbers.setdefault(repr(event), len(numbers))
        outcome = model.feed(record(event, number, day))
        assert outcome.rejected is None
        found = [emitted.key for emitted in outcome.emitted if emitted.value is None]
        assert found == [f"s1/{order_id}" for order_id in tombstones], (day, event)
        assert all(emitted.headers == {} for emitted in outcome.emitted if emitted.value is None)
    remembered = {
        name: " ".join(sorted(item[-1] for item in items))
        for name, items in model.remembered().items()
        if items
    }
    assert remembered == expected


def test_an_order_begins_anew_when_its_id_is_forgotten_too() -> None:
    days: list[tuple[float, Event]] = [
        *((day, event) for day, event, _ in HALTED_THEN_CANCELLED),
        (8, OTHER),
        (408, OTHER),
        (409, GONE),
        (409, placed()),
    ]
    _, outcomes = feed_all([record(e, number, day) for number, (day, e) in enumerate(days)])
    value = outcomes[-1].emitted[0].value
    assert value is not None
    assert (value["sequence"], value["episode"], value["change"]) == (1, 1, "opened")


def test_tombstones_stand_behind_records_by_age_studio_and_order() -> None:
    days: list[tuple[float, Event]] = []
    for day, studio, order in ((1, "b", "o"), (0, "c", "o"), (0, "a", "p"), (0, "a", "b")):
        event = placed(order, studio_id=studio)
        days += [(0, event), (0, transfer("failed", order, studio_id=studio))]
        days.append((day, transfer("succeeded", order, studio_id=studio)))
    days += [(0, deleted("product", "p9")), (8, placed("new", line("l1", "p9")))]
    _, outcomes = feed_all([record(e, number, day) for number, (day, e) in enumerate(days)])
    found = [(emitted.key, emitted.value is None) for emitted in outcomes[-1].emitted]
    gone = [(key, True) for key in ("a/b", "a/p", "c/o", "b/o")]
    assert found == [("s1/new", False), *gone]


def test_a_rejected_order_placed_does_not_move_the_partition_time() -> None:
    model, _ = feed_all([record(placed(), 0)])
    assert model.feed(record(placed(), 1, 50)._replace(key=None)).rejected == "key_mismatch"
    assert model.partition_time(0) == DAY_0_MS


def test_partitions_have_their_own_time() -> None:
    model, _ = feed_all([record(placed(), 0), record(cancelled(), 1)])
    model.feed(record(placed("x", studio_id="s2"), 2, 50)._replace(partition=1))
    assert (model.partition_time(0), model.partition_time(2)) == (DAY_0_MS, None)
    assert ("s1", "o1") in model.remembered()["placed"]


# §1, §2, §6

HASHES = [
    ("21", b"21", -973932308),
    ("foobar", b"foobar", -790332482),
    ("even", b"a-little-bit-long-string", -985981536),
    ("odd", b"a-little-bit-longer-string", -1486304829),
    ("long", b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ("abc", b"abc", 479470107),
]


@rows("data, expected", HASHES)
def test_murmur2_as_kafka_tests_it(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected % 2**32


def test_the_sign_bit_is_cleared_before_the_partition_is_chosen() -> None:
    assert partition_of(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10


def test_order_keys_keep_unreserved_characters_only() -> None:
    assert order_key("a-Z_0.~", "ß/ %+\U00010348") == "a-Z_0.~/%C3%9F%2F%20%25%2B%F0%90%8D%88"


INSTANTS = [
    ("UTC", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00.000000Z"),
    ("east", "2026-01-01T00:30:00+01:30", "2025-12-31T23:00:00.000000Z"),
    ("west", "2026-01-01T23:30:00.5-01:30", "2026-01-02T01:00:00.500000Z"),
    ("cut off", "2026-01-01T12:00:00.9999999Z", "2026-01-01T12:00:00.999999Z"),
    ("first", "1999-12-31T23:00:00-01:00", "2000-01-01T00:00:00.000000Z"),
    ("last", "2200-01-01T00:59:59.9999999+01:00", "2199-12-31T23:59:59.999999Z"),
]


@rows("text, expected", INSTANTS)
def test_instants_are_written_in_utc_with_microseconds(text: str, expected: str) -> None:
    parsed = parse_instant(text)
    assert parsed is not None
    assert instant(parsed) == expected


def test_free_text_is_cut_and_cleaned() -> None:
    assert free_text("\0a\x9fb\u2028" + "\U0001f4f7" * 500) == " a b\u2028" + "\U0001f4f7" * 495


@pytest.mark.parametrize(
    ("item", "code"),
    [(r, c) for _, r, c in malformed_records()],
    ids=[c[0] for c in malformed_records()],
)
def test_malformed(item: Record, code: str) -> None:
    model = Model(partitions=PARTITIONS)
    outcome = model.feed(item)
    assert (outcome.rejected, outcome.emitted, bool(outcome.message)) == (code, [], True)
    assert not any(model.remembered().values())


@rows("item", borderline_records())
def test_borderline(item: Record) -> None:
    assert Model(partitions=PARTITIONS).feed(item).rejected is None


def test_names_of_cases_are_unique() -> None:
    names = [name for name, _, _ in malformed_records()]
    assert len(names) == len(set(names)) >= 120


def test_too_many_scopes() -> None:
    filling, cases = too_many_scopes()
    for name, case, code in cases:
        model, _ = feed_all(filling, Model(partitions=PARTITIONS))
        assert model.feed(case).rejected == code, name


# §3 Laws


@pytest.mark.parametrize("seed", range(60))
def test_judgements_converge(seed: int) -> None:
    log = random_log(seed, 50, Shape(jumps=False), partitions=3)
    model, _ = feed_all(log, Model(partitions=3))
    other, _ = feed_all(shuffled_and_duplicated(log, seed), Model(partitions=3))
    assert model.judgements() == other.judgements()


def check_records_tell_the_judgements(log: Sequence[Record], partitions: int) -> None:
    """Whoever folds the records knows the judgements: none is missed, forgetting changes none."""
    model = Model(partitions=partitions)
    told: dict[str, dict[str, Any]] = {}
    for item in log:
        outcome = model.feed(item)
        assert outcome.rejected is None
        for key, value, _ in outcome.emitted:
            if value is None:
                assert told.pop(key)["reasons"] == []
            else:
                assert value["sequence"] == told.get(key, {"sequence": 0})["sequence"] + 1
                told[key] = value
        for key, judgement in model.judgements().items():
            codes = [reason["code"] for reason in told.get(key, {"reasons": []})["reasons"]]
            assert codes == judgement["codes"]
            assert (
                key not in told
                or not codes
                or (told[key]["order_version"] == judgement["order_version"])
            )


@pytest.mark.parametrize("seed", range(40))
def test_records_tell_the_judgements(seed: int) -> None:
    check_records_tell_the_judgements(random_log(seed, 60, partitions=2), 2)


@settings(max_examples=40, deadline=None)
@given(log=logs())
def test_records_tell_the_judgements_of_any_log(log: list[Record]) -> None:
    check_records_tell_the_judgements(log, 1)


def test_a_seed_gives_the_same_log_every_time() -> None:
    assert random_log(7, prefix="a.") == random_log(7, prefix="a.")
