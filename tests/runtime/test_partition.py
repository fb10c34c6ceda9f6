"""One partition with a writer that the test holds in its hand: order, limits, pauses, fail-stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from processor.runtime import failstop
from processor.runtime.batches import Batch
from processor.runtime.config import RuntimeConfig
from processor.runtime.partition import Partition
from processor.runtime.protocol import Observer
from processor.runtime.window import Work
from schemas.private import Run
from tests.runtime.toyapp import toy_config
from tests.runtime.toymachine import ToyMachine

CONFIG = replace(
    toy_config("u-", "127.0.0.1:1"), commit_interval_seconds=0.01, transaction_timeout_ms=1_000
)


class Stopped(Exception):
    """What a fail-stop is here."""


class HeldWriter:
    """Keeps what it is to commit; each commit ends when the test lets it."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.free = asyncio.Event()
        self.free.set()
        self.began = asyncio.Event()
        self.fault: Exception | None = None

    async def commit(self, work: Work) -> None:
        self.works.append(work)
        self.began.set()
        await self.free.wait()
        if self.fault is not None:
            raise self.fault

    async def close(self) -> None:
        """Nothing to close."""


class Bench:
    """A partition, its writer, and what it told the consumer."""

    def __init__(self, **changes: Any) -> None:
        config: RuntimeConfig = replace(CONFIG, **changes)
        self.writer = HeldWriter()
        self.pauses: list[tuple[int, bool]] = []
        self.machine = ToyMachine(3)
        writer: Any = self.writer
        self.partition = Partition(
            3,
            self.machine,
            writer,
            config,
            Observer(),
            set_paused=lambda number, paused: self.pauses.append((number, paused)),
            rejected_limit_bytes=1 << 20,
        )
        self.partition.next = {"a": 10, "b": 0}
        self.partition.active = True

    def take(self, topic: str, start: int, *values: str, end: int | None = None) -> None:
        records = [
            SimpleNamespace(
                topic=topic,
                partition=3,
                offset=start + at,
                timestamp=0,
                key=b"k%d" % (start + at),
                value=value.encode(),
                headers=(),
            )
            for at, value in enumerate(values)
        ]
        self.partition.take(Batch(topic, 3, start, end or start + len(values), records))

    async def settled(self, commits: int) -> None:
        async with asyncio.timeout(5):
            while len(self.writer.works) < commits:
                self.writer.began.clear()
                await self.writer.began.wait()
            await asyncio.sleep(0.02)

    @property
    def ids(self) -> list[str]:
        import orjson

        emissions = [e for work in self.writer.works for e in work.emissions]
        return [orjson.loads(value or b"")["id"] for _, value, _ in emissions]


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []

    def stop(what: str, **kwargs: Any) -> NoReturn:
        said.append({"what": what, **kwargs})
        raise Stopped(what)

    monkeypatch.setattr(failstop, "stop", stop)
    return said


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_records_below_the_expected_offset_are_trimmed() -> None:
    async def test() -> None:
        bench = Bench()
        bench.take("a", 8, "old", "old2", "new")
        await bench.partition.commit()
        assert bench.ids == ["new"]
        assert bench.writer.works[0].runs == [Run("a", 10, 11)]
        assert bench.writer.works[0].offsets == {"a": 11, "b": 0}

    run(test)


def test_a_batch_of_control_records_advances_the_offset() -> None:
    async def test() -> None:
        bench = Bench()
        bench.take("a", 10, end=12)
        await bench.partition.commit()
        assert bench.writer.works[0].offsets["a"] == 12

    run(test)


def test_a_hole_stops(last_words: list[dict[str, Any]]) -> None:
    async def test() -> None:
        with pytest.raises(Stopped):
            Bench().take("a", 12, "x")
        assert last_words[0]["where"] == "topic a, partition 3, offset 10"

    run(test)


def test_an_exception_of_the_machine_names_the_record(last_words: list[dict[str, Any]]) -> None:
    async def test() -> None:
        with pytest.raises(Stopped):
            Bench().take("a", 10, "fine", "poison x")
        assert last_words[0]["where"] == "topic a, partition 3, offset 11"
        assert "orderhalt skip a 3 11" in last_words[0]["remedy"]

    run(test)


