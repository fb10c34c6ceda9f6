"""What comes with partitions that come and go: memory, membership, positions."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from processor.rules.machine import Machine
from processor.runtime import membership, skip
from processor.runtime.batches import Cursor, UnreadableRecord
from processor.runtime.membership import Membership
from processor.runtime.runtime import Runtime
from processor.runtime.transport import ConsumerThread
from schemas.private import POSITIONS_FORMAT, PositionsRow
from tests.runtime.test_partition import CONFIG, Bench
from tests.runtime.toymachine import ToyMachine

PLACED = b"""{"event_id": "e", "occurred_at": "2026-01-01T00:00:00Z", "studio_id": "s",
"order_id": "o", "placed_at": "2026-01-01T00:00:00Z", "lines": [{"line_id": "l",
"product_id": "p", "photo_ids": []}], "production_cost": {"amount_minor": 1, "currency": "EUR"},
"paid": true}"""
AT = TP("t", 0)


# -- memory: what was frozen is never collected, so counting references must be enough


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_the_rules_state_is_in_no_cycle() -> None:
    machine = Machine(0)
    machine.apply("order-placed", 0, 0, 1_767_225_600_000, b"s", PLACED)
    watched = weakref.ref(machine.shard)
    del machine
    assert watched() is None


@pytest.mark.usefixtures("no_collector")
def test_a_partition_that_was_given_up_is_in_no_cycle() -> None:
    async def test() -> weakref.ref[Any]:
        bench = Bench()
        bench.partition._set_paused = print  # the bench's own refers to the bench
        bench.partition.start()
        bench.take("a", 10, "1")
        await bench.settled(1)
        watched = weakref.ref(bench.partition)
        await bench.partition.close()
        del bench
        await asyncio.sleep(0.01)
        return watched

    assert asyncio.run(test())() is None


# -- membership


def test_a_worker_without_partitions_stays_in_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "_KEEP_ALIVE_SECONDS", 0.01)
    signs: list[str] = []

    async def keep_alive() -> None:
        signs.append("alive")

    async def test() -> None:
        consumer = SimpleNamespace(keep_alive=keep_alive)
        app = SimpleNamespace(consumer=consumer, should_stop=False)
        runtime = Runtime(CONFIG, ToyMachine, Any)  # type: ignore[arg-type]
        runtime.observer = SimpleNamespace(  # type: ignore[assignment]
            owned=lambda numbers: signs.append(f"owns {numbers}"),
            suspended=lambda: None,
            given_up=lambda numbers: None,
        )
        reserve = Membership(runtime, app)
        reserve.assigned(set(), lambda: signs.append("settled"))
        await asyncio.sleep(0.05)
        reserve.revoked()
        said = len(signs)
        assert signs[:4] == ["settled", "owns frozenset()", "alive", "alive"]
        await asyncio.sleep(0.03)
        assert len(signs) == said

    asyncio.run(test())


# -- positions


def test_what_starts_below_the_expected_offset_is_cut() -> None:
    records = [SimpleNamespace(offset=offset) for offset in (8, 9, 11, 12)]
    batch = Cursor(10).take("t", 0, records, 13)
    assert (batch.start, batch.end, [r.offset for r in batch.records]) == (10, 13, [11, 12])


def thread() -> Any:
    made: Any = ConsumerThread.__new__(ConsumerThread)
    made._cursors = {AT: Cursor(10)}
    return made


def test_a_rebalance_forgets_where_the_inputs_were() -> None:
    told: list[set[TP]] = []

    async def threadsafe_partitions_revoked(_loop: Any, revoked: set[TP]) -> None:
        told.append(revoked)

    consumer = thread()
    consumer.consumer = SimpleNamespace(threadsafe_partitions_revoked=threadsafe_partitions_revoked)
    consumer.__dict__["thread_loop"] = None
    asyncio.run(consumer.on_partitions_revoked({AT}))
    assert (told, consumer._cursors) == ([{AT}], {})


class Unreadable:
    """A consumer whose records before offset 16 are at 10 and 11; the name of a header at 16 is bad."""

    def __init__(self) -> None:
        self.asked: list[int | None] = []
        self.sought: list[int] = []
        self._fetcher = SimpleNamespace(
            _records={
                TopicPartition("t", 0): SimpleNamespace(
                    _partition_records=SimpleNamespace(
                        _records_iterator=SimpleNamespace(gi_frame=None), next_fetch_offset=16
                    )
                )
            }
        )

    def seek(self, _tp: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    async def fetch(self, _thread: Any, _consumer: Any, _tps: Any, _timeout: Any, most: Any) -> Any:
        self.asked.append(most)
        if most is None or most > 2:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
        return {AT: ["record"] * most}


def test_records_before_an_unreadable_one_are_fewer_than_offsets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer, fetching = Unreadable(), thread()

    async def fetch(*arguments: Any) -> Any:
        return await consumer.fetch(*arguments)

    monkeypatch.setattr(driver.AIOKafkaConsumerThread, "_fetch_records", fetch)
    error = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")
    found = asyncio.run(fetching._fetch_before_unreadable(consumer, error))
    assert (found, consumer.asked, consumer.sought) == ({AT: ["record"]}, [6, 3, 1], [10, 10, 10])
    fetching._cursors = {AT: Cursor(16)}
    with pytest.raises(UnreadableRecord):
        asyncio.run(fetching._fetch_before_unreadable(consumer, error))
    fetching._cursors = {}
    assert asyncio.run(fetching._fetch_before_unreadable(consumer, error)) == {}


# -- skip


@pytest.mark.parametrize("next_offset", [5, 4])
def test_a_noted_record_can_be_set_aside_once_it_is_the_next(
    next_offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = PositionsRow(POSITIONS_FORMAT, 7, {"t": next_offset}, None, {}, [("t", 5), ("t", 9)])
    state = skip._State(row, {"t": 0}, {"t": 20})

    async def record_from(_reader: Any, _request: Any, offset: int, _end: int) -> Any:
        return skip.Unreadable("t", 0, offset, "the name of a header")

    monkeypatch.setattr(skip, "_record_from", record_from)
    planning = skip._plan(None, skip.Request("t", 0, 5), state, 1 << 20)
    if next_offset == 4:
        with pytest.raises(skip.NotSkipped, match="noted already"):
            asyncio.run(planning)
        return
    plan = asyncio.run(planning)
    assert (plan.row.offsets, plan.row.quarantine) == ({"t": 6}, [("t", 9)])
    assert plan.journal.quarantined == [("t", 5)]
