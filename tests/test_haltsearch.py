"""The last record of an order is found in a partition of others, wherever it is."""

from __future__ import annotations

import asyncio

from confluent_kafka import Producer

from processor.config import load
from processor.haltsearch import find_last
from processor.localkafka import LocalKafka
from tests.support.deployment import Deployment

#: Far more than the first step of the search, and than the second.
OTHERS = 12_000


def test_wherever_it_is(deployment: Deployment, kafka: LocalKafka) -> None:
    topic = f"{deployment.prefix}order-halted"
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 50})

    def write(key: str, value: bytes | None) -> None:
        producer.produce(topic, value, key.encode(), 1)

    write("s/first", b"first")
    write("s/gone", b"early")
    for number in range(OTHERS):
        write(f"s/other-{number}", b"other")
        producer.poll(0)
        if number == OTHERS // 2:
            write("s/twice", b"one")
            write("s/twice", b"two")
            write("s/gone", None)
    write("s/last", b"last")
    assert producer.flush(30) == 0
    settings = load(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=deployment.prefix)
    told: list[tuple[int, int]] = []

    def find(key: str, partition: int = 1) -> tuple[int, bytes] | None:
        found = asyncio.run(find_last(settings, partition, key, lambda *x: told.append(x)))
        return None if found is None else (found.offset, found.value)

    assert find("s/last") == (OTHERS + 5, b"last")
    assert told == [], "found in the first step"
    middle = 2 + OTHERS // 2 + 1
    assert find("s/twice") == (middle + 1, b"two")
    assert find("s/first") == (0, b"first")
    assert find("s/gone") is None, "a tombstone has ended it, whatever stands before"
    assert find("s/nobody") is None
    assert find("s/last", partition=0) is None
    assert all(done <= total == OTHERS + 6 for done, total in told if total)
