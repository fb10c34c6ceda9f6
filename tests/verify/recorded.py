"""A recorded deployment in memory: what honest workers write, which also crash and recover.

Rows, positions and journal records are made by the runtime's own functions, and every transaction
ends with a control record that takes an offset in each topic that it wrote to, as on a broker.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from msgspec import structs

from processor.rules.forgetting import Retention
from processor.rules.machine import Machine
from processor.runtime.partition import QUARANTINED_MESSAGE
from processor.runtime.protocol import Emission
from processor.runtime.rejecting import rejected_record
from processor.runtime.transaction import journal_record, positions_row
from processor.runtime.window import Told, Window, Work
from processor.simulator import Settings, simulate
from processor.simulator.records import Record as Event
from processor.verify.deployment import take, verify
from processor.verify.partition import PartitionResult
from processor.verify.plan import Plan
from processor.verify.replay import UNREADABLE
from processor.verify.streams import Bounds, Record
from schemas import private, topics
from schemas.errors import Rejection, RejectionCode
from schemas.instants import format_instant, parse_instant
from schemas.private import Run
from tests.model import partition_of
from tests.runtime.toyapp import toy_config

PREFIX = "acme-"
PARTITIONS = 2
HOUR_MS = 3_600_000
#: When the first transaction is committed; the next ones follow at intervals of 100 ms.
COMMITTED_FROM_MS = 1_770_000_000_000
#: Short, so that a simulated day brings tombstones of every kind.
RETENTION = Retention(closed_ms=2 * HOUR_MS, asset_ms=4 * HOUR_MS, forgotten_ms=5 * HOUR_MS)
SHOPS = Settings(
    seed=3,
    studios=6,
    events_per_second=0.02,
    malformed_share=0.05,
    trouble=12,
    orders_in_flight=30,
    duplicate_share=0.05,
)
_LIMIT_BYTES = 2 << 20
_QUARANTINED = Rejection(RejectionCode.QUARANTINED, QUARANTINED_MESSAGE)
_CONFIG = toy_config(PREFIX, "127.0.0.1:1")

Place = tuple[str, int]


def named(topic: topics.Topic) -> str:
    return topics.prefixed(topic, PREFIX)


INPUTS = tuple(map(named, topics.INPUTS))
CHANGELOGS = {table: named(topic) for table, topic in topics.CHANGELOGS.items()}
HALTED, REJECTED = named(topics.ORDER_HALTED), named(topics.REJECTED)
POSITIONS, JOURNAL = named(topics.POSITIONS), named(topics.JOURNAL)
TOPICS = (*INPUTS, HALTED, REJECTED, *CHANGELOGS.values(), POSITIONS, JOURNAL)


class Recorded:
    """All topics of a deployment, and its group's offsets. A `processor.verify.streams.Source`."""

    def __init__(self) -> None:
        places = [(topic, partition) for topic in TOPICS for partition in range(PARTITIONS)]
        self.logs: dict[Place, list[Record]] = {place: [] for place in places}
        self.starts: dict[Place, int] = dict.fromkeys(places, 0)
        self.ends: dict[Place, int] = dict.fromkeys(places, 0)
        self.group: dict[Place, int] = {}
        self.read_until: dict[Place, int] = {}
        """Where outputs ended when a verification looked; the ends, unless a test says otherwise."""
        self.complete_until: dict[int, int] = {}
        """Where the journal ended before that, by partition; its end, unless a test says otherwise."""
        self.settled_until: dict[int, int] = {}
        """Where the positions topic ended before that, likewise."""
        self.history: list[tuple[dict[Place, int], dict[Place, int]]] = []
        """Ends and group offsets after each transaction of partition 0."""

    # -- as a broker

    def append(self, place: Place, timestamp: int, entry: Emission) -> None:
        key, value, headers = entry
        offset = self.ends[place]
        self.logs[place].append(Record(*place, offset, timestamp, key, value, tuple(headers)))
        self.ends[place] = offset + 1

    def mark(self, place: Place) -> None:
        """Let a control record take an offset."""
        self.ends[place] += 1

    def compact(self, topic: str, partition: int, until: int, *, tombstones: bool = False) -> None:
        """Compact the log below an offset; `tombstones`: remove the old ones too."""
        place = topic, partition
        last = {record.key: record.offset for record in self.logs[place]}
        self.logs[place] = [
            record
            for record in self.logs[place]
            if record.offset >= until
            or (record.offset == last[record.key] and not (tombstones and record.value is None))
        ]

    def expire(self, topic: str, partition: int, until: int) -> None:
        """Delete everything below an offset."""
        place = topic, partition
        self.starts[place] = until
        self.logs[place] = [record for record in self.logs[place] if record.offset >= until]

    # -- as a source of records

    async def read(
        self, topic: str, partition: int, start: int, end: int
    ) -> AsyncIterator[list[Record]]:
        batch = [x for x in self.logs[topic, partition] if start <= x.offset < end]
        for at in range(0, len(batch), 7):
            yield batch[at : at + 7]

    async def read_on(self, topic: str, partition: int, start: int) -> AsyncIterator[list[Record]]:
        async for batch in self.read(topic, partition, start, self.ends[topic, partition]):
            yield batch

    async def bounds(self, partition: int) -> Bounds:
        ends = {topic: self.ends[topic, partition] for topic in TOPICS}
        ends |= {
            x: self.read_until[x, partition] for x in TOPICS if (x, partition) in self.read_until
        }
        settled_until = self.settled_until.get(partition, ends[POSITIONS])
        settled = [x for x in self.logs[POSITIONS, partition] if x.offset < settled_until]
        return Bounds(
            starts={topic: self.starts[topic, partition] for topic in TOPICS},
            ends=ends,
            complete_until=self.complete_until.get(partition, ends[JOURNAL]),
            settled_until=settled_until,
            settled_number=_number(settled[-1]) if settled else 0,
            group={x: self.group[x, partition] for x in INPUTS if (x, partition) in self.group},
        )


