"""The parts that decide without any I/O, one law per test."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.runtime.assignor import share
from processor.runtime.batches import Batch, Cursor, Verdict
from processor.runtime.failpoints import Failpoints
from processor.runtime.failstop import describe
from processor.runtime.partition import commit_remedy
from processor.runtime.positions import Found, starting_offsets
from processor.runtime.rejecting import rejected_record
from processor.runtime.tables import ShardStore
from processor.runtime.transaction import PartitionWriter, journal_record, positions_row
from processor.runtime.window import Pace, Told, Window, Work
from schemas import private
from schemas.errors import Rejection, RejectionCode, StateRefused
from schemas.private import JournalRecord, PositionsRow, Run
from tests.runtime.toyapp import toy_config
from tests.runtime.toymachine import ToyMachine

CONFIG = toy_config("u-", "127.0.0.1:1")


# -- assignor

claims = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3),
    st.lists(st.integers(0, 40), unique=True),
    min_size=1,
    max_size=6,
)


@given(st.integers(1, 40), claims)
def test_every_partition_goes_to_one_member_and_shares_are_even(
    partitions: int, claimed: dict[str, list[int]]
) -> None:
    shares = share(partitions, claimed)
    assert sorted(p for numbers in shares.values() for p in numbers) == list(range(partitions))
    sizes = [len(numbers) for numbers in shares.values()]
    assert max(sizes) - min(sizes) <= 1
    assert shares == share(partitions, dict(reversed(claimed.items())))


@given(st.integers(1, 40), st.integers(1, 6), st.randoms())
def test_a_fair_assignment_moves_nothing(partitions: int, members: int, chance: Any) -> None:
    numbers = list(range(partitions))
    chance.shuffle(numbers)
    held = {f"m{i}": numbers[i::members] for i in range(members)}
    assert share(partitions, held) == {name: sorted(owned) for name, owned in held.items()}


@given(st.integers(2, 40), st.integers(1, 6))
def test_one_more_member_moves_only_what_it_gets(partitions: int, members: int) -> None:
    before = share(partitions, {f"m{i}": () for i in range(members)})
    after = share(partitions, {**before, "new": []})
    for name, owned in before.items():
        assert set(after[name]) <= set(owned)


# -- cursor: which batches may be taken as dense

T, S, A, C, N = (
    Verdict.TAKE,
    Verdict.SEEK_AGAIN,
    Verdict.LOG_IS_SHORTER,
    Verdict.CHECK_LOG_START,
    Verdict.NOTHING,
)


@pytest.mark.parametrize(
    ("expected", "first", "position", "sought", "verdict"),
    [
        (10, None, 10, False, N),  # nothing came
        (10, 10, 15, False, T),
        (10, 10, 17, False, T),  # control records at the end
        (10, 8, 15, False, T),  # a compressed batch that starts earlier: trimmed later
        (10, None, 12, False, S),  # the position moved and nothing came
        (10, None, 12, True, C),  # again: control records alone
        (10, 12, 15, False, S),  # offsets skipped
        (10, 12, 15, True, C),  # again: lawful if the broker still has offset 10
        (10, None, 3, False, A),  # reset to the end of a log that was cut
        (10, 3, 5, True, A),
    ],
)
def test_cursor(
    expected: int, first: int | None, position: int, sought: bool, verdict: Verdict
) -> None:
    cursor = Cursor(expected)
    if sought:
        cursor.sought()
    assert cursor.judge(first, position) is verdict


def test_a_cursor_seeks_again_at_every_new_place() -> None:
    cursor = Cursor(10)
    cursor.sought()
    batch = cursor.take("t", 0, [], 12)
    assert (batch.start, batch.end, cursor.expected) == (10, 12, 12)
    assert cursor.judge(14, 15) is Verdict.SEEK_AGAIN


def test_the_rest_of_a_batch() -> None:
    batch = Batch("t", 1, 5, 12, [SimpleNamespace(offset=o) for o in (5, 6, 9, 10)])
    batch.epoch = 3
    rest = batch.from_offset(7)
    assert (rest.start, rest.end, rest.epoch) == (7, 12, 3)
    assert [record.offset for record in rest.records] == [9, 10]


# -- window


def test_runs_grow_while_the_topic_stays_the_same() -> None:
    window = Window(CONFIG)
    window.note("a", 0, 5)
    window.note("a", 5, 9)
    window.note("b", 3, 4)
    window.note("a", 9, 10)
    assert window.runs == [Run("a", 0, 9), Run("b", 3, 4), Run("a", 9, 10)]


@pytest.mark.parametrize(
    ("dirty", "emitted", "size", "ripe", "full"),
    [
        (0, 0, 0, False, False),
        (9, 0, 0, False, False),
        (9, 1, 0, True, False),
        (20, 0, 0, True, True),
        (0, 20, 0, True, True),
        (0, 0, 100, True, False),
        (0, 0, 200, True, True),
    ],
)
def test_when_a_window_is_ripe_and_full(
    dirty: int, emitted: int, size: int, ripe: bool, full: bool
) -> None:
    config = replace(
        CONFIG,
        window_soft_entries=10,
        window_hard_entries=20,
        window_soft_bytes=100,
        window_hard_bytes=200,
    )
    window = Window(config)
    window.emissions.extend([(b"k", b"v", ())] * emitted)
    window.bytes = size
    assert (window.is_ripe(dirty), window.is_full(dirty)) == (ripe, full)


def test_one_by_one_is_full_after_one_record() -> None:
    window = Window(replace(CONFIG, one_by_one=True))
    assert not window.is_full(0)
    window.records = 1
    assert window.is_full(0)
    assert window.is_ripe(0)


def test_slow_commits_stretch_the_interval_and_quick_ones_do_not() -> None:
    pace = Pace(0.1)
    for _ in range(50):
        pace.took(0.03)
    assert pace.seconds == 0.1
    for _ in range(50):
        pace.took(0.5)
    assert pace.seconds == pytest.approx(1.0, rel=0.01)


# -- what a transaction writes beside rows and records


def a_work(**changes: Any) -> Work:
    values: dict[str, Any] = {
        "number": 7,
        "rows": [],
        "emissions": [],
        "rejected": [],
        "runs": [Run("a", 3, 9)],
        "quarantined": [],
        "offsets": {"a": 9},
        "checkpoint": b"c",
        "quarantine": [],
        "told": Told(),
        "report": None,
    }
    return Work(**{**values, **changes})


def test_positions_row_counts_the_rows_of_its_own_transaction() -> None:
    row = positions_row(a_work(), {"counts": 40}, {"counts": 2, "fans": 3})
    assert row.changelog_ends == {"counts": 42, "fans": 3}
    assert private.decode_positions(private.encode(row)) == row


def test_journal_record_survives_its_encoding() -> None:
    record = journal_record(a_work(quarantined=[("a", 4)]))
    assert private.decode_journal(private.encode(record)) == record
    assert record.number == 7


@pytest.mark.parametrize("kind", [PositionsRow, JournalRecord])
def test_a_row_of_a_newer_version_is_refused(kind: type) -> None:
    newer = private._encode([99, "whatever it holds"])
    decode = private.decode_positions if kind is PositionsRow else private.decode_journal
    with pytest.raises(StateRefused, match=r"has format 99.*\n.*newer"):
        decode(newer)


def test_older_rows_without_later_fields_are_read() -> None:
    row = private.decode_positions(private._encode([1, 3, {"a": 5}, None, {}]))
    assert row.quarantine == []


# -- where to go on

FRESH = Found(
    partition=2,
    group_id="g",
    row=None,
    group_offsets={},
    input_starts={"a": 4, "b": 0},
    input_ends={"a": 20, "b": 30},
    changelogs={"rows": "rows-changelog"},
    changelog_ends={"rows": 0},
    log_starts={"rows-changelog": 0, "positions": 0},
    rows_read={},
)
ROW = PositionsRow(1, 3, {"a": 10, "b": 11}, b"c", {"rows": 50})
KEPT = replace(FRESH, row=ROW, changelog_ends={"rows": 52}, rows_read={"rows": 9})


@pytest.mark.parametrize(
    ("found", "offsets"),
    [
        (FRESH, {"a": 4, "b": 0}),
        # An aborted first transaction leaves offsets without rows.
        (replace(FRESH, changelog_ends={"rows": 7}), {"a": 4, "b": 0}),
        (KEPT, {"a": 10, "b": 11}),
        (replace(KEPT, group_offsets={"a": 10, "b": 11}), {"a": 10, "b": 11}),
        # The group's offsets expire one by one.
        (replace(KEPT, group_offsets={"b": 11}), {"a": 10, "b": 11}),
        # A new version may have a new input.
        (
            replace(
                KEPT, input_starts={"a": 0, "b": 0, "c": 5}, input_ends={"a": 99, "b": 99, "c": 9}
            ),
            {"a": 10, "b": 11, "c": 5},
        ),
    ],
)
def test_where_a_partition_goes_on(found: Found, offsets: dict[str, int]) -> None:
    assert starting_offsets(found) == offsets


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(FRESH, rows_read={"rows": 1}), "hold rows, but"),
        (replace(FRESH, group_offsets={"a": 4}), "the state is gone, or"),
        (replace(FRESH, log_starts={"rows-changelog": 1}), "starts at offset 1 and not at 0"),
        (replace(KEPT, changelog_ends={"rows": 49}), "ends at offset 49, but 50 was reached"),
        (replace(KEPT, changelog_ends={}), "does not know"),
        (replace(KEPT, group_offsets={"a": 9}), "a: group 9, state 10"),
        (replace(KEPT, group_offsets={"x": 9}), "x: group 9, state none"),
        (replace(KEPT, input_starts={"a": 11, "b": 0}), "orderhalt skip --lost a 2 10"),
        (replace(KEPT, input_ends={"a": 20, "b": 10}), "cut or made anew"),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_remedy(found: Found, words: str) -> None:
    with pytest.raises(StateRefused) as refusal:
        starting_offsets(found)
    what, _, remedy = str(refusal.value).partition("\n")
    assert "Partition 2" in what
    assert words in str(refusal.value)
    assert len(remedy) > 20


# -- rejected records


def a_record(**changes: Any) -> Any:
    values = {
        "topic": "a",
        "partition": 1,
        "offset": 7,
        "timestamp": 1_700_000_000_123,
        "key": b"k",
        "value": b"\xffv",
        "headers": (("h", b"1"), ("h", None)),
    }
    return SimpleNamespace(**{**values, **changes})


REJECTION = Rejection(RejectionCode.INVALID_EVENT, "lines: missing")


def test_a_rejected_record_keeps_its_bytes_and_says_why() -> None:
    key, value, headers = rejected_record(a_record(), REJECTION, 10_000)
    assert (key, value) == (b"k", b"\xffv")
    assert list(headers) == [
        ("h", b"1"),
        ("h", None),
        ("orderhalt_error_code", b"invalid_event"),
        ("orderhalt_error", b"lines: missing"),
        ("orderhalt_topic", b"a"),
        ("orderhalt_partition", b"1"),
        ("orderhalt_offset", b"7"),
        ("orderhalt_timestamp", b"1700000000123"),
    ]


@pytest.mark.parametrize("part", ["key", "value", "headers"])
def test_what_the_topic_would_refuse_is_left_out_and_named(part: str) -> None:
    huge: Any = b"x" * 100_000
    record = a_record(**{part: (("h", huge),) if part == "headers" else huge})
    key, value, headers = rejected_record(record, REJECTION, 50_000)
    assert key == (None if part == "key" else b"k")
    assert value is None
    assert dict(headers)["orderhalt_offset"] == b"7"
    assert b"left out" in dict(headers)["orderhalt_omitted"]


# -- the rest


@pytest.mark.parametrize("text", ["nowhere:1", "after_send", "after_send:x", "after_send@"])
def test_failpoints_must_be_known(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        Failpoints(text)


def test_failpoints_count_and_draw() -> None:
    points = Failpoints("before_end@3, after_end:1")
    assert [points.due("before_end") for _ in range(4)] == [False, False, True, False]
    assert points.due("after_end")
    assert not points.due("after_send")


def test_last_words_say_what_where_and_what_to_do() -> None:
    message = describe("it broke", code=70, where="t 1 2", remedy="mend it", error=ValueError("x"))
    assert message.splitlines() == [
        "ValueError: x",
        "orderhalt: stopped with exit code 70: it broke",
        "  where: t 1 2",
        "  what to do: mend it",
    ]


def test_a_failed_commit_of_one_record_names_it() -> None:
    from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

    one = a_work(runs=[Run("a", 3, 4)])
    assert "orderhalt skip a 5 3" in commit_remedy(MessageSizeTooLargeError(), one, 5, None)
    assert "--one-by-one" in commit_remedy(MessageSizeTooLargeError(), a_work(), 5, None)
    assert "id of its own" not in commit_remedy(ProducerFenced(), one, 5, None)
    assert "its --instance-id, w0, too" in commit_remedy(ProducerFenced(), one, 5, "w0")
    assert "Kafka is well" in commit_remedy(KafkaError(), one, 5, None)
    assert "bug" in commit_remedy(TypeError(), one, 5, None)


def test_a_producer_that_was_fenced_between_two_steps_says_so() -> None:
    """The next step is refused as out of turn; what had happened is what counts."""
    from aiokafka.errors import ProducerFenced

    async def commit() -> None:
        writer = PartitionWriter(toy_config("p-", "127.0.0.1:1"), 0)
        manager = writer._producer._txn_manager
        manager.set_pid_and_epoch(1, 0)

        async def fenced_meanwhile(_: Work) -> list[Any]:
            manager.fatal_error(ProducerFenced())
            return []

        writer._send = fenced_meanwhile  # type: ignore[method-assign, assignment]
        await writer.commit(a_work())

    with pytest.raises(ProducerFenced):
        asyncio.run(commit())


def test_tables_read_all_partitions_and_change_none() -> None:
    machines = [ToyMachine(0), ToyMachine(1)]
    machines[0].rows["counts"][b"a"] = b"1"
    machines[1].rows["counts"][b"b"] = b"2"
    runtime = SimpleNamespace(
        machines=lambda: iter(machines),
        row=lambda table, key: next(
            (m.rows[table][key] for m in machines if key in m.rows[table]), None
        ),
    )
    store: Any = object.__new__(ShardStore)
    store.app, store.table_name = SimpleNamespace(runtime=runtime), "counts"
    assert sorted(store) == [b"a", b"b"]
    assert (store[b"b"], len(store), b"a" in store, b"c" in store) == (b"2", 2, True, False)
    with pytest.raises(KeyError):
        store[b"c"]
    with pytest.raises(TypeError, match="Cannot change table counts"):
        store[b"a"] = b"2"
    with pytest.raises(TypeError):
        del store[b"a"]
    with pytest.raises(TypeError):
        store.clear()


def test_toy_machine_is_deterministic() -> None:
    chance = random.Random(3)
    log = [(b"k%d" % chance.randrange(5), b"e%d" % number) for number in range(200)]

    def run() -> list[Any]:
        machine = ToyMachine(0)
        out = [machine.apply("t", 0, at, 0, *record) for at, record in enumerate(log)]
        return [out, cast("list[Any]", machine.drain())]

    assert run() == run()
