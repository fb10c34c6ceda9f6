"""A world's records on their way: as JSON Lines that replay reads, and to a real Kafka."""

from __future__ import annotations

import asyncio
import io
import time
from collections import defaultdict
from itertools import islice, pairwise
from statistics import median
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from processor.cli import main
from processor.replay import Rejected, Replay
from processor.simulator import Record, Settings, simulate
from processor.simulator.records import to_line
from processor.simulator.sender import Sender, TopicsMissingError
from schemas.partitioning import default_partition
from schemas.topics import INPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processor.localkafka import LocalKafka

PARTITIONS = 3
Place = tuple[str, int]
Sent = tuple[bytes | None, bytes | None]


def test_replay_reads_the_lines_and_rejects_what_is_malformed() -> None:
    settings = Settings(seed=2, malformed_share=0.05, for_lines=True)
    records = list(islice(simulate(settings), 5_000))
    rejected: list[Rejected] = []
    replay = Replay(emit=lambda _: None, reject=rejected.append)
    replay.feed(io.BytesIO(b"".join(map(to_line, records))))
    expected = [
        (number, record.expected_code)
        for number, record in enumerate(records, 1)
        if record.expected_code is not None
    ]
    assert [(line.line, line.code) for line in rejected] == expected
    assert replay.summary.changes["opened"] > 10


def test_the_command_writes_the_same_lines_for_the_same_seed() -> None:
    run = CliRunner().invoke
    arguments = ["simulate", "--events", "200", "--output", "-", "--seed"]
    lines = [run(main, [*arguments, seed]).stdout_bytes for seed in ("1", "1", "2")]
    assert lines[0] == lines[1] != lines[2]
    assert lines[0].count(b"\n") == 200


def test_the_command_keeps_to_the_duration_in_virtual_time() -> None:
    result = CliRunner().invoke(
        main, ["simulate", "--rate", "0.01", "--duration", "864000", "--output", "-"]
    )
    assert result.stdout.count("\n") == pytest.approx(8_640, rel=0.2)


def test_fast_without_an_end_is_wrong_usage() -> None:
    assert CliRunner().invoke(main, ["simulate", "--fast"]).exit_code == 2


def create_topics(kafka: LocalKafka, prefix: str, config: dict[str, str]) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    topics = [NewTopic(prefix + topic.name, PARTITIONS, 1, config=config) for topic in INPUTS]
    for created in admin.create_topics(topics).values():
        created.result(20)


def read_all(kafka: LocalKafka, prefix: str, count: int) -> dict[Place, list[Sent]]:
    """Read so many records, by topic without prefix and partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": prefix,
            "fetch.message.max.bytes": 4 << 20,
        }
    )
    names = [topic.name for topic in INPUTS]
    consumer.assign(
        [TopicPartition(prefix + name, p, 0) for name in names for p in range(PARTITIONS)]
    )
    found: dict[Place, list[Sent]] = defaultdict(list)
    while count:
        records = consumer.consume(count, 20)
        assert records, f"{count} records are missing"
        for record in records:
            assert record.error() is None
            place = (str(record.topic()).removeprefix(prefix), int(record.partition() or 0))
            found[place].append((record.key(), record.value()))
        count -= len(records)
    assert consumer.poll(0.5) is None, "nothing is sent twice"
    consumer.close()
    return found


def where_they_belong(records: Sequence[Record]) -> dict[Place, list[Sent]]:
    places: dict[Place, list[Sent]] = defaultdict(list)
    for record in records:
        home = default_partition(record.key or b"", PARTITIONS) + record.partition_shift
        places[record.topic, home % PARTITIONS].append((record.key, record.value))
    return places


def test_kafka_gets_every_record_once_in_order_where_its_key_belongs(
    kafka: LocalKafka, topic_prefix: str
) -> None:
    """Those above 1 MiB too, where topics take them."""
    create_topics(kafka, topic_prefix, {"max.message.bytes": str(4 << 20)})
    settings = Settings(seed=3, malformed_share=0.05, oversized=True)
    records = list(islice(simulate(settings), 8_000))
    assert any(record.expected_code == "too_large" for record in records)

    async def send() -> int:
        async with Sender(kafka.bootstrap_servers, topic_prefix=topic_prefix) as sender:
            assert await sender.takes_oversized()
            await sender.send(records)
            return sender.sent.total()

    assert asyncio.run(send()) == len(records)
    assert read_all(kafka, topic_prefix, len(records)) == where_they_belong(records)


def test_time_is_kept(kafka: LocalKafka, topic_prefix: str) -> None:
    """A record is sent when its time has come, and `stop` ends what would go on for ever."""
    create_topics(kafka, topic_prefix, {})
    settings = Settings(
        events_per_second=500, orders_in_flight=200, start_us=time.time_ns() // 1000
    )
    sent: list[tuple[int, float]] = []

    async def send() -> None:
        stop = asyncio.Event()

        def passed() -> Iterator[Record]:
            for record in simulate(settings):
                sent.append((record.timestamp_ms, time.time() * 1000))
                if len(sent) == 1_000:
                    stop.set()
                yield record

        async with Sender(kafka.bootstrap_servers, topic_prefix=topic_prefix) as sender:
            assert not await sender.takes_oversized()
            await sender.send_in_time(passed(), stop)

    asyncio.run(send())
    assert len(sent) < 1_100
    # When a record is asked for, the one before it has been sent: at its time, not before it.
    waits_ms = [asked - due for (due, _), (_, asked) in pairwise(sent)]
    assert min(waits_ms) >= 0
    assert median(waits_ms) < 500


def test_missing_topics_are_named_with_the_remedy(kafka: LocalKafka, topic_prefix: str) -> None:
    async def send() -> None:
        async with Sender(kafka.bootstrap_servers, topic_prefix=topic_prefix):
            pass

    with pytest.raises(TopicsMissingError, match=f"topics create.*--topic-prefix {topic_prefix}"):
        asyncio.run(send())
