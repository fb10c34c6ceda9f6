"""A verification starts where a former one ended."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from processor.verify.replay import InputsGone
from processor.verify.snapshot import SnapshotReader
from processor.verify.streams import Bounds
from schemas.errors import StateRefused
from tests.verify.recorded import (
    CHANGELOGS,
    HALTED,
    INPUTS,
    JOURNAL,
    POSITIONS,
    Recorded,
    clean,
    copied,
    deployment,
    judged,
    looked_at_while_working,
    taken,
)

AT = 0
EVENTS = 500


@pytest.fixture(scope="module")
def honest() -> Recorded:
    return deployment(EVENTS, seed=5)


def begun(recorded: Recorded, transactions: int) -> Recorded:
    """Give a deployment as it was after so many transactions of partition 0."""
    ends, group = recorded.history[transactions - 1]
    earlier = copied(recorded)
    for topic, partition in earlier.logs:
        if partition == AT:
            place = topic, partition
            if topic not in INPUTS:
                earlier.ends[place] = ends[place]
                earlier.logs[place] = [x for x in earlier.logs[place] if x.offset < ends[place]]
    earlier.group = dict(group)
    return earlier


@pytest.fixture(scope="module")
def snapshot(honest: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written halfway, by a verification that was clean."""
    path = tmp_path_factory.mktemp("verify") / "halfway.snapshot"
    half = begun(honest, len(honest.history) // 2)
    clean(judged(half, [AT], write_snapshot=path))
    return path


def test_a_snapshot_goes_on_where_inputs_are_gone(honest: Recorded, snapshot: Path) -> None:
    recorded = copied(honest)
    ends, group = honest.history[len(honest.history) // 2 - 1]
    for topic in INPUTS:
        recorded.expire(topic, AT, group[topic, AT])
    recorded.expire(JOURNAL, AT, ends[JOURNAL, AT])
    with pytest.raises(InputsGone):
        judged(recorded, [AT])
    [result] = clean(judged(recorded, [AT], snapshot=snapshot))
    [whole] = judged(honest, [AT])
    assert 0 < result.transactions < whole.transactions
    assert result.to_transaction == whole.to_transaction


@pytest.mark.parametrize("seed", range(5))
def test_snapshots_chain_on_a_live_deployment(honest: Recorded, tmp_path: Path, seed: int) -> None:
    """What was not complete when we looked is the next verification's."""
    chance = random.Random(seed)
    recorded, first, _ = looked_at_while_working(honest, chance)
    path = tmp_path / "live.snapshot"
    clean(judged(recorded, [AT], write_snapshot=path))
    [rest] = clean(judged(honest, [AT], snapshot=path))
    [whole] = judged(honest, [AT])
    assert rest.from_transaction <= first + 1
    assert rest.to_transaction == whole.to_transaction
    later = tmp_path / "later.snapshot"
    clean(judged(honest, [AT], snapshot=path, write_snapshot=later))
    [nothing] = clean(judged(honest, [AT], snapshot=later))
    assert nothing.transactions == 0


@pytest.mark.parametrize("topic", [HALTED, CHANGELOGS["orders"], CHANGELOGS["balances"]])
def test_what_a_snapshot_has_seen_must_still_be_there(
    honest: Recorded, snapshot: Path, topic: str
) -> None:
    """Also a key that was not touched since must keep its last record, and get no other."""
    until = honest.history[len(honest.history) // 2 - 1][0][topic, AT]
    log = honest.logs[topic, AT]
    last = {record.key: place for place, record in enumerate(log)}
    untouched = [place for place in last.values() if log[place].value and log[place].offset < until]
    recorded = copied(honest)
    dropped = recorded.logs[topic, AT].pop(untouched[0])
    [result] = judged(recorded, [AT], snapshot=snapshot)
    assert [x.topic for x in result.findings] == [topic]
    assert ascii((dropped.key or b"").decode()) in result.findings[0].message
    altered = copied(honest)
    altered.logs[topic, AT][untouched[0]] = dropped._replace(value=b"{}")
    [result] = judged(altered, [AT], snapshot=snapshot)
    assert [x.topic for x in result.findings] == [topic]


def test_no_snapshot_is_written_where_something_was_found(honest: Recorded, tmp_path: Path) -> None:
    recorded = copied(honest)
    recorded.logs[HALTED, AT].pop()
    assert judged(recorded, write_snapshot=tmp_path / "bad.snapshot")[AT].finding_count
    assert list(tmp_path.iterdir()) == []


def test_a_snapshot_that_does_not_fit_is_refused(
    honest: Recorded, snapshot: Path, tmp_path: Path
) -> None:
    with pytest.raises(StateRefused, match="is of the deployment with group"):
        judged(honest, [AT], snapshot=snapshot, group="another")
    with pytest.raises(StateRefused, match="made anew"):
        judged(Recorded(), [AT], snapshot=snapshot)
    with pytest.raises(StateRefused, match="cannot be used"):
        judged(honest, [1 - AT], snapshot=snapshot)
    with pytest.raises(StateRefused, match="No such file"):
        judged(honest, [AT], snapshot=tmp_path / "nothing")
    broken = tmp_path / "broken"
    broken.write_bytes(snapshot.read_bytes()[:-30])
    with pytest.raises(StateRefused, match="cannot be used"):
        judged(honest, [AT], snapshot=broken)


def test_a_state_that_was_taken_as_it_is_is_a_start(honest: Recorded, tmp_path: Path) -> None:
    """Where inputs and journal are gone; what comes after is judged like anything else."""
    path, later = tmp_path / "taken.snapshot", tmp_path / "later.snapshot"
    earlier = begun(honest, len(honest.history) // 2)
    for topic in (HALTED, POSITIONS, *CHANGELOGS.values()):
        earlier.compact(topic, AT, earlier.ends[topic, AT] // 2)
    taken(earlier, path, [AT])
    recorded = copied(honest)
    ends, group = honest.history[len(honest.history) // 2 - 1]
    for topic in INPUTS:
        recorded.expire(topic, AT, group[topic, AT])
    recorded.expire(JOURNAL, AT, ends[JOURNAL, AT])
    clean(judged(recorded, [AT], snapshot=path, write_snapshot=later))
    assert [SnapshotReader(x).about.verified for x in (path, later)] == [False, False]
    recorded.logs[HALTED, AT].pop()
    assert judged(recorded, [AT], snapshot=path)[0].finding_count


def test_a_state_that_moves_is_not_taken(honest: Recorded, tmp_path: Path) -> None:
    recorded = copied(honest)
    look = recorded.bounds

    async def bounds(partition: int) -> Bounds:
        found = await look(partition)
        recorded.mark((POSITIONS, AT))
        return found

    recorded.bounds = bounds  # type: ignore[method-assign]
    with pytest.raises(StateRefused, match="Stop the workers"):
        taken(recorded, tmp_path / "taken.snapshot", [AT])
    assert list(tmp_path.iterdir()) == []
