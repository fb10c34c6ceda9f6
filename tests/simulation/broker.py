"""The broker: topics, and what each request of a client does. All of it happens at one instant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any

from aiokafka import TopicPartition
from aiokafka.record.memory_records import MemoryRecords

from tests.simulation.groups import Group
from tests.simulation.log import Content, Log, Record
from tests.simulation.loop import SimLoop
from tests.simulation.transactions import CONCURRENT_TRANSACTIONS, Answer, Place, Transactions

UNKNOWN_TOPIC_OR_PARTITION = 3
NOT_ENOUGH_REPLICAS = 19

Fetched = dict[TopicPartition, tuple[list[Record], int]]
"""Partition → its records, and the offset at which to go on; -1: the asked one is out of range."""


class _Waiting:
    """A fetch that found nothing, and waits at the broker."""

    __slots__ = ("answer", "committed", "positions", "timer")

    def __init__(
        self, answer: asyncio.Future[Fetched], positions: Mapping[Any, int], committed: bool
    ) -> None:
        self.answer = answer
        self.positions = positions
        self.committed = committed
        self.timer: Any = None


class Broker:
    """One broker that never fails, with all partitions and both coordinators."""

    def __init__(self, loop: SimLoop, random: Random, partitions: int) -> None:
        self.partitions = partitions
        self.logs: dict[TopicPartition, Log] = {}
        self.groups: dict[str, Group] = {}
        self.most_in_a_fetch = 1_000
        """Offsets of one partition in one answer."""
        self.transactions = Transactions(loop, random, self._write_marker)
        self._loop = loop
        self._random = random
        self._waiting: list[_Waiting] = []

    def create_topics(self, topics: Iterable[str]) -> None:
        for topic in topics:
            for number in range(self.partitions):
                self.logs[TopicPartition(topic, number)] = Log(topic, number)

    def group(self, name: str) -> Group:
        found = self.groups.get(name)
        if found is None:
            found = self.groups[name] = Group(self._loop)
        return found

    # -- writing

    def append(self, topic: str, partition: int, contents: list[Content]) -> None:
        """Append records of a producer without transactions."""
        self.logs[TopicPartition(topic, partition)].append(contents)
        self._look_at_waiting()

    def _write_marker(self, place: Place, producer: int, epoch: int, commit: bool) -> None:
        if isinstance(place, str):
            delay = self._random.random() * (0.05 if self._random.random() < 0.9 else 1.0)
            self.group(place).end_transaction(producer, delay, commit=commit)
            return
        log = self.logs.get(TopicPartition(*place))
        if log is not None:
            log.append_marker(producer, epoch, commit=commit)
            self._look_at_waiting()

    # -- requests of a producer (aiokafka's own request objects)

    def init_producer_id(self, request: Any) -> Answer:
        error, producer, epoch = self.transactions.init(
            request._transactional_id, request._transaction_timeout_ms / 1000
        )
        return Answer(error_code=error, producer_id=producer, producer_epoch=epoch)

    def add_partitions_to_txn(self, request: Any) -> Answer:
        places: list[Place] = [(t, p) for t, numbers in request._topics for p in numbers]
        error = self._transactional(request, self.transactions.add, places)
        return Answer(errors=[(t, [(p, error) for p in numbers]) for t, numbers in request._topics])

    def add_offsets_to_txn(self, request: Any) -> Answer:
        places: list[Place] = [request._group_id]
        return Answer(error_code=self._transactional(request, self.transactions.add, places))

    def txn_offset_commit(self, request: Any) -> Answer:
        group = request._group_id
        error = self._transactional(request, self.transactions.verify, group)
        if not error:
            pending = self.group(group).pending.setdefault(request._producer_id, {})
            for topic, offsets in request._topics:
                for partition, offset, _ in offsets:
                    pending[topic, partition] = offset
        return Answer(errors=[(t, [(p, error) for p, _, _ in o]) for t, o in request._topics])

    def end_txn(self, request: Any) -> Answer:
        commit = bool(request._transaction_result)
        error = self.transactions.end(
            *(request._transactional_id, request._producer_id, request._producer_epoch),
            commit=commit,
        )
        return Answer(error_code=error)

    def _transactional(self, request: Any, do: Any, what: Any) -> int:
        error: int = do(
            request._transactional_id, request._producer_id, request._producer_epoch, what
        )
        return error

    def produce(self, request: Any) -> Answer:
        name = request._transactional_id
        topics = []
        for topic, batches in request._topics:
            answers = []
            for partition, data in batches:
                error, base = self._append_batch(name, topic, partition, data)
                answers.append((partition, error, base, -1))
            topics.append((topic, answers))
        self._look_at_waiting()
        return Answer(topics=topics)

    def _append_batch(
        self, name: str | None, topic: str, partition: int, data: Any
    ) -> tuple[int, int]:
        log = self.logs.get(TopicPartition(topic, partition))
        if log is None:
            return UNKNOWN_TOPIC_OR_PARTITION, -1
        batch = MemoryRecords(bytes(data)).next_batch()
        producer, epoch = batch.producer_id, batch.producer_epoch
        contents = [Content(r.timestamp, r.key, r.value, tuple(r.headers)) for r in batch]
        if not name:
            return 0, log.append(contents)
        if producer not in log.open:
            error = self.transactions.verify(name, producer, epoch, (topic, partition))
            if error:
                # What a client is to try again has an older name for clients of this version.
                return NOT_ENOUGH_REPLICAS if error == CONCURRENT_TRANSACTIONS else error, -1
        return log.append_in_transaction(producer, epoch, batch.base_sequence, contents)

    # -- requests of a consumer, and of an admin client

    def fetch(
        self, positions: Mapping[TopicPartition, int], committed: bool, wait: float
    ) -> Fetched | asyncio.Future[Fetched]:
        """Fetch; where there is nothing new, hold the answer back for up to `wait` seconds."""
        found = self._read(positions, committed)
        if found or wait <= 0:
            return found
        answer: asyncio.Future[Fetched] = self._loop.create_future()
        waiting = _Waiting(answer, positions, committed)
        self._waiting.append(waiting)
        waiting.timer = self._loop.call_later(
            wait, self._give_up, waiting, context=self._loop.world
        )
        return answer

    def _read(self, positions: Mapping[TopicPartition, int], committed: bool) -> Fetched:
        found: Fetched = {}
        for tp, offset in positions.items():
            log = self.logs[tp]
            if offset < log.start or offset > log.end:
                found[tp] = [], -1
            elif offset < (log.stable_end if committed else log.end):
                found[tp] = log.read(offset, self.most_in_a_fetch, committed=committed)
        return found

    def _look_at_waiting(self) -> None:
        for waiting in list(self._waiting):
            found = self._read(waiting.positions, waiting.committed)
            if found:
                self._waiting.remove(waiting)
                waiting.timer.cancel()
                waiting.answer.set_result(found)

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.answer.set_result({})

    def list_offsets(
        self, partitions: Iterable[TopicPartition], end: bool, committed: bool
    ) -> dict[TopicPartition, int]:
        """Return the starts, or the ends as the isolation level shows them."""
        if not end:
            return {tp: self.logs[tp].start for tp in partitions}
        if committed:
            return {tp: self.logs[tp].stable_end for tp in partitions}
        return {tp: self.logs[tp].end for tp in partitions}

    def fetch_offsets(
        self, group: str, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return a group's committed offsets; -1 where there is none."""
        offsets = self.group(group).offsets
        return {tp: offsets.get((tp.topic, tp.partition), -1) for tp in partitions}

    # -- requests of a group's member

    def join_group(self, group: str, *args: Any) -> Any:
        return self.group(group).join(*args)

    def sync_group(self, group: str, *args: Any) -> Any:
        return self.group(group).sync(*args)

    def heartbeat(self, group: str, *args: Any) -> int:
        return self.group(group).heartbeat(*args)

    def leave_group(self, group: str, member: str) -> int:
        return self.group(group).leave(member)
