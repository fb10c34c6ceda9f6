"""§2, §6: what is an event, and what is rejected with which code."""

import pytest

from tests.contract.vocabulary import MakeSubject, feed_all, rows
from tests.model import Record
from tests.strategies import PARTITIONS, borderline_records, malformed_records, too_many_scopes

pytestmark = pytest.mark.rules


@pytest.mark.parametrize(
    ("item", "code"),
    [(r, c) for _, r, c in malformed_records()],
    ids=[c[0] for c in malformed_records()],
)
def test_what_is_no_event_is_rejected_with_its_code(
    make_subject: MakeSubject, item: Record, code: str
) -> None:
    subject = make_subject(partitions=PARTITIONS)
    outcome = subject.feed(item)
    assert (outcome.rejected, outcome.emitted, bool(outcome.message)) == (code, [], True)
    assert not any(subject.remembered().values())


@rows("item", borderline_records())
def test_what_looks_odd_but_is_lawful_is_accepted(make_subject: MakeSubject, item: Record) -> None:
    assert make_subject(partitions=PARTITIONS).feed(item).rejected is None


def test_names_of_cases_are_unique() -> None:
    names = [name for name, _, _ in malformed_records()]
    assert len(names) == len(set(names)) >= 120


def test_an_order_has_at_most_1000_package_scopes(make_subject: MakeSubject) -> None:
    filling, cases = too_many_scopes()
    for name, case, code in cases:
        subject = make_subject(partitions=PARTITIONS)
        feed_all(filling, subject)
        assert subject.feed(case).rejected == code, name
