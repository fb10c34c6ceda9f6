"""Send a world's records to Kafka: as fast as it takes them, or as virtual time passes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.partitioning import default_partition
from schemas.topics import INPUT_VALUE_MAX_BYTES, INPUTS, prefixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from aiokafka.producer.message_accumulator import BatchBuilder

    from processor.simulator.records import Record

#: Records wait so long for others of their partition, in seconds, when time is kept.
_TICK_SECONDS: Final = 0.02
#: And for so many records at most when it is not.
_RECORDS_AT_ONCE: Final = 5_000
_BATCH_BYTES: Final = 512 * 1024
#: Batches on their way to the broker at a time.
_BATCHES_UNDERWAY: Final = 200


class TopicsMissingError(Exception):
    """Input topics are not there; the text says what to run."""


class Sender:
    """Sends records to the partition of their key: the same one that every Kafka client chooses.

    An idempotent producer: no record is lost, doubled or overtaken on the way. `sent` counts
    what the broker has acknowledged or is about to, by topic without prefix.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic_prefix: str = "",
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._options = {"bootstrap_servers": bootstrap_servers, **(client_options or {})}
        self._prefix = topic_prefix
        self._partitions: dict[str, int] = {}
        self._batches: dict[tuple[str, int], BatchBuilder] = {}
        self._underway: deque[asyncio.Future[Any]] = deque()
        self._producer: AIOKafkaProducer | None = None
        self.sent: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        producer = AIOKafkaProducer(
            client_id="orderhalt-simulate",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=4 << 20,
            linger_ms=0,
            **self._options,
        )
        try:
            await producer.start()
            await self._find_partitions(producer)
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._producer is not None
        await self._producer.stop()

    async def _find_partitions(self, producer: AIOKafkaProducer) -> None:
        cluster = await producer.client.fetch_all_metadata()
        missing = []
        for topic in INPUTS:
            partitions = cluster.partitions_for_topic(prefixed(topic, self._prefix))
            if partitions:
                self._partitions[topic.name] = len(partitions)
            else:
                missing.append(prefixed(topic, self._prefix))
        if missing:
            option = f" --topic-prefix {self._prefix}" if self._prefix else ""
            raise TopicsMissingError(
                f"Topics are missing: {', '.join(missing)}. "
                f"Run: orderhalt topics create --partitions 4{option}"
            )

    async def takes_oversized(self) -> bool:
        """Ask whether every input topic takes records above the 1 MiB that the contract allows."""
        admin = AIOKafkaAdminClient(**self._options)
        await admin.start()
        try:
            names = [prefixed(topic, self._prefix) for topic in INPUTS]
            resources = [
                ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": None})
                for name in names
            ]
            answers = await admin.describe_configs(resources)
        finally:
            await admin.close()
        limits = [
            int(entry[1])
            for answer in answers
            for resource in answer.resources
            for entry in resource[4]
        ]
        return min(limits) > INPUT_VALUE_MAX_BYTES + _BATCH_BYTES

    async def send(self, records: Iterable[Record], stop: asyncio.Event | None = None) -> None:
        """Send records as fast as Kafka takes them, until they or the time to `stop` come."""
        waiting = 0
        for record in records:
            await self._add(record)
            waiting += 1
            if waiting == _RECORDS_AT_ONCE:
                await self._flush()
                waiting = 0
                if stop is not None and stop.is_set():
                    break
        await self._finish()

    async def send_in_time(self, records: Iterable[Record], stop: asyncio.Event) -> None:
        """Send each record when its timestamp has come, until they or the time to `stop` come."""
        now_ms = 0.0
        waiting = 0
        for record in records:
            # Who cannot keep up never waits, and still has to flush, and to stop.
            if record.timestamp_ms > now_ms or waiting == _RECORDS_AT_ONCE:
                await self._flush()
                waiting = 0
                now_ms = await self._sleep_until(record.timestamp_ms, stop)
                if stop.is_set():
                    break
            await self._add(record)
            waiting += 1
        await self._finish()

    async def _sleep_until(self, due_ms: int, stop: asyncio.Event) -> float:
        """Sleep until then, a tick at least, or until it is time to stop; give the time it is."""
        wait_seconds = due_ms / 1000 - time.time()
        if wait_seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(_TICK_SECONDS, wait_seconds))
        return time.time() * 1000

    async def _add(self, record: Record) -> None:
        partitions = self._partitions[record.topic]
        partition = (
            _partition(record.key or b"", partitions) + record.partition_shift
        ) % partitions
        place = (record.topic, partition)
        batch = self._batches.get(place)
        if batch is None:
            batch = self._new_batch(place)
        fields = {"timestamp": record.timestamp_ms, "key": record.key, "value": record.value}
        if batch.append(**fields) is None:
            await self._send_batch(place)
            self._new_batch(place).append(**fields)
        self.sent[record.topic] += 1

    def _new_batch(self, place: tuple[str, int]) -> BatchBuilder:
        assert self._producer is not None
        batch = self._batches[place] = self._producer.create_batch()
        return batch

    async def _send_batch(self, place: tuple[str, int]) -> None:
        assert self._producer is not None
        topic, partition = place
        batch = self._batches.pop(place)
        batch.close()
        future = await self._producer.send_batch(batch, self._prefix + topic, partition=partition)
        self._underway.append(future)
        while len(self._underway) > _BATCHES_UNDERWAY or (
            self._underway and self._underway[0].done()
        ):
            await self._underway.popleft()

    async def _flush(self) -> None:
        for place in list(self._batches):
            await self._send_batch(place)

    async def _finish(self) -> None:
        await self._flush()
        while self._underway:
            await self._underway.popleft()


@lru_cache(maxsize=65_536)
def _partition(key: bytes, partitions: int) -> int:
    return default_partition(key, partitions)
