"""§5: every field of a record."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from schemas.halted import DATA_SCHEMA
from tests.contract.vocabulary import (
    ONE,
    TWO,
    C,
    Event,
    F,
    K,
    MakeSubject,
    P,
    Subject,
    T,
    balance,
    deleted,
    feed_all,
    hour,
    line,
    numbered,
    placed,
    record,
    restored,
    rows,
    transfer,
)

pytestmark = pytest.mark.rules

# §5 Every field


def test_every_field_of_a_record(make_subject: MakeSubject) -> None:
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
    outcomes = feed_all(records, make_subject("acme."))
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
        "ce_dataschema": DATA_SCHEMA,
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


def test_every_field_of_a_credit_reason(make_subject: MakeSubject) -> None:
    events = [balance(-5, 30, at=2), placed(cost=100, at=1, placed_at=7)]
    outcomes = feed_all(numbered(events), make_subject())
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


def reasons_after(subject: Subject, *events: Event) -> dict[str, Any]:
    """Return the reasons by code of the last record that the events give."""
    outcomes = feed_all(numbered(events), subject)
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
    make_subject: MakeSubject,
    events: list[Event],
    paid: bool,
    code: str,
    actions: list[str],
    restorable_until: str | None,
) -> None:
    reason = reasons_after(make_subject(), *events, placed("o1", *ONE, paid=paid))[code]
    assert (reason["actions"], reason["restorable_until"]) == (actions, restorable_until)


def test_whole_order_and_packages_stand_among_the_failed_transfers(
    make_subject: MakeSubject,
) -> None:
    lines = [line("l1", package="k1"), line("l3"), line("l2")]
    failed = transfer("failed", package="k1", transfer_id="t9")
    reason = reasons_after(make_subject(), placed("o1", *lines), transfer("failed"), failed)[T]
    assert [(s["type"], s["id"]) for s in reason["subjects"]] == [
        ("order", "o1"),
        ("package", "k1"),
    ]
    found = [(t["transfer_id"], t["package_id"], t["error"]) for t in reason["transfers"]]
    assert found == [("t1", None, None), ("t9", "k1", None)]
    assert (reason["line_ids"], reason["transfer_count"]) == (["l1", "l2", "l3"], 2)


def test_lists_are_cut_at_100_and_compared_before(make_subject: MakeSubject) -> None:
    ids = [f"{i:03}" for i in range(150)]
    lines = [line(f"l{i}", photos=i, package=f"k{i}") for i in ids]
    events = [
        placed("o1", *lines),
        deleted("photo", " ".join(reversed(ids)), restorable_until=LATER),
        *(transfer("failed", package=f"k{i}") for i in ids),
    ]
    reasons = reasons_after(make_subject(), *events)
    photos, transfers = reasons[F], reasons[T]
    assert (photos["line_count"], photos["subject_count"], transfers["transfer_count"]) == (
        150,
    ) * 3
    assert photos["line_ids"] == [f"l{i}" for i in ids[:100]]
    assert [s["id"] for s in photos["subjects"]] == ids[:100]
    assert [t["package_id"] for t in transfers["transfers"]] == [f"k{i}" for i in ids[:100]]
    # Only the 150th photo changes: not visible among the first 100, and emitted nevertheless.
    unseen = deleted("photo", "149", at=2, restorable_until=SOONER)
    assert reasons_after(make_subject(), *events, unseen)[F]["restorable_until"] == SOONER
    unseen = deleted("photo", "149", at=2, restorable_until=LATER)
    outcomes = feed_all(numbered([*events, unseen]), make_subject())
    assert len(outcomes[-1].emitted) == 1


def test_since_begins_again_after_an_interruption(make_subject: MakeSubject) -> None:
    steps = [
        placed(at=0),
        transfer("failed", at=1),
        deleted("product", "p1", at=2),
        restored("product", "p1", at=3),
        deleted("product", "p1", at=4),
    ]
    reasons = reasons_after(make_subject(), *steps)
    assert (reasons[P]["since"], reasons[T]["since"]) == (hour(4), hour(1))
