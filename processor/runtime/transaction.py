"""Commit one window of one partition as one Kafka transaction.

The steps of `PartitionWriter.commit`, and what is true when the process dies right after each:

0. The window is sealed: rows are encoded, a new window is open and fills meanwhile. Nothing is in
   Kafka. The next owner starts from the last committed transaction and applies the same records
   again, to the same state, in whatever order it reads the inputs.
1. *begin*. Only a flag in memory.
2. *send* rows to the changelogs, records to the output, rejected records, the positions row and the
   journal record, each to this partition of its topic. They are in the logs, but read_committed
   readers do not see them; the next owner's InitProducerId aborts them.
3. *offsets* of all inputs into the transaction. Pending: the next owner does not see them either.
4. *await* every delivery, so that no commit covers a record that the broker has refused.
5. *end*. From the moment the coordinator has written its decision, all of it counts: if our process
   dies before the answer, the next owner's InitProducerId waits until the commit is complete, and
   finds rows, positions and offsets of this transaction together. Before that moment, none of it
   counts.

Steps 2, 3 and 5 ask the coordinators for something, and aiokafka repeats a question whose answer is
lost with its connection. The protocol version that it speaks cannot tell a late first question from
one that belongs to the next transaction of the same producer: a late EndTxn could end that one
halfway, a late offset commit could set its offsets back. So such a question is never repeated
(`_never_repeated`); with the process its producer epoch ends, and late questions are refused.

A transaction that fails, or takes longer than 0.8 of the transaction timeout, ends the process
(`failstop`): whether it counted is then for the next owner to find out. A worker that lost its
partition without noticing was fenced by the new owner's InitProducerId (one transactional id a
partition), and cannot complete any of steps 2 to 5.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, KafkaError, NodeNotReadyError
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

from processor.runtime import clients, failpoints
from schemas import private

if TYPE_CHECKING:
    from processor.runtime.config import RuntimeConfig
    from processor.runtime.protocol import Headers
    from processor.runtime.window import Work

#: Requests to a coordinator on behalf of a transaction. Produce requests are not among them: they
#: carry sequence numbers, and a repeated one is recognised.
_COORDINATION: Final = (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
)

Entry = tuple[bytes | None, bytes | None, "Headers"]


class AnswerLost(Exception):
    """Whether a coordinator has done what it was asked is unknown, and must not be asked again."""


class _Delivery(NamedTuple):
    topic: str
    records: int
    future: asyncio.Future[Any]


class PartitionWriter:
    """The only writer of one partition: its transactional producer and what it knows of the logs."""

    def __init__(self, config: RuntimeConfig, partition: int) -> None:
        self._config = config
        self._partition = partition
        self._producer = clients.transactional_producer(config, partition)
        self._producer.client.send = _never_repeated(self._producer.client.send)
        self.changelog_ends: dict[str, int] = {}
        """Table → least end offset of its changelog; goes into the positions row."""

    async def open(self) -> None:
        """Fence the former owner: its open transaction is aborted, its later ones are refused."""
        await self._producer.start()

    async def close(self) -> None:
        """Close the connections. Does not abort: the next InitProducerId does."""
        await self._producer.stop()

    async def commit(self, work: Work) -> None:
        """Commit `work` in one transaction; any exception means that it may or may not count."""
        try:
            await self._commit(work)
        except (IllegalOperation, AssertionError) as refused:
            # What has failed in between shows as a step that the producer may not do any more.
            if (failure := self._failure()) is None:
                raise
            raise failure from refused

    def _failure(self) -> BaseException | None:
        """Give what has ended the transaction in the producer's background, if it has."""
        manager = self._producer._txn_manager  # noqa: SLF001 - it tells nobody else
        ended = manager.wait_for_transaction_end()
        return ended.exception() if ended is not None and ended.done() else None

    async def _commit(self, work: Work) -> None:
        producer = self._producer
        await producer.begin_transaction()
        deliveries = await self._send(work)
        failpoints.hit("after_send")
        await producer.send_offsets_to_transaction(
            {
                TopicPartition(topic, self._partition): offset
                for topic, offset in work.offsets.items()
            },
            self._config.group_id,
        )
        failpoints.hit("after_offsets")
        ends = {}
        for delivery in deliveries:
            metadata = await delivery.future
            ends[delivery.topic] = metadata.offset + delivery.records
        failpoints.hit("before_end")
        if failpoints.armed("end_in_flight"):
            await self._end_and_maybe_die()
        else:
            await producer.commit_transaction()
        failpoints.hit("after_end")
        for table, topic in self._config.changelogs.items():
            if topic in ends:
                self.changelog_ends[table] = max(ends[topic], self.changelog_ends.get(table, 0))

    async def _send(self, work: Work) -> list[_Delivery]:
        by_topic = self._entries_by_topic(work)
        streams = [self._batches(topic, entries) for topic, entries in by_topic.items()]
        deliveries = []
        # A second batch of the same topic waits until the first is sent: one of each topic in turn
        # lets them travel together.
        for wave in zip_longest(*streams):
            for topic, batch in filter(None, wave):
                future = await self._producer.send_batch(batch, topic, partition=self._partition)
                deliveries.append(_Delivery(topic, batch.record_count(), future))
        return deliveries

    def _entries_by_topic(self, work: Work) -> dict[str, list[Entry]]:
        config = self._config
        by_topic: dict[str, list[Entry]] = {}
        rows_written: dict[str, int] = {}
        for table, key, value in work.rows:
            by_topic.setdefault(config.changelogs[table], []).append((key, value, ()))
            rows_written[table] = rows_written.get(table, 0) + 1
        if work.emissions:
            by_topic[config.output] = list(work.emissions)
        if work.rejected:
            by_topic[config.rejected] = list(work.rejected)
        key = private.partition_key(self._partition)
        row = positions_row(work, self.changelog_ends, rows_written)
        by_topic[config.positions] = [(key, private.encode(row), ())]
        if work.runs or work.emissions:
            by_topic[config.journal] = [(key, private.encode(journal_record(work)), ())]
        return by_topic

    def _batches(self, topic: str, entries: Iterable[Entry]) -> Iterator[tuple[str, Any]]:
        batch = self._producer.create_batch()
        for key, value, sequence in entries:
            headers = list(sequence)  # aiokafka takes nothing else
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                yield topic, batch
                batch = self._producer.create_batch()
                # An empty batch takes one record of any size; the broker has the last word.
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        yield topic, batch

    async def _end_and_maybe_die(self) -> None:
        ending = asyncio.ensure_future(self._producer.commit_transaction())
        await asyncio.sleep(random.random() * 0.004)  # noqa: S311 - a test's choice of moment
        failpoints.hit("end_in_flight")
        await ending