def test_the_clock_commits_what_came_within_it() -> None:
    async def test() -> None:
        bench = Bench(commit_interval_seconds=0.1)
        bench.partition.start()
        bench.take("a", 10, "1", "2")
        bench.take("b", 0, "3")
        assert bench.writer.works == []
        await bench.settled(1)
        assert bench.ids == ["1", "2", "3"]
        assert bench.writer.works[0].runs == [Run("a", 10, 12), Run("b", 0, 1)]
        await bench.partition.close()

    run(test)


def test_nothing_to_say_commits_nothing_but_on_request() -> None:
    async def test() -> None:
        bench = Bench()
        await bench.partition.commit()
        assert bench.writer.works == []
        await bench.partition.commit(even_if_empty=True)
        assert bench.writer.works[0].runs == []
        assert bench.writer.works[0].offsets == {"a": 10, "b": 0}

    run(test)


def test_the_next_window_fills_while_one_commits_and_then_the_partition_pauses() -> None:
    async def test() -> None:
        bench = Bench(window_soft_entries=2, window_hard_entries=4)
        bench.writer.free.clear()
        bench.partition.start()
        bench.take("a", 10, "1", "2")
        await bench.settled(1)
        bench.take("a", 12, "3", "4")  # 2 rows and 2 records fill the second window
        bench.take("b", 0, "5", "6")  # waits
        bench.take("a", 14, "7")
        assert bench.pauses == [(3, True)]
        assert bench.ids == ["1", "2"]
        bench.writer.free.set()
        await bench.settled(4)
        assert bench.ids == ["1", "2", "3", "4", "5", "6", "7"]
        assert bench.pauses[-1] == (3, False)
        numbers = [work.number for work in bench.writer.works]
        assert numbers == list(range(1, len(numbers) + 1))
        await bench.partition.close()

    run(test)


def test_a_batch_is_cut_where_the_window_is_full() -> None:
    async def test() -> None:
        bench = Bench(window_soft_entries=100, window_hard_entries=101)
        bench.partition.start()
        bench.take("a", 10, "1", "fan:200 2", "3", "4")
        await bench.settled(2)
        assert [work.runs for work in bench.writer.works] == [
            [Run("a", 10, 12)],
            [Run("a", 12, 14)],
        ]
        assert bench.ids == ["1", "2", "3", "4"]
        await bench.partition.close()

    run(test)


def test_what_waits_is_dropped_when_the_partition_goes() -> None:
    async def test() -> None:
        bench = Bench(window_soft_entries=2, window_hard_entries=2)
        bench.take("a", 10, "1")
        bench.take("a", 11, "2")
        bench.partition.deactivate()
        await bench.partition.commit()
        assert bench.ids == ["1"]
        assert bench.writer.works[0].offsets["a"] == 11

    run(test)


def test_a_quarantined_record_is_rejected_and_not_applied() -> None:
    async def test() -> None:
        bench = Bench()
        bench.partition.quarantine = {("a", 11), ("b", 5)}
        bench.take("a", 10, "1", "poison x", "2")
        await bench.partition.commit()
        [work] = bench.writer.works
        assert bench.ids == ["1", "2"]
        assert dict(work.rejected[0][2])["orderhalt_error_code"] == b"quarantined"
        assert work.quarantined == [("a", 11)]
        assert work.quarantine == [("b", 5)]

    run(test)


def test_a_commit_that_fails_or_takes_too_long_stops(last_words: list[dict[str, Any]]) -> None:
    async def test() -> None:
        bench = Bench()
        bench.writer.fault = OSError("gone")
        bench.take("a", 10, "1")
        with pytest.raises(Stopped):
            await bench.partition.commit()
        bench = Bench()
        bench.writer.free.clear()
        bench.take("a", 10, "1")
        with pytest.raises(Stopped):
            await bench.partition.commit()
        assert "longer than 0.8 s" in last_words[1]["what"]
        assert "a offsets 10 to 10" in last_words[1]["where"]
        assert "--transaction-timeout-ms" in last_words[1]["remedy"]

    run(test)


def test_a_commit_is_never_cut_off_halfway() -> None:
    """A rebalance cancels the task that proves the ownership; the sealed window must go through."""

    async def test() -> None:
        bench = Bench()
        bench.writer.free.clear()
        bench.take("a", 10, "1")
        waiting = asyncio.create_task(bench.partition.commit(even_if_empty=True))
        await bench.writer.began.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        bench.take("a", 11, "2")
        bench.writer.free.set()
        await bench.partition.commit()
        assert bench.ids == ["1", "2"]
        assert [work.number for work in bench.writer.works] == [1, 2]

    run(test)
