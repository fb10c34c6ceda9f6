"""Looks at the ends of the inputs, in a thread and with a client of its own.

So it sees the logs grow while the worker's consumer is stuck, or its event loop is. It joins no
group and commits nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from processor.metrics.lag import Input, Lag
from processor.runtime import clients
from processor.runtime.config import RuntimeConfig

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS: Final = 5.0
_ASK_WITHIN_SECONDS: Final = 10.0
_READ_WITHIN_SECONDS: Final = 2.0
_REST_SECONDS: Final = 0.5


class LagWatcher(threading.Thread):
    """Keeps a `Lag` up to date for as long as the process lives."""

    def __init__(
        self, config: RuntimeConfig, lag: Lag, every_seconds: float = LOOK_EVERY_SECONDS
    ) -> None:
        super().__init__(name="lag", daemon=True)
        self._config = config
        self._lag = lag
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._says_failed = False

    def stop(self) -> None:
        """Close the client and end; does not wait."""
        self._stopping.set()

    def run(self) -> None:
        """Look until `stop`."""
        while not self._stopping.is_set():
            if not self._lag.inputs():
                self._stopping.wait(_REST_SECONDS)
                continue
            try:
                asyncio.run(self._watch())
            except (KafkaError, OSError, TimeoutError) as error:
                self._failed(error)
            self._stopping.wait(self._every_seconds)

    def _failed(self, error: Exception) -> None:
        if not self._says_failed:
            self._says_failed = True
            log.warning(
                "The ends of the inputs cannot be asked for, so the lag is as it was last seen: "
                "%s. Asking again every %g s.",
                str(error) or type(error).__name__,
                self._every_seconds,
            )

    async def _watch(self) -> None:
        consumer = _client(self._config)
        try:
            async with asyncio.timeout(_ASK_WITHIN_SECONDS):
                await consumer.start()
            while not self._stopping.is_set():
                async with asyncio.timeout(_ASK_WITHIN_SECONDS):
                    undated = await self._look(consumer)
                self._says_failed = False
                await asyncio.gather(
                    *(self._date(consumer, at, offset) for at, offset in undated.items())
                )
                await self._rest()
        finally:
            await consumer.stop()

    async def _rest(self) -> None:
        """Wait for the next look; new partitions are looked at at once."""
        known, until = self._lag.inputs().keys(), time.monotonic() + self._every_seconds
        while time.monotonic() < until and not self._stopping.is_set():
            await asyncio.sleep(min(_REST_SECONDS, self._every_seconds))
            if self._lag.inputs().keys() != known:
                return

    async def _look(self, consumer: Any) -> dict[Input, int]:
        inputs = [TopicPartition(*at) for at in self._lag.inputs()]
        if set(inputs) != consumer.assignment():
            # Assigned at once, aiokafka asks for the metadata of all topics in one request.
            consumer.assign(inputs)
        if not inputs:
            return {}
        consumer.pause(*inputs)
        found = await consumer.end_offsets(inputs)
        ends = {(tp.topic, tp.partition): end for tp, end in found.items()}
        return self._lag.look(ends, now=time.monotonic(), now_ms=time.time() * 1000)

    async def _date(self, consumer: Any, at: Input, offset: int) -> None:
        """Read the first record from `offset` on, for its timestamp alone."""
        tp = TopicPartition(*at)
        consumer.seek(tp, offset)
        consumer.resume(tp)
        try:
            async with asyncio.timeout(_READ_WITHIN_SECONDS):
                record = await consumer.getone(tp)
        except (TimeoutError, UnicodeDecodeError):
            return  # No record there, or none that can be read: its age stays unknown.
        finally:
            consumer.pause(tp)
        self._lag.date(at, offset, record.timestamp)


def _client(config: RuntimeConfig) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        client_id=f"{config.group_id}-lag",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        # Records of open transactions wait as well.
        isolation_level="read_uncommitted",
        # A broker gives one batch in any case, and more is not wanted.
        max_partition_fetch_bytes=1,
        fetch_max_wait_ms=100,
        **clients.bootstrap(config),
    )