def _never_repeated(send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turn a lost answer of a coordinator into an error that aiokafka does not retry."""

    async def send_once(node_id: int, request: Any, **kwargs: Any) -> Any:
        try:
            return await send(node_id, request, **kwargs)
        except NodeNotReadyError:
            raise  # It was never sent.
        except KafkaError as error:
            if isinstance(request, _COORDINATION):
                raise AnswerLost(f"{type(request).__name__}: {error}") from error
            raise

    return send_once


def positions_row(
    work: Work, ends_before: dict[str, int], rows_written: dict[str, int]
) -> private.PositionsRow:
    """Make the positions row of a transaction.

    The ends that its own rows will have are not known while it is written, but their number is: each
    takes at least one offset. So even the first rows ever written to a changelog are missed when
    they are lost.
    """
    ends = dict(ends_before)
    for table, count in rows_written.items():
        ends[table] = ends.get(table, 0) + count
    return private.PositionsRow(
        private.POSITIONS_FORMAT,
        work.number,
        work.offsets,
        work.checkpoint,
        ends,
        list(work.quarantine),
    )


def journal_record(work: Work) -> private.JournalRecord:
    """Make the journal record of a transaction; without runs where recovery alone had to say something."""
    return private.JournalRecord(
        private.JOURNAL_FORMAT,
        work.number,
        list(work.runs),
        list(work.quarantined),
        checkpoint=work.checkpoint,
    )
