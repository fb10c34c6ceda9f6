"""What is lawful is found clean: crashes, live workers, compaction, retention."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from processor.verify.findings import Check
from processor.verify.replay import InputsGone
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
    clean,
    copied,
    deployment,
    judged,
    looked_at_while_working,
    simulated,
)

AT = 0
EVENTS = 500


@pytest.fixture(scope="module")
def honest() -> Recorded:
    return deployment(EVENTS, seed=5)


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
        fields = msgspec.msgpack.decode(record.value or b"")
        log[at] = record._replace(value=msgspec.msgpack.encode(fields[:5]))
    clean(judged(recorded, [AT]))


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
