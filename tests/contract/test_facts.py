"""§3: how events merge into facts, with all ties. One row per rule."""

import pytest

from tests.contract.vocabulary import (
    ASTRAL,
    DEAR_PHOTO,
    Codes,
    Event,
    MakeSubject,
    P,
    T,
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

MERGED: list[tuple[str, list[Event], Codes]] = [
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
    (
        "order: an absent version is 1, below 2",
        [
            placed("o1", line("l1", "p9"), version=2, at=1),
            placed(version=None, at=5),
            deleted("product", "p9"),
        ],
        {"o1": [P]},
    ),
    (
        "order: an absent version is 1, a tie with 1",
        [
            placed("o1", line("l1", "p9"), version=1, at=1),
            placed(version=None, at=5),
            deleted("product", "p9"),
        ],
        {"o1": []},
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


@rows("events, expected", MERGED)
def test_the_winner_of_a_merge_never_depends_on_arrival(
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
