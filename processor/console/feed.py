"""Fill a console from Kafka, and keep it filled: the one module that knows both.

    1. read the changelogs to their ends as of the start            (not ready yet)
    2. look at every order once: index and counts are there         → ready
    3. follow the changelogs; soon after news, settle               → pages and live stream

News after a silence is told after 50 ms. While more and more comes it is told four times a second:
each telling costs a wake-up and a write for every watcher, however little it says.

`order-halted` is read beside it, for the history of orders; nothing waits for it. A broker that is
away is waited for; meanwhile `Health.connected` is false, and what was read is still served.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from processor.config import Settings
from processor.connection import connected
from processor.console.console import Console, Health
from processor.deployment import runtime_config
from processor.replica import Replica, open_replica, partition_count
from processor.runtime import clients, garbage

_GATHER_SECONDS: Final = 0.05
_BETWEEN_SECONDS: Final = 0.25
_LOOK_EVERY_SECONDS: Final = 1.0
_ANSWERS_WITHIN_SECONDS: Final = 3.0
_POLL_MS: Final = 500


async def feed(console: Console, settings: Settings) -> None:
    """Fill the console until this is cancelled.

    Raises KafkaUnavailable at the start, and StateRefused where the state cannot be read.
    """
    count = await partition_count(settings)
    async with open_replica(settings, range(count)) as replica, asyncio.TaskGroup() as tasks:
        console.machines = replica.machines
        tasks.create_task(_tell_history(console, settings, count))
        await _fill(console, replica)
        news = asyncio.Event()

        def row_came(partition: int, table: str, key: bytes) -> None:
            console.note(partition, table, key)
            news.set()

        tasks.create_task(keep_settled(console, news))
        tasks.create_task(_look(console, replica))
        tasks.create_task(replica.follow(row_came))


async def _fill(console: Console, replica: Replica) -> None:
    garbage.defer()

    def progress(read: int, total: int) -> None:
        console.health = Health(ready=False, connected=True, behind=total - read)

    await replica.read_to_end(progress)
    for _ in console.fill():
        await asyncio.sleep(0)
    console.health = Health(ready=True, connected=True, behind=0)
    garbage.settle()


async def keep_settled(console: Console, news: asyncio.Event) -> None:
    """Let index and live stream follow, whenever `news` is set, until this is cancelled."""
    clock = asyncio.get_running_loop().time
    last = clock() - _BETWEEN_SECONDS
    while True:
        await news.wait()
        # What is committed together comes one topic after the other.
        await asyncio.sleep(max(_GATHER_SECONDS, last + _BETWEEN_SECONDS - clock()))
        last = clock()
        news.clear()
        more = True
        while more:
            more = console.settle()
            # In parts, so that requests are answered in between.
            await asyncio.sleep(0)


async def _look(console: Console, replica: Replica) -> None:
    """Keep up how far behind the replica is, and whether the broker answers."""
    while True:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_SECONDS):
                behind = await replica.behind()
            console.health = Health(ready=True, connected=True, behind=behind)
        except (TimeoutError, KafkaError):
            console.health = msgspec.structs.replace(console.health, connected=False)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)


async def _tell_history(console: Console, settings: Settings, partitions: int) -> None:
    """Read `order-halted` from its start, and go on."""
    config = runtime_config(settings)
    async with connected(settings, clients.reader(config)) as consumer:
        places = [TopicPartition(config.output, number) for number in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        while True:
            for tp, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                _take(console, tp, records)
            await asyncio.sleep(0)


def _take(console: Console, tp: TopicPartition, records: list[Any]) -> None:
    for record in records:
        console.history.take(record.key, record.value, tp.partition, record.offset)
