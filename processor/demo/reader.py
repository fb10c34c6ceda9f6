"""Read what the workers have committed, as any consumer would, and how far they have come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from schemas.halted import OrderHalted
from schemas.topics import INPUTS, ORDER_HALTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from processor.demo.board import Board, News

_COUNT_EVERY_SECONDS: Final = 0.5
_decode: Final = msgspec.json.Decoder(OrderHalted).decode


class Reader:
    """Fills a board from Kafka until it is cancelled."""

    def __init__(self, bootstrap_servers: str, group_id: str, partitions: int) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group_id = group_id
        self._halts = [TopicPartition(ORDER_HALTED.name, p) for p in range(partitions)]
        self._inputs = [TopicPartition(x.name, p) for x in INPUTS for p in range(partitions)]

    async def fill(self, board: Board, started: float, tell: Callable[[News], None]) -> None:
        """Keep `board` up to date; `started` is when the demo began, of the monotonic clock."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap_servers)
        await consumer.start()
        try:
            # The inputs are assigned for their end offsets only.
            consumer.assign([*self._halts, *self._inputs])
            consumer.pause(*self._inputs)
            await admin.start()
            await asyncio.gather(
                self._read(consumer, board, started, tell), self._count(consumer, admin, board)
            )
        finally:
            await admin.close()
            await consumer.stop()

    async def _read(
        self,
        consumer: AIOKafkaConsumer,
        board: Board,
        started: float,
        tell: Callable[[News], None],
    ) -> None:
        async for record in consumer:
            if record.value is not None:
                since_start = time.monotonic() - started
                halted = _decode(record.value)
                tell(board.take(record.key, halted, time.time_ns() // 1000, since_start))

    async def _count(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, board: Board
    ) -> None:
        while True:
            with contextlib.suppress(GroupCoordinatorNotAvailableError):  # a new broker's first s
                committed = await admin.list_consumer_group_offsets(self._group_id)
                ends = await consumer.end_offsets(self._inputs)
                applied = sum(max(0, at.offset) for place, at in committed.items() if place in ends)
                board.count(applied, sum(ends.values()) - applied, time.monotonic())
            await asyncio.sleep(_COUNT_EVERY_SECONDS)
