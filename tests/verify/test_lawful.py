"""What is lawful is found clean: crashes, live workers, compaction, retention, snapshots, new rules."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from processor.rules import judge
from processor.rules.judge import Finding, Marks
from processor.rules.rows import Line, Transfer
from processor.rules.shard import RULES_VERSION
from processor.verify.findings import Check
from processor.verify.partition import PartitionResult
from processor.verify.replay import InputsGone, OtherRules
from processor.verify.snapshot import SnapshotReader
from processor.verify.streams import Bounds
from schemas import private
from schemas.errors import StateRefused
from schemas.private import JournalRecord
from tests.rules.test_new_rules import NEW, patch_everywhere
from tests.verify.recorded import (
    CHANGELOGS,
    COMMITTED_FROM_MS,
    HALTED,
    INPUTS,
    JOURNAL,
    PARTITIONS,
    POSITIONS,
    REJECTED,
    Recorded,
    Workers,
    copied,
    deployment,
    judged,
    simulated,
    taken,
)

AT = 0
EVENTS = 500


@pytest.fixture(scope="module")
def honest() -> Recorded:
    return deployment(EVENTS, seed=5)


def clean(results: list[PartitionResult]) -> list[PartitionResult]:
    assert [result.findings for result in results] == [()] * len(results)
    return results


@pytest.mark.parametrize("seed", range(6))
def test_honest_workers_are_found_honest(seed: int) -> None:
    """Whatever dies: crashes between two commits, ownership checks, quarantined records, tombstones."""
    recorded = deployment(EVENTS, seed=seed, transactional=seed % 2 == 1)
    results = clean(judged(recorded))
    assert sum(result.quarantined for result in results) == 3 * PARTITIONS
    assert any(x.value is None for x in recorded.logs[HALTED, AT])
    assert (sum(result.without_record for result in results) > 0) == (seed % 2 == 1)
    assert {result.waiting for result in results} == {0}


def test_inputs_that_wait_are_no_difference(honest: Recorded) -> None:
    recorded = copied(honest)
    recorded.append((INPUTS[0], AT), 0, (b"studio", b"{}", ()))
    assert [result.waiting for result in clean(judged(recorded))] == [1, 0]


def test_an_empty_deployment_is_clean() -> None:
    assert [result.to_transaction for result in clean(judged(Recorded()))] == [0, 0]


def test_expired_group_offsets_are_no_difference(honest: Recorded) -> None:
    recorded = copied(honest)
    recorded.group.clear()
    clean(judged(recorded))


def test_a_journal_of_the_first_format_is_enough(honest: Recorded) -> None:
    recorded = copied(honest)
    log = recorded.logs[JOURNAL, AT]
    for at, record in enumerate(log):
        first = JournalRecord(*list(vars_of(private.decode_journal(record.value or b"")))[:5])
        log[at] = record._replace(value=private.encode(first))
    clean(judged(recorded, [AT]))


def vars_of(record: JournalRecord) -> list[object]:
    return [getattr(record, name) for name in record.__struct_fields__]


def test_offsets_that_were_given_up_as_lost_are_no_difference(tmp_path: Path) -> None:
    chance = random.Random(1)
    recorded = simulated(EVENTS, chance)
    workers = Workers(recorded, AT, chance)
    workers.commit([(topic, min(5, recorded.ends[topic, AT])) for topic in INPUTS])
    clean(judged(recorded, [AT], write_snapshot=tmp_path / "snapshot"))
    topic, expected = INPUTS[0], workers.next[INPUTS[0]]
    recorded.expire(topic, AT, expected + 3)
    workers.give_up(topic, expected + 3)
    workers.work()
    [result] = clean(judged(recorded, [AT], snapshot=tmp_path / "snapshot"))
    assert result.lost == 3


# -- live


@pytest.mark.parametrize("seed", range(8))
def test_workers_may_run_while_we_look(honest: Recorded, seed: int) -> None:
    """Journal and positions, then the group, then the outputs one by one, then the journal again."""
    chance = random.Random(seed)
    recorded = looked_at_while_working(honest, chance)[0]
    clean(judged(recorded, [AT]))


def looked_at_while_working(honest: Recorded, chance: random.Random) -> tuple[Recorded, int, int]:
    """Give what a look sees that begins and ends at some transactions of partition 0."""
    recorded, history = copied(honest), honest.history
    first = chance.randrange(5, len(history) - 5)
    last = min(len(history) - 1, first + chance.randint(0, 6))

    def meanwhile() -> int:
        return chance.randint(first, last)

    recorded.complete_until[AT] = history[first][0][JOURNAL, AT]
    recorded.settled_until[AT] = history[first][0][POSITIONS, AT]
    for topic in (HALTED, REJECTED, *CHANGELOGS.values()):
        recorded.read_until[topic, AT] = history[meanwhile()][0][topic, AT]
    recorded.group = history[meanwhile()][1]
    recorded.read_until[JOURNAL, AT] = history[last][0][JOURNAL, AT]
    after = min(len(history) - 1, last + chance.randint(0, 3))
    recorded.read_until[POSITIONS, AT] = history[after][0][POSITIONS, AT]
    return recorded, first, last


@pytest.mark.parametrize(
    "topic", [HALTED, REJECTED, *(CHANGELOGS[x] for x in ("orders", "photos", "balances"))]
)
def test_what_was_complete_when_we_looked_must_be_there(honest: Recorded, topic: str) -> None:
    """The log ends before the last record of a transaction that was complete."""
    recorded = copied(honest)
    last = recorded.logs[topic, AT].pop()
    recorded.read_until[topic, AT] = last.offset
    recorded.ends[topic, AT] = last.offset
    [result] = judged(recorded, [AT])
    assert [x.topic for x in result.findings if x.check is not Check.POSITIONS] == [topic]


# -- compaction and retention


@pytest.mark.parametrize("seed", range(6))
def test_what_compaction_takes_away_may_be_missing(honest: Recorded, seed: int) -> None:
    chance = random.Random(seed)
    recorded = copied(honest)
    for topic in (HALTED, POSITIONS, *CHANGELOGS.values()):
        until = chance.randint(0, recorded.ends[topic, AT])
        recorded.compact(topic, AT, until, tombstones=chance.random() < 0.5)
    [result] = clean(judged(recorded, [AT], halts_kept_since_ms=None))
    assert result.halts_compacted + result.rows_compacted > 0


@pytest.mark.parametrize("topic", [HALTED, CHANGELOGS["orders"]])
def test_the_last_record_of_a_key_must_not_be_missing(honest: Recorded, topic: str) -> None:
    """Neither a value nor a tombstone after a value that is still there."""
    for wanted in (True, False):
        recorded = copied(honest)
        recorded.compact(topic, AT, recorded.ends[topic, AT] // 2 if wanted else 0)
        log = recorded.logs[topic, AT]
        last = {record.key: at for at, record in enumerate(log)}
        earlier = {record.key for at, record in enumerate(log) if at != last[record.key]}
        at = next(
            at
            for key, at in last.items()
            if (log[at].value is not None) is wanted and (wanted or key in earlier)
        )
        key = log.pop(at).key
        [result] = judged(recorded, [AT], halts_kept_since_ms=None)
        assert any(ascii((key or b"").decode()) in x.message for x in result.findings)


def test_young_records_of_order_halted_must_all_be_there(honest: Recorded) -> None:
    """min.compaction.lag.ms: what is younger cannot have been compacted."""
    recorded = copied(honest)
    recorded.compact(HALTED, AT, recorded.ends[HALTED, AT])
    clean(judged(recorded, [AT], halts_kept_since_ms=None))
    [result] = judged(recorded, [AT], halts_kept_since_ms=COMMITTED_FROM_MS)
    assert {x.check for x in result.findings} == {Check.HALTS}


def test_what_is_compacted_while_we_read_has_a_newer_record_behind_our_end(
    honest: Recorded,
) -> None:
    recorded, _, _ = looked_at_while_working(honest, random.Random(2))
    for topic in (HALTED, POSITIONS, *CHANGELOGS.values()):
        recorded.compact(topic, AT, recorded.ends[topic, AT])
    clean(judged(recorded, [AT], halts_kept_since_ms=None))


def test_old_rejected_records_may_have_expired_and_young_ones_not(honest: Recorded) -> None:
    recorded = copied(honest)
    recorded.expire(REJECTED, AT, recorded.logs[REJECTED, AT][5].offset)
    [result] = clean(judged(recorded, [AT], rejected_kept_since_ms=None))
    assert result.rejected_expired == 5
    [result] = judged(recorded, [AT], rejected_kept_since_ms=COMMITTED_FROM_MS)
    assert result.finding_count == 5
    del recorded.logs[REJECTED, AT][3]
    [result] = judged(recorded, [AT], rejected_kept_since_ms=None)
    assert [x.check for x in result.findings] == [Check.REJECTED]


@pytest.mark.parametrize("topic", [*INPUTS, JOURNAL])
def test_without_inputs_or_journal_there_is_a_remedy(honest: Recorded, topic: str) -> None:
    recorded = copied(honest)
    recorded.expire(topic, AT, 1)
    with pytest.raises(InputsGone, match=rf"(?s)Partition 0: {topic} begins at.*--snapshot FILE"):
        judged(recorded, [AT])


# -- snapshots


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


# -- other rules


def without_photos(
    lines: tuple[Line, ...], transfers: tuple[Transfer, ...], marks: Marks
) -> tuple[Finding, ...]:
    return tuple(x for x in ORIGINAL(lines, transfers, marks) if x.code != judge.PHOTO)


ORIGINAL = judge.find_reasons


@pytest.mark.pure
def test_an_upgrade_is_judged_by_each_release_as_far_as_its_rules_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The differences that new rules made were published once, and a snapshot bridges the change."""
    chance = random.Random(5)
    recorded = simulated(EVENTS, chance)
    ends = dict(recorded.ends)
    workers = Workers(recorded, AT, chance)
    for topic in INPUTS:
        recorded.ends[topic, AT] = ends[topic, AT] * 2 // 3
    workers.work()
    before = tmp_path / "before.snapshot"
    recorded.ends |= {(topic, AT): ends[topic, AT] for topic in INPUTS}
    at_upgrade = len(recorded.logs[HALTED, AT])
    with monkeypatch.context() as new_release:
        patch_everywhere(new_release, "RULES_VERSION", NEW)
        new_release.setattr("processor.verify.replay.RULES_VERSION", NEW)
        new_release.setattr("processor.verify.partition.RULES_VERSION", NEW)
        patch_everywhere(new_release, "find_reasons", without_photos)
        workers.recover()
        workers.work()
        by_rules = [
            x for x in recorded.logs[HALTED, AT][at_upgrade:] if b'"rules":' in (x.value or b"")
        ]
        assert by_rules
        with pytest.raises(OtherRules, match=f"version {RULES_VERSION}.*each can only judge"):
            judged(recorded, [AT])
    with pytest.raises(OtherRules, match="--write-snapshot FILE"):
        judged(recorded, [AT])
    [old] = clean(judged(recorded, [AT], write_snapshot=before))
    assert old.next_rules == NEW
    with monkeypatch.context() as new_release:
        patch_everywhere(new_release, "RULES_VERSION", NEW)
        new_release.setattr("processor.verify.replay.RULES_VERSION", NEW)
        new_release.setattr("processor.verify.partition.RULES_VERSION", NEW)
        patch_everywhere(new_release, "find_reasons", without_photos)
        [new] = clean(judged(recorded, [AT], snapshot=before))
        assert new.from_transaction == old.to_transaction
        tampered = copied(recorded)
        tampered.logs[HALTED, AT].remove(by_rules[0])
        assert judged(tampered, [AT], snapshot=before)[0].finding_count