def _number(row: Record) -> int:
    try:
        return private.decode_positions(row.value or b"").number
    except UNREADABLE:
        return 0


class Workers:
    """Honest owners of one partition, one after the other."""

    def __init__(self, recorded: Recorded, partition: int, chance: random.Random) -> None:
        self.recorded = recorded
        self.partition = partition
        self.next = {topic: recorded.starts[topic, partition] for topic in INPUTS}
        self.number = 0
        self.quarantine: set[tuple[str, int]] = set()
        self._chance = chance
        self._machine = machine(partition)
        self._changelog_ends: dict[str, int] = {}
        self._emitted: list[Emission] = []

    def recover(self) -> None:
        """Begin anew from what is committed, as after a crash: the open window is lost."""
        self._machine = machine(self.partition)
        for table, topic in CHANGELOGS.items():
            for record in self.recorded.logs[topic, self.partition]:
                self._machine.load(table, record.key or b"", record.value)
        rows = self.recorded.logs[POSITIONS, self.partition]
        checkpoint = private.decode_positions(rows[-1].value or b"").checkpoint if rows else None
        self._emitted = list(self._machine.resume(checkpoint))

    def work(self, *, crashes: bool = True) -> None:
        """Apply everything that is there, in windows of random size."""
        ends = {topic: self.recorded.ends[topic, self.partition] for topic in INPUTS}
        while waiting := [topic for topic in INPUTS if self.next[topic] < ends[topic]]:
            chosen = self._chance.sample(waiting, self._chance.randint(1, len(waiting)))
            spans = []
            for topic in chosen:
                following = min(ends[topic], self.next[topic] + self._chance.randint(1, 12))
                spans.append((topic, following))
            if crashes and self._chance.random() < 0.1:
                noted = set(self.quarantine)
                self._apply(spans)
                self.quarantine = noted
                self.recover()
            elif crashes and self._chance.random() < 0.1:
                self.commit([])
            else:
                self.commit(spans)

    def commit(self, spans: Sequence[tuple[str, int]]) -> None:
        """Apply some inputs up to an offset each, and commit; without any it proves its ownership."""
        following, window = self._apply(spans)
        self.next = following
        self._write(self._seal(window))

    def give_up(self, topic: str, offset: int) -> None:
        """Go on at `offset` (`orderhalt skip --lost`)."""
        lost = Run(topic, self.next[topic], offset)
        self.next[topic] = offset
        self._write(self._seal(Window(_CONFIG)), [lost])

    def _seal(self, window: Window) -> Work:
        self.number += 1
        return Work(
            number=self.number,
            rows=self._machine.drain(),
            emissions=window.emissions,
            rejected=window.rejected,
            runs=window.runs,
            quarantined=window.quarantined,
            offsets=dict(self.next),
            checkpoint=self._machine.checkpoint(),
            quarantine=sorted(self.quarantine),
            told=Told(),
            report=None,
        )

    def _apply(self, spans: Sequence[tuple[str, int]]) -> tuple[dict[str, int], Window]:
        window, following = Window(_CONFIG), dict(self.next)
        window.emissions, self._emitted = self._emitted, []
        for topic, end in spans:
            first = following[topic]
            for record in self.recorded.logs[topic, self.partition]:
                if first <= record.offset < end:
                    self._take(record, window)
            window.note(topic, first, end)
            following[topic] = end
        return following, window

    def _take(self, record: Record, window: Window) -> None:
        at = (record.topic, record.offset)
        if at in self.quarantine:
            self.quarantine.discard(at)
            window.quarantined.append(at)
            window.rejected.append(rejected_record(record, _QUARANTINED, _LIMIT_BYTES))
            return
        try:
            window.emissions += self._machine.apply(*record[:6])
        except Rejection as rejection:
            window.rejected.append(rejected_record(record, rejection, _LIMIT_BYTES))

    def _write(self, work: Work, lost: Sequence[Run] = ()) -> None:
        entries: dict[str, list[Emission]] = defaultdict(list)
        written: dict[str, int] = defaultdict(int)
        for table, row_key, value in work.rows:
            entries[CHANGELOGS[table]].append((row_key, value, ()))
            written[table] += 1
        entries[HALTED] += work.emissions
        entries[REJECTED] += work.rejected
        key = private.partition_key(self.partition)
        row = positions_row(work, self._changelog_ends, written)
        entries[POSITIONS].append((key, private.encode(row), ()))
        if work.runs or work.emissions or lost:
            journal = structs.replace(journal_record(work), lost=list(lost))
            entries[JOURNAL].append((key, private.encode(journal), ()))
        recorded, at_ms = self.recorded, COMMITTED_FROM_MS + 100 * self.number
        for topic, listed in entries.items():
            for entry in listed:
                recorded.append((topic, self.partition), at_ms, entry)
            if listed:
                recorded.mark((topic, self.partition))
        for table in written:
            self._changelog_ends[table] = recorded.ends[CHANGELOGS[table], self.partition]
        recorded.group |= {(topic, self.partition): at for topic, at in work.offsets.items()}
        recorded.history.append((dict(recorded.ends), dict(recorded.group)))


