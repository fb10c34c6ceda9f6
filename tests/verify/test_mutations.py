"""`orderhalt verify` can say no: whatever is done to one record, it says so, and where."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from msgspec import structs

from processor.rules.machine import Machine
from processor.rules.rows import Checkpoint
from processor.verify.findings import KEPT_MAX, Check
from processor.verify.partition import PartitionResult
from processor.verify.streams import Record
from schemas import private
from schemas.private import JournalRecord, Run
from tests.verify.recorded import (
    CHANGELOGS,
    HALTED,
    INPUTS,
    JOURNAL,
    PARTITIONS,
    POSITIONS,
    PREFIX,
    REJECTED,
    TOPICS,
    Recorded,
    copied,
    deployment,
    judged,
    machine,
)

AT = 0
"""The partition that is tampered with."""


@pytest.fixture(scope="module")
def honest() -> Recorded:
    recorded = deployment(600, seed=2)
    assert [result.finding_count for result in judged(recorded)] == [0, 0]
    return recorded


def found_in(recorded: Recorded) -> PartitionResult:
    return judged(recorded, [AT])[0]


# -- one record of each topic


def victim(recorded: Recorded, topic: str, *, first_of_two: bool) -> int:
    """Choose a record that has left a trace, and one that is the last of its key.

    What leaves none, such as a deletion that was overtaken within its own transaction, could be
    exchanged and nobody would ever know.
    """
    log = recorded.logs[topic, AT]
    if topic in INPUTS:
        seen = traced(recorded)
        times = Counter(record.value for record in log)
        telling = [
            at
            for at, record in enumerate(log)
            if event_id(record) in seen and times[record.value] == 1
        ]
        if first_of_two:
            # In one transaction, the order of two may mean nothing.
            begins = {
                run.first
                for record in recorded.logs[JOURNAL, AT]
                for run in private.decode_journal(record.value or b"").runs
                if run.topic == topic
            }
            telling = [
                at for at in telling if any(x.offset in begins for x in log[at + 1 : at + 2])
            ]
        return telling[len(telling) // 2]
    whole = [at for at, record in enumerate(log) if record.value and record.key]
    if topic in (*CHANGELOGS.values(), POSITIONS) and not first_of_two:
        last = {record.key: at for at, record in enumerate(log)}
        whole = [at for at in whole if last[log[at].key] == at]
    if first_of_two and topic != POSITIONS:
        # Tombstones may come at any place within their transaction.
        whole = [at for at in whole if at + 1 in whole]
    return whole[len(whole) // 2]


def event_id(record: Record) -> str | None:
    try:
        return str(orjson.loads(record.value or b"").get("event_id"))
    except (ValueError, AttributeError):
        return None


def traced(recorded: Recorded) -> set[str]:
    """Give the ids of all events that stand in some row."""
    rows = [x.value or b"" for topic in CHANGELOGS.values() for x in recorded.logs[topic, AT]]
    return {x.decode() for row in rows for x in re.findall(rb"[0-9a-f]{32}", row)}


def drop(recorded: Recorded, topic: str, at: int) -> None:
    del recorded.logs[topic, AT][at]


def repeat(recorded: Recorded, topic: str, at: int) -> None:
    log = recorded.logs[topic, AT]
    log[at + 1 :] = [record._replace(offset=record.offset + 1) for record in log[at:]]
    recorded.ends[topic, AT] += 1


def repeat_at_the_end(recorded: Recorded, topic: str, at: int) -> None:
    record = recorded.logs[topic, AT][at]
    recorded.append((topic, AT), record.timestamp, (record.key, record.value, record.headers))  # type: ignore[arg-type]


def swap(recorded: Recorded, topic: str, at: int) -> None:
    """Exchange it with its neighbour; each stands at the other's offset."""
    log = recorded.logs[topic, AT]
    other = at + 1 if at + 1 < len(log) else at - 1
    one, two = log[at], log[other]
    log[at], log[other] = two._replace(offset=one.offset), one._replace(offset=two.offset)


def alter_value(recorded: Recorded, topic: str, at: int) -> None:
    log = recorded.logs[topic, AT]
    value = log[at].value
    assert value
    log[at] = log[at]._replace(value=value[:-1] + bytes([value[-1] ^ 1]))


