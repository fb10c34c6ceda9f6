"""Send on a fixed schedule, and take the latency from when a record was *meant* to be sent.

A generator that waits for a slow system would send later, and so leave out the very records that would
have waited: what counts is the schedule. The end is the moment at which a read_committed reader holds
the record of `order-halted` whose `caused_by` names the input.
"""

from __future__ import annotations

import gc
import multiprocessing
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from hdrh.histogram import HdrHistogram

from schemas import topics

if TYPE_CHECKING:
    from bench.stage import Placed, Stage

_PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)
_HIGHEST_US: Final = 120_000_000
_PAUSE_SECONDS: Final = 0.001
#: What librdkafka waits for more records of a partition, in milliseconds.
_LINGER_MS: Final = 1
_POLL_SECONDS: Final = 0.003


class Generator:
    """A process that sends records at a fixed rate from the moment `begin` is called."""

    def __init__(self, servers: str, records: Sequence[Placed], rate: float) -> None:
        context = multiprocessing.get_context("fork")
        self._answers, theirs = context.Pipe(duplex=False)
        self._start = context.Event()
        self._process = context.Process(
            target=_send, args=(servers, records, rate, self._start, theirs), daemon=True
        )
        self._process.start()

    def begin(self) -> float:
        """Let it send; give when the first record is meant to go, on the monotonic clock."""
        self._start.set()
        begun: float = self._answers.recv()
        return begun

    def finish(self, timeout_seconds: float) -> float:
        """Wait for the last; give by how many milliseconds the latest record was behind schedule."""
        if not self._answers.poll(timeout_seconds):
            raise TimeoutError("The generator did not get its records to the broker in time.")
        late_ms: float = self._answers.recv()
        self._process.join(10)
        return late_ms


def _send(servers: str, records: Sequence[Placed], rate: float, start: Any, answers: Any) -> None:
    gc.disable()
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": _LINGER_MS,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 2_000_000,
        }
    )
    producer.list_topics(timeout=10)
    produce = producer.produce
    start.wait()
    begun = time.monotonic() + 0.2
    answers.send(begun)
    sent, late_seconds = 0, 0.0
    while sent < len(records):
        now = time.monotonic()
        due = min(len(records), int((now - begun) * rate) + 1) if now >= begun else 0
        if due > sent:
            late_seconds = max(late_seconds, now - (begun + sent / rate))
            for topic, partition, _, key, value in records[sent:due]:
                produce(topic, value, key, partition)
            sent = due
            producer.poll(0)
        time.sleep(_PAUSE_SECONDS)
    producer.flush(60)
    answers.send(round(late_seconds * 1000, 1))


class Reader(threading.Thread):
    """Reads `order-halted` and notes when it held what."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._seen: list[tuple[float, bytes]] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": stage.servers,
                "group.id": "bench-latency",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
            }
        )
        name = topics.ORDER_HALTED.name
        self._consumer.assign(
            [TopicPartition(name, number, OFFSET_BEGINNING) for number in range(stage.partitions)]
        )

    def run(self) -> None:
        """Read until told to stop."""
        while not self._ended.is_set():
            messages = self._consumer.consume(500, _POLL_SECONDS)
            now = time.monotonic()
            values = [x.value() for x in messages if not x.error()]
            self._seen += [(now, value) for value in values if value is not None]
        self._consumer.close()

    def stop(self) -> None:
        """Read no more."""
        self._ended.set()
        self.join()

    def latencies(self, due: dict[tuple[str, int, int], float], since: float) -> dict[str, Any]:
        """Set what was seen against when its causes were meant to be sent, from `since` on."""
        histogram = HdrHistogram(1, _HIGHEST_US, 3)
        for at, value in self._seen:
            cause = orjson.loads(value)["caused_by"]
            meant = due.get((cause["topic"], cause["partition"], cause["offset"]))
            if meant is not None and meant >= since:
                histogram.record_value(max(1, round((at - meant) * 1e6)))
        if not histogram.get_total_count():
            return {"latency_samples": 0}
        return {
            "latency_samples": histogram.get_total_count(),
            "latency_ms": {
                **{
                    f"p{percentile:g}": round(
                        histogram.get_value_at_percentile(percentile) / 1e3, 1
                    )
                    for percentile in _PERCENTILES
                },
                "max": round(histogram.get_max_value() / 1e3, 1),
            },
            "histogram": histogram.encode().decode(),
        }
