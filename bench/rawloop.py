"""The limit: our rules in a plain loop over aiokafka, exactly once, without Faust and all that it brings.

    python -m bench.rawloop

Started by `bench.worker --raw` and `bench.compare`, with the variables of bench/peers/README.md. It
takes what a poll brings, and at every interval writes rows, records of `order-halted`, journal and
offsets in one transaction for all partitions. It recovers nothing, checks
nothing, serves nothing, and cannot share its partitions: it is there to be compared with.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from processor.rules.machine import Machine
from processor.runtime import garbage
from schemas import private, topics
from schemas.errors import Rejection
from schemas.halted import Emission

_BATCH_BYTES = 512 * 1024


class Loop:
    """One consumer, one transactional producer, and a machine for each partition."""

    def __init__(self, servers: str, partitions: int, group: str, interval_ms: int) -> None:
        self.group = group
        self.interval_seconds = interval_ms / 1000
        self.machines = {
            number: Machine(number, partitions=partitions) for number in range(partitions)
        }
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=10_000,
        )
        self.producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            transactional_id=group,
            max_batch_size=_BATCH_BYTES,
            linger_ms=0,
            retry_backoff_ms=20,
        )
        self.runs: dict[int, list[private.Run]] = {number: [] for number in range(partitions)}
        self.emissions: dict[int, list[Emission]] = {number: [] for number in range(partitions)}
        self.number = 0

    async def run(self, partitions: int, stopping: asyncio.Event) -> None:
        """Apply and commit until somebody stops it."""
        await self.producer.start()
        self.consumer.assign(
            [TopicPartition(x.name, number) for x in topics.INPUTS for number in range(partitions)]
        )
        await self.consumer.start()
        garbage.settle()
        due = time.monotonic() + self.interval_seconds
        while not stopping.is_set():
            polled = await self.consumer.getmany(timeout_ms=50)
            for place, records in polled.items():
                self.take(place, records)
            if time.monotonic() >= due:
                await self.commit()
                due = time.monotonic() + self.interval_seconds
        await self.consumer.stop()
        await self.producer.stop()

    def take(self, place: TopicPartition, records: list[Any]) -> None:
        """Apply the records of one batch."""
        topic, number = place.topic, place.partition
        apply, emissions = self.machines[number].apply, self.emissions[number]
        for record in records:
            try:
                emissions += apply(
                    topic, number, record.offset, record.timestamp, record.key, record.value
                )
            except Rejection:
                continue
        self.runs[number].append(private.Run(topic, records[0].offset, records[-1].offset + 1))

    async def commit(self) -> None:
        """Write all that is new in one transaction."""
        if not any(self.runs.values()):
            return
        await self.producer.begin_transaction()
        self.number += 1
        deliveries = []
        offsets: dict[TopicPartition, int] = {}
        for number, runs in self.runs.items():
            for run in runs:
                offsets[TopicPartition(run.topic, number)] = run.next
            for topic, entries in self._entries(number).items():
                deliveries += await self._send(topic, number, entries)
            self.runs[number], self.emissions[number] = [], []
        await self.producer.send_offsets_to_transaction(offsets, self.group)
        await asyncio.gather(*deliveries)
        await self.producer.commit_transaction()

    def _entries(self, number: int) -> dict[str, list[tuple[bytes | None, bytes | None, Any]]]:
        entries: dict[str, list[tuple[bytes | None, bytes | None, Any]]] = {}
        for table, key, value in self.machines[number].drain():
            entries.setdefault(topics.CHANGELOGS[table].name, []).append((key, value, ()))
        entries[topics.ORDER_HALTED.name] = list(self.emissions[number])
        journal = private.JournalRecord(
            private.JOURNAL_FORMAT, self.number, list(self.runs[number]), []
        )
        key = private.partition_key(number)
        entries[topics.JOURNAL.name] = [(key, private.encode(journal), ())]
        return entries

    async def _send(self, topic: str, number: int, entries: Iterable[Any]) -> list[Any]:
        futures = []
        batch = self.producer.create_batch()
        for key, value, headers in entries:
            if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                futures.append(await self.producer.send_batch(batch, topic, partition=number))
                batch = self.producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=list(headers))
        if batch.record_count():
            futures.append(await self.producer.send_batch(batch, topic, partition=number))
        return futures


async def _main() -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    given = os.environ
    partitions = int(given["BENCH_PARTITIONS"])
    loop = Loop(
        given["ORDERHALT_BOOTSTRAP_SERVERS"],
        partitions,
        given["BENCH_GROUP"],
        int(given["ORDERHALT_COMMIT_INTERVAL_MS"]),
    )
    await loop.run(partitions, stopping)


if __name__ == "__main__":
    asyncio.run(_main())