def alter_key(recorded: Recorded, topic: str, at: int) -> None:
    log = recorded.logs[topic, AT]
    key = log[at].key
    assert key
    log[at] = log[at]._replace(key=key[:-1] + bytes([key[-1] ^ 1]))


def add_header(recorded: Recorded, topic: str, at: int) -> None:
    log = recorded.logs[topic, AT]
    log[at] = log[at]._replace(headers=(*log[at].headers, ("one", b"more")))


WRITTEN = [topic for topic in TOPICS if topic not in INPUTS]
COMPARED = [topic for topic in WRITTEN if topic not in (POSITIONS, JOURNAL)]
KINDS = [
    *((drop, topic) for topic in TOPICS),
    *((repeat, topic) for topic in TOPICS),
    *((swap, topic) for topic in TOPICS),
    *((alter_value, topic) for topic in TOPICS),
    *((alter_key, topic) for topic in TOPICS),
    *((repeat_at_the_end, topic) for topic in WRITTEN),
    *((add_header, topic) for topic in COMPARED),
]


@pytest.mark.parametrize(("tamper", "topic"), KINDS, ids=lambda x: getattr(x, "__name__", x))
def test_one_record_of_each_topic(
    honest: Recorded, tamper: Callable[[Recorded, str, int], None], topic: str
) -> None:
    recorded = copied(honest)
    at = victim(recorded, topic, first_of_two=tamper is swap)
    offset = recorded.logs[topic, AT][at].offset
    tamper(recorded, topic, at)
    result = found_in(recorded)
    assert result.finding_count
    if topic in COMPARED:
        places = [x.offset for x in result.findings if x.topic == topic]
        end = recorded.ends[topic, AT] - 1
        near = [None, end, *(x.offset for x in recorded.logs[topic, AT][max(0, at - 1) : at + 3])]
        assert set(places) & {offset, *near}, result.findings
    else:
        assert any(x.offset is not None for x in result.findings)
    assert {x.partition for x in result.findings} == {AT}


# -- offsets and places


def journal_record(recorded: Recorded, at: int) -> JournalRecord:
    return private.decode_journal(recorded.logs[JOURNAL, AT][at].value or b"")


def rewrite(recorded: Recorded, at: int, record: JournalRecord) -> None:
    log = recorded.logs[JOURNAL, AT]
    log[at] = log[at]._replace(value=private.encode(record))


def apply_twice(recorded: Recorded) -> None:
    """The runs of a transaction are those of the one before as well."""
    before, record = journal_record(recorded, 20), journal_record(recorded, 21)
    rewrite(recorded, 21, structs.replace(record, runs=[*before.runs, *record.runs]))


def leave_out(recorded: Recorded) -> None:
    record = journal_record(recorded, 20)
    run = record.runs[0]
    rewrite(recorded, 20, structs.replace(record, runs=record.runs[1:]))
    assert run.next > run.first


def apply_beyond_the_end(recorded: Recorded) -> None:
    at = len(recorded.logs[JOURNAL, AT]) - 1
    record = journal_record(recorded, at)
    topic = record.runs[-1].topic
    run = Run(topic, recorded.ends[topic, AT], recorded.ends[topic, AT] + 2)
    rewrite(recorded, at, structs.replace(record, runs=[*record.runs, run]))


def exchange_runs(recorded: Recorded) -> None:
    """The same offsets, in another order."""
    for at in range(len(recorded.logs[JOURNAL, AT])):
        record = journal_record(recorded, at)
        if len(record.runs) > 3:
            rewrite(recorded, at, structs.replace(record, runs=record.runs[::-1]))


def give_up(recorded: Recorded) -> None:
    record = journal_record(recorded, 20)
    rewrite(recorded, 20, structs.replace(record, lost=[record.runs[0]]))


def forget_the_last_transaction(recorded: Recorded) -> None:
    """Offsets are committed without the journal record that belongs to them."""
    recorded.logs[JOURNAL, AT].pop()


def set_group_back(recorded: Recorded) -> None:
    recorded.group[INPUTS[0], AT] -= 1


def set_group_forward(recorded: Recorded) -> None:
    recorded.group[INPUTS[0], AT] += 1


def lose_one_group_offset(recorded: Recorded) -> None:
    del recorded.group[INPUTS[0], AT]


def edit_positions(recorded: Recorded, **changes: object) -> None:
    log = recorded.logs[POSITIONS, AT]
    row = private.decode_positions(log[-1].value or b"")
    log[-1] = log[-1]._replace(value=private.encode(structs.replace(row, **changes)))


