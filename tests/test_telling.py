"""What people read of an order, in both languages, for every state that an order can be in."""

from __future__ import annotations

import re

import pytest

from processor.cli import telling
from processor.explain import Announcement, Explanation
from processor.rules.inquiry import Answer, State, inquire
from schemas.catalogue import LANGUAGES, Language
from schemas.halted import CausedBy
from tests.contract.vocabulary import (
    TWO,
    Event,
    balance,
    cancelled,
    deleted,
    line,
    numbered,
    placed,
    rows,
    transfer,
)
from tests.engine import Engine


def told(events: list[Event], language: Language = "en", said: Announcement | None = None) -> str:
    engine = Engine()
    for record in numbered(events):
        engine.apply(record)
    answer = inquire(engine.machine(0), "s1", "o1")
    return text(Explanation(answer, 0, said), language)


def text(explanation: Explanation, language: Language) -> str:
    return "\n".join(line.plain for line in telling.tell(explanation, language))


STORIES: list[tuple[str, list[Event], str]] = [
    ("unknown", [], "No order with this id is known"),
    ("early", [cancelled(), transfer("failed")], "has not been placed yet"),
    ("early transfer", [transfer("failed")], "transfer of the order: failed, attempt 1"),
    ("early cancellation", [cancelled()], "cancellation of 2026-01-01 01:00:00 UTC"),
    ("early settlement", [balance(0, settled="o1")], "contained in the balance in EUR"),
    ("fine", [placed()], "nothing stands against it"),
    ("cancelled", [placed(), cancelled()], "The order is cancelled. (2026-01-01 01:00:00 UTC)"),
    ("secured", [placed(), transfer("succeeded")], "All of the order has been transferred"),
    ("no balance", [placed(cost=5)], "no balance is known for this studio in EUR"),
    ("no limit", [balance(0, None), placed(cost=5)], "no credit limit in EUR"),
    ("listed", [balance(0, settled="o1"), placed(cost=5)], "already contains its cost"),
    ("funded", [balance(900), placed(cost=500)], "available for all orders in flight 9.00 EUR"),
    ("short", [balance(100), placed(cost=500)], "costs 5.00 EUR, 1.00 EUR left, 4.00 EUR"),
    ("yen", [balance(1, currency="JPY"), placed(cost=5, currency="JPY")], "costs 5 JPY"),
    ("product", [placed(), deleted("product", "p1")], "product p1 deleted"),
    ("paid", [placed(paid=True), deleted("product", "p1")], "Contact Customer Care."),
    ("failed", [placed(), transfer("failed")], "to transfer the order failed for good"),
    ("a line at the lab", [placed("o1", *TWO), transfer("succeeded", package="k1")], "at the lab"),
    (
        "many lines",
        [placed("o1", *[line(f"l{n}") for n in range(30)]), deleted("product", "p1")],
        "… and 10 more",
    ),
]


@rows("events, words", STORIES)
def test_what_is_said(events: list[Event], words: str) -> None:
    assert words in told(events)


@pytest.mark.parametrize("language", LANGUAGES)
@rows("events, words", STORIES)
def test_nothing_is_left_open(events: list[Event], words: str, language: Language) -> None:
    """No brace is left, no None and no code where a word belongs; German says it otherwise."""
    said = told(events, language)
    assert not re.search(r"[{}]|None|_missing|_reached|transfer_failed", said), said
    if language == "de":
        assert said != told(events, "en")


def test_every_state_has_its_words() -> None:
    for state in State:
        if state is not State.HALTED:
            for language in LANGUAGES:
                assert text(Explanation(Answer("s1", "o1", state), 0, None), language)


def test_the_cause_is_named() -> None:
    by = CausedBy("shop-asset-deleted", 3, 17, "e-1")
    said = Announcement(
        "order-halted", 3, 9, 2, "changed", "halted", "2026-01-01T01:00:00.000000Z", by
    )
    lines = told([placed(), deleted("product", "p1")], said=said)
    assert "number 2, halted, by an event of 2026-01-01 01:00:00 UTC" in lines
    assert "caused by   shop-asset-deleted, partition 3, offset 17 (event e-1)" in lines
    assert "found at    order-halted, partition 3, offset 9" in lines


def test_new_rules_are_a_cause() -> None:
    said = Announcement(
        "order-halted",
        0,
        9,
        2,
        "ended",
        "released",
        "2026-01-01T01:00:00.000000Z",
        CausedBy(rules=2),
    )
    assert "version 2 of the rules" in told([placed()], said=said)


def test_half_a_transaction_is_said_to_be_one() -> None:
    answer = Answer("s1", "o1", State.IN_FLIGHT, unsettled=("photos_missing",))  # type: ignore[arg-type]
    assert "ask again for: Photos missing" in text(Explanation(answer, 0, None), "en")