def machine(partition: int) -> Machine:
    return Machine(partition, topic_prefix=PREFIX, retention=RETENTION, partitions=PARTITIONS)


def simulated(count: int, chance: random.Random, *, transactional: bool = False) -> Recorded:
    """Give the inputs; those of transactional producers have control records and aborted records."""
    recorded = Recorded()
    for record in _with_second_thoughts(islice(simulate(SHOPS), count), chance):
        home = partition_of(record.key or b"", PARTITIONS)
        place = PREFIX + record.topic, (home + record.partition_shift) % PARTITIONS
        headers: Any = (("trace", b"\x00\xff"), ("trace", b"")) if chance.random() < 0.3 else ()
        recorded.append(place, record.timestamp_ms, (record.key, record.value, headers))
        while transactional and chance.random() < 0.2:
            recorded.mark(place)
    return recorded


def _with_second_thoughts(records: Iterable[Event], chance: random.Random) -> Iterator[Event]:
    """Let studios cancel orders and reinstate them far more often than the simulated ones do."""
    for record in records:
        yield record
        if record.topic == "order-placed" and not record.expected_code and chance.random() < 0.15:
            order = orjson.loads(record.value or b"")
            for after_us, topic in enumerate(("order-cancelled", "order-reinstated")):
                event = {name: order[name] for name in ("studio_id", "order_id")}
                event["event_id"] = f"{chance.getrandbits(128):032x}"
                at_us = parse_instant(order["occurred_at"]) + after_us
                event["occurred_at"] = format_instant(at_us)
                yield record._replace(topic=topic, value=orjson.dumps(event))


