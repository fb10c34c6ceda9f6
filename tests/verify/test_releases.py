"""Releases with other rules and rows take over from one another, and each judges its own part."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processor.rules.shard import RULES_VERSION
from processor.verify.replay import OtherRules
from tests.support.releases import NEXT_RULES, RELEASES
from tests.verify.recorded import (
    CHANGELOGS,
    HALTED,
    INPUTS,
    Recorded,
    Workers,
    clean,
    copied,
    judged,
    simulated,
)

pytestmark = pytest.mark.pure

AT = 0
EVENTS = 500


@contextmanager
def release(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        RELEASES[name](patch.setattr)
        yield


def deployed(turns: list[str], seed: int = 5) -> tuple[Recorded, list[int]]:
    """Give a deployment with a release after the other, and how many halts were said when each came."""
    chance = random.Random(seed)
    recorded = simulated(EVENTS, chance)
    ends = dict(recorded.ends)
    workers = Workers(recorded, AT, chance)
    said = []
    for number, name in enumerate(turns, 1):
        for topic in INPUTS:
            recorded.ends[topic, AT] = ends[topic, AT] * number // len(turns)
        said.append(len(recorded.logs[HALTED, AT]))
        with release(name):
            workers.recover()
            workers.work()
    return recorded, said


def by_rules(recorded: Recorded, since: int, until: int | None = None) -> list[bytes | None]:
    """Give the orders of which new rules had something to say, each time."""
    halts = recorded.logs[HALTED, AT][since:until]
    return [x.key for x in halts if b'"caused_by":{"rules":' in (x.value or b"")]


def test_an_upgrade_is_judged_by_each_release_as_far_as_its_rules_go(tmp_path: Path) -> None:
    """The differences that new rules made were published once, and a snapshot bridges the change."""
    recorded, (_, at_upgrade) = deployed(["before", "after"])
    kept = tmp_path / "kept.snapshot"
    assert by_rules(recorded, 0) == by_rules(recorded, at_upgrade) != []
    with (
        release("before"),
        pytest.raises(OtherRules, match=r"(?s)each can only judge.*FILE` with this"),
    ):
        judged(recorded, [AT])
    with (
        release("after"),
        pytest.raises(
            OtherRules, match=f"FILE` with the release with rules version {RULES_VERSION}"
        ),
    ):
        judged(recorded, [AT], write_snapshot=kept)
    assert list(tmp_path.iterdir()) == []
    with release("before"):
        [old] = clean(judged(recorded, [AT], write_snapshot=kept))
    assert old.next_rules == NEXT_RULES
    with release("after"):
        [new] = clean(judged(recorded, [AT], snapshot=kept))
        assert (new.from_transaction, new.next_rules) == (old.to_transaction, None)
        tampered = copied(recorded)
        first = next(
            x for x in tampered.logs[HALTED, AT][at_upgrade:] if b'"rules":' in (x.value or b"")
        )
        tampered.logs[HALTED, AT].remove(first)
        assert judged(tampered, [AT], snapshot=kept)[0].finding_count


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_an_upgrade_can_be_taken_back_and_made_again(tmp_path: Path, seed: int) -> None:
    """Each release publishes once what it sees otherwise than the one before, and reads its rows."""
    turns = ["before", "after", "before", "after"]
    recorded, said = deployed(turns, seed)
    for topic in CHANGELOGS.values():
        recorded.compact(topic, AT, recorded.ends[topic, AT] // 2, tombstones=True)
    for since, until in zip(said[1:], [*said[2:], None], strict=True):
        published = by_rules(recorded, since, until)
        assert len(published) == len(set(published))
    assert by_rules(recorded, said[2])
    snapshot = None
    for number, name in enumerate(turns):
        written = tmp_path / f"{number}.snapshot"
        with release(name):
            [result] = clean(judged(recorded, [AT], snapshot=snapshot, write_snapshot=written))
        assert result.transactions
        assert (result.next_rules is None) == (number == len(turns) - 1)
        snapshot = written
