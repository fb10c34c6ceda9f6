"""How many events one worker on one core takes through Kafka, exactly once.

    python -m bench.worker [--events N] [--rate N] [--partitions N]

Kafka and this script run on one core, the worker on the other. The simulated mix is loaded first and
then drained (`--rate` 0), or sent at a fixed rate while the worker runs. The rate is read from the
journal: which transaction took how many records, and when. A run counts only if its output is
right: the inputs, in the order of the journal, through the rules once more must give the very
records of `order-halted`, and nothing may be left over.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from bench.machine import description
from processor import topicadmin
from processor.config import Settings as Deployment
from processor.localkafka import LocalKafka
from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from processor.simulator.sender import Sender
from schemas import private, topics
from schemas.errors import Rejection
from schemas.halted import Emission

WORKER_CORE, OTHER_CORE = 0, 1


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--rate", type=float, default=0.0, help="0: drain a preloaded log")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--studios", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=20_000)
    parser.add_argument("--interval-ms", type=int, default=100)
    parser.add_argument(
        "--raw", action="store_true", help="instead of a worker, the plain loop of bench.rawloop"
    )
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})
    with LocalKafka(heap_mebibytes=1000) as kafka:
        result = asyncio.run(_measure(arguments, kafka.bootstrap_servers))
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for
    if not result["output_is_right"]:
        sys.exit("The output is wrong: the figures do not count.")
    if arguments.rate and not result["keeps_up"]:
        sys.exit("The worker does not keep up with the rate.")


async def _measure(arguments: argparse.Namespace, servers: str) -> dict[str, Any]:
    deployment = Deployment(bootstrap_servers=servers, commit_interval_ms=arguments.interval_ms)
    await topicadmin.create(deployment, partitions=arguments.partitions, replication_factor=1)
    world = Settings(
        studios=arguments.studios,
        events_per_second=arguments.rate or 20_000,
        orders_in_flight=arguments.in_flight,
    )
    records = itertools.islice(simulate(world), arguments.events)
    async with Sender(servers) as sender:
        if not arguments.rate:
            await sender.send(records)
            worker = Worker(servers, arguments.interval_ms, arguments.partitions, raw=arguments.raw)
            sent_at = None
        else:
            prepared = list(records)
            worker = Worker(servers, arguments.interval_ms, arguments.partitions, raw=arguments.raw)
            await asyncio.sleep(3)
            sent_at = await _send_at_rate(sender, prepared, arguments.rate)
    finished = worker.wait_until_applied(servers, arguments.partitions, arguments.timeout)
    cpu = worker.end()
    log = Log(servers, arguments.partitions)
    result = {
        "measured": ("the plain loop" if arguments.raw else "one worker")
        + " on one core, exactly once, through Kafka",
        **description(),
        "events": arguments.events,
        "partitions": arguments.partitions,
        "commit_interval_ms": arguments.interval_ms,
        "mode": "drain" if not arguments.rate else f"open loop at {arguments.rate:g}/s",
        **log.rates(),
        "worker_cpu_us_per_event": round(cpu / arguments.events * 1e6, 1),
        "worker_rss_mib": worker.rss_mib,
        "output_is_right": finished and log.output_is_right(),
    }
    if sent_at is not None:
        # All applied within a second of the last record sent: there was no queue.
        result["behind_at_the_end_seconds"] = round(log.last_commit - sent_at, 2)
        result["keeps_up"] = log.last_commit - sent_at < 1.0
    return result


async def _send_at_rate(sender: Sender, records: list[Any], rate: float) -> float:
    """Send in ticks of 20 ms; give when the last was sent."""
    started = time.time()
    tick = max(1, int(rate * 0.02))
    for first in range(0, len(records), tick):
        delay = started + first / rate - time.time()
        if delay > 0:
            await asyncio.sleep(delay)
        await sender.send(records[first : first + tick])
    return time.time()


class Worker:
    """One `orderhalt worker`, alone on its core."""

    def __init__(
        self, servers: str, interval_ms: int, partitions: int, *, raw: bool = False
    ) -> None:
        command = ["processor.cli", "worker", "--log-level", "warning"]
        if raw:
            command = ["bench.rawloop"]
        environment = os.environ | {
            "ORDERHALT_BOOTSTRAP_SERVERS": servers,
            "ORDERHALT_COMMIT_INTERVAL_MS": str(interval_ms),
            "BENCH_GROUP": "orderhalt",
            "BENCH_PARTITIONS": str(partitions),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, {WORKER_CORE}),  # noqa: PLW1509
        )
        self.rss_mib = 0.0

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_until_applied(self, servers: str, partitions: int, timeout: float) -> bool:
        """Wait until the group has no lag; tell whether it came to that."""
        consumer = Consumer({"bootstrap.servers": servers, "group.id": "orderhalt"})
        inputs = [TopicPartition(x.name, p) for x in topics.INPUTS for p in range(partitions)]
        deadline = time.monotonic() + timeout
        try:
            ends = {
                (tp.topic, tp.partition): consumer.get_watermark_offsets(tp)[1] for tp in inputs
            }
            while time.monotonic() < deadline and self._process.poll() is None:
                committed = consumer.committed(inputs)
                if all(
                    tp.offset == ends[tp.topic, tp.partition] or not ends[tp.topic, tp.partition]
                    for tp in committed
                ):
                    return True
                time.sleep(0.5)
            return False
        finally:
            consumer.close()

    def end(self) -> float:
        """End it in order; give the CPU seconds that it took, its start included."""
        if self._process.poll() is None:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
            peak = next(line for line in lines if line.startswith("VmHWM"))
            self.rss_mib = round(int(peak.split()[1]) / 1024, 1)
            self._process.send_signal(signal.SIGTERM)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._process.wait(30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


class Log:
    """What is in Kafka after a run, read with another client than the worker's."""

    def __init__(self, servers: str, partitions: int) -> None:
        self._partitions = partitions
        names = [*(x.name for x in topics.INPUTS), topics.ORDER_HALTED.name, topics.JOURNAL.name]
        self._records = {name: _read(servers, name, partitions) for name in names}
        journal = [
            (message.timestamp()[1] / 1000, private.decode_journal(message.value()))
            for partition in range(partitions)
            for message in self._records[topics.JOURNAL.name][partition]
        ]
        self._commits = sorted(
            (at, sum(run.next - run.first for run in record.runs)) for at, record in journal
        )
        self.last_commit = self._commits[-1][0]

    def rates(self) -> dict[str, float]:
        """Give the events a second over the middle 80 %, and over all."""
        total = sum(count for _, count in self._commits)
        done, first, last = 0, None, None
        for at, count in self._commits:
            done += count
            if first is None and done >= total * 0.1:
                first = (at, done)
            if done <= total * 0.9:
                last = (at, done)
        if first is None or last is None or last[0] <= first[0]:
            return {}
        return {
            "events_per_second": round((last[1] - first[1]) / (last[0] - first[0])),
            "transactions": len(self._commits),
        }

    def output_is_right(self) -> bool:
        """Apply the inputs once more, in the order of the journal, and compare."""
        return all(self._partition_is_right(number) for number in range(self._partitions))

    def _partition_is_right(self, number: int) -> bool:
        inputs = {
            topic.name: {x.offset(): x for x in self._records[topic.name][number]}
            for topic in topics.INPUTS
        }
        machine = Machine(number, partitions=self._partitions)
        demanded: list[tuple[bytes, bytes | None]] = []
        expected: dict[str, int] = defaultdict(int)
        for message in self._records[topics.JOURNAL.name][number]:
            for run in private.decode_journal(message.value()).runs:
                if expected[run.topic] != run.first:
                    return False
                expected[run.topic] = run.next
                for offset in range(run.first, run.next):
                    demanded += _emissions(machine, inputs[run.topic].pop(offset))
        written = [(x.key(), x.value()) for x in self._records[topics.ORDER_HALTED.name][number]]
        return demanded == written and not any(inputs.values())


def _emissions(machine: Machine, record: Any) -> list[tuple[bytes, bytes | None]]:
    try:
        emitted: list[Emission] = machine.apply(
            record.topic(),
            record.partition(),
            record.offset(),
            record.timestamp()[1],
            record.key(),
            record.value(),
        )
    except Rejection:
        return []
    return [(x.key, x.value) for x in emitted]


def _read(servers: str, topic: str, partitions: int) -> dict[int, list[Any]]:
    """Read all committed records of a topic, by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    found: dict[int, list[Any]] = {number: [] for number in range(partitions)}
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    ended: set[int] = set()
    while len(ended) < partitions:
        for message in consumer.consume(10_000, timeout=1.0):
            if message.error():
                ended.add(message.partition() or 0)
            else:
                found[message.partition() or 0].append(message)
    consumer.close()
    return found


if __name__ == "__main__":
    main()
