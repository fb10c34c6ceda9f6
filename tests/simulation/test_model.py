"""What of the model no real broker can be asked in a moment: compaction, time-outs, sessions."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

from tests.simulation.groups import REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, Group
from tests.simulation.log import Content, Log
from tests.simulation.loop import Process, SimLoop
from tests.simulation.transactions import Transactions


def _content(key: bytes, value: bytes) -> Content:
    return Content(0, key, value, ())


def _seen(log: Log) -> list[tuple[int, bytes | None]]:
    return [(record.offset, record.value) for record in log.committed()]


def test_compaction_keeps_offsets_markers_and_the_last_of_each_key() -> None:
    log = Log("t", 0)
    log.append_in_transaction(1, 0, 0, [_content(b"a", b"1"), _content(b"b", b"1")])
    log.append_marker(1, 0, commit=True)
    log.append_in_transaction(1, 0, 2, [_content(b"a", b"2")])
    log.append_marker(1, 0, commit=False)
    log.append_in_transaction(1, 0, 3, [_content(b"b", b"2")])
    assert log.stable_end == 5
    assert log.compact(100) == 1, "only the aborted record: nothing above the last stable offset"
    log.append_marker(1, 0, commit=True)
    assert _seen(log) == [(0, b"1"), (1, b"1"), (5, b"2")]
    assert log.compact(100) == 1
    assert _seen(log) == [(0, b"1"), (5, b"2")]
    assert log.read(1, 100, committed=True)[1] == log.end == 7
    assert [record.offset for record in log.records if record.control] == [2, 4, 6]


def test_a_transaction_that_is_never_ended_is_aborted_and_its_producer_fenced() -> None:
    loop = SimLoop(Random(1))
    markers: list[Any] = []
    transactions = Transactions(loop, Random(1), lambda *marker: markers.append(marker))

    async def leave_one_open() -> None:
        _, producer, epoch = transactions.init("x", 2.0)
        assert transactions.add("x", producer, epoch, [("t", 0)]) == 0
        await asyncio.sleep(10.0)
        assert transactions.end("x", producer, epoch, commit=True) != 0

    loop.run(leave_one_open(), 20.0)
    assert [(place, commit) for place, _, _, commit in markers] == [(("t", 0), False)]


def test_a_member_that_is_silent_for_its_session_is_out() -> None:
    loop = SimLoop(Random(1))
    group = Group(loop)

    async def fall_silent() -> None:
        group.join("", None, 2.0, 5.0, "m")
        group.join("", None, 2.0, 5.0, "m")
        names = sorted(group.members)
        group.join(names[0], None, 2.0, 5.0, "m")
        assert group.sync(names[0], group.generation, {}) == (0, None)
        await asyncio.sleep(1.5)
        assert group.heartbeat(names[1], group.generation) == 0
        await asyncio.sleep(1.0)
        assert group.heartbeat(names[0], group.generation) == UNKNOWN_MEMBER_ID
        assert group.heartbeat(names[1], group.generation) == REBALANCE_IN_PROGRESS

    loop.run(fall_silent(), 20.0)


def test_what_is_dead_runs_nothing_and_what_is_frozen_runs_later() -> None:
    loop = SimLoop(Random(1))
    steps: list[str] = []

    async def work(name: str) -> None:
        try:
            for _ in range(3):
                await asyncio.sleep(1.0)
                steps.append(name)
        finally:
            steps.append(f"{name} ended")

    async def course() -> None:
        dead, frozen = Process("dead"), Process("frozen")
        loop.create_task(work("dead"), context=loop.new_lane(dead))
        loop.create_task(work("frozen"), context=loop.new_lane(frozen))
        await asyncio.sleep(1.5)
        dead.end()
        frozen.frozen = True
        await asyncio.sleep(5.0)
        steps.append("wakes")
        frozen.frozen = False
        await asyncio.sleep(5.0)

    loop.run(course(), 20.0)
    assert sorted(steps[:2]) == ["dead", "frozen"]
    assert steps[2:] == ["wakes", "frozen", "frozen", "frozen ended"]