def set_positions_back(recorded: Recorded) -> None:
    row = private.decode_positions(recorded.logs[POSITIONS, AT][-1].value or b"")
    edit_positions(recorded, offsets={**row.offsets, INPUTS[0]: row.offsets[INPUTS[0]] - 1})


def lose_rows_that_positions_count(recorded: Recorded) -> None:
    edit_positions(recorded, changelog_ends={"orders": 1 << 40})


def set_partition_time(recorded: Recorded) -> None:
    edit_positions(recorded, checkpoint=msgspec.msgpack.encode(Checkpoint(1, 1, 7, PARTITIONS)))


def move_to_another_partition(topic: str) -> Callable[[Recorded], None]:
    def move(recorded: Recorded) -> None:
        other = recorded.logs[topic, 1 - AT].pop()
        recorded.append((topic, AT), other.timestamp, (other.key, other.value, other.headers))  # type: ignore[arg-type]

    return move


def add_input_of_another_partition(recorded: Recorded) -> None:
    """A worker would have rejected it, and did not even see it."""
    topic = INPUTS[0]
    other = recorded.logs[topic, 1 - AT][3]
    at = recorded.logs[topic, AT][20]
    recorded.logs[topic, AT][20] = at._replace(key=other.key, value=other.value)


@pytest.mark.parametrize(
    ("tamper", "check", "words"),
    [
        (apply_twice, Check.APPLIED_ONCE, "were applied twice"),
        (leave_out, Check.APPLIED_ONCE, "were never applied"),
        (apply_beyond_the_end, Check.APPLIED_ONCE, "do not exist"),
        (exchange_runs, Check.STATE, "orderhalt-orders-changelog"),
        (give_up, Check.APPLIED_ONCE, "were applied twice"),
        (forget_the_last_transaction, Check.POSITIONS, "the journal has applied"),
        (set_group_back, Check.POSITIONS, "consumer group's offset"),
        (set_group_forward, Check.POSITIONS, "consumer group's offset"),
        (lose_one_group_offset, Check.POSITIONS, "is missing"),
        (set_positions_back, Check.POSITIONS, "the journal has applied it up to"),
        (lose_rows_that_positions_count, Check.POSITIONS, "the changelog of orders"),
        (set_partition_time, Check.POSITIONS, "partition time"),
        (move_to_another_partition(HALTED), Check.PARTITION, "belongs into partition 1"),
        (move_to_another_partition(HALTED), Check.HALTS, "none that must be here"),
        (
            move_to_another_partition(CHANGELOGS["orders"]),
            Check.PARTITION,
            "belongs into partition 1",
        ),
        (move_to_another_partition(JOURNAL), Check.PARTITION, "with key b'1'"),
        (move_to_another_partition(POSITIONS), Check.PARTITION, "with key b'1'"),
        (move_to_another_partition(REJECTED), Check.REJECTED, "none that must be here"),
        (add_input_of_another_partition, Check.REJECTED, "is missing"),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_what_is_tampered_with_is_named(
    honest: Recorded, tamper: Callable[[Recorded], None], check: Check, words: str
) -> None:
    recorded = copied(honest)
    tamper(recorded)
    findings = [x for x in found_in(recorded).findings if x.check is check]
    assert any(words in f"{x.topic} {x.message}" for x in findings), found_in(recorded).findings


def test_findings_are_kept_in_bounds_and_all_counted(honest: Recorded) -> None:
    recorded = copied(honest)
    recorded.logs[HALTED, AT].clear()
    result = found_in(recorded)
    assert result.finding_count > len(result.findings) == KEPT_MAX


def test_rules_that_fail_on_an_applied_record_end_the_partition(honest: Recorded) -> None:
    """It says so, and goes on with the next partition."""

    class Failing(Machine):
        def apply(self, *record: Any) -> Any:
            if record[2] == 5:
                raise RuntimeError("a bug")
            return super().apply(*record)

    def create(partition: int) -> Machine:
        if partition != AT:
            return machine(partition)
        return Failing(partition, topic_prefix=PREFIX, partitions=PARTITIONS)

    first, second = judged(honest, create_machine=create)
    assert "the rules fail on it" in first.findings[-1].message
    assert first.findings[-1].offset == 5
    assert second.finding_count == 0