def deployment(count: int = 1_500, *, seed: int = 1, transactional: bool = False) -> Recorded:
    """Give a whole deployment: crashes, ownership checks, quarantined records, tombstones."""
    chance = random.Random(seed)
    recorded = simulated(count, chance, transactional=transactional)
    for partition in reversed(range(PARTITIONS)):
        workers = Workers(recorded, partition, chance)
        events = [x for topic in INPUTS for x in recorded.logs[topic, partition] if x.value]
        workers.quarantine = {(x.topic, x.offset) for x in chance.sample(events, 3)}
        recorded.history.clear()
        workers.work()
    return recorded


def copied(recorded: Recorded) -> Recorded:
    """Give one that can be tampered with; records are values."""
    copy = Recorded()
    copy.logs = {place: list(records) for place, records in recorded.logs.items()}
    copy.starts, copy.ends, copy.group = map(dict, (recorded.starts, recorded.ends, recorded.group))
    copy.history = recorded.history
    return copy


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "group": f"{PREFIX}orderhalt",
        "topic_prefix": PREFIX,
        "inputs": INPUTS,
        "changelogs": CHANGELOGS,
        "output": HALTED,
        "rejected": REJECTED,
        "positions": POSITIONS,
        "journal": JOURNAL,
        "partitions": PARTITIONS,
        "any_partitioner": False,
        "create_machine": machine,
        "rejected_limit_bytes": _LIMIT_BYTES,
        "halts_kept_since_ms": 0,
        "rejected_kept_since_ms": 0,
    }
    return Plan(**{**values, **changes})


def judged(
    recorded: Recorded,
    partitions: Iterable[int] = range(PARTITIONS),
    *,
    snapshot: Path | None = None,
    write_snapshot: Path | None = None,
    **changes: Any,
) -> list[PartitionResult]:
    """Verify it; `changes` are the plan's."""
    judging = verify(
        plan(**changes),
        recorded,
        partitions,
        snapshot=snapshot,
        write_snapshot=write_snapshot,
    )
    return asyncio.run(judging)


def taken(recorded: Recorded, path: Path, partitions: Iterable[int] = range(PARTITIONS)) -> None:
    """Write a snapshot of the state as it is."""
    asyncio.run(take(plan(), recorded, partitions, path))


def clean(results: list[PartitionResult]) -> list[PartitionResult]:
    assert [result.findings for result in results] == [()] * len(results)
    return results


def looked_at_while_working(honest: Recorded, chance: random.Random) -> tuple[Recorded, int, int]:
    """Give what a look sees that begins and ends at some transactions of partition 0."""
    recorded, history = copied(honest), honest.history
    first = chance.randrange(5, len(history) - 5)
    last = min(len(history) - 1, first + chance.randint(0, 6))

    def meanwhile() -> int:
        return chance.randint(first, last)

    recorded.complete_until[0] = history[first][0][JOURNAL, 0]
    recorded.settled_until[0] = history[first][0][POSITIONS, 0]
    for topic in (HALTED, REJECTED, *CHANGELOGS.values()):
        recorded.read_until[topic, 0] = history[meanwhile()][0][topic, 0]
    recorded.group = history[meanwhile()][1]
    recorded.read_until[JOURNAL, 0] = history[last][0][JOURNAL, 0]
    after = min(len(history) - 1, last + chance.randint(0, 3))
    recorded.read_until[POSITIONS, 0] = history[after][0][POSITIONS, 0]
    return recorded, first, last
