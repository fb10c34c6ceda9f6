"""A sender in a process of its own: an endless world, streamed, at the rate that it is told.

Beside the harm and the watching it would not keep its schedule, and millions of records are nothing
to hold in memory. Each line of its standard input, `COUNT PER_SECOND`, is a stretch to send (0: as fast
as Kafka takes them); each line of its output is the number of records that it has sent so far.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from confluent_kafka import Producer

from processor.simulator import Record, Settings, simulate
from processor.watchdog import Watchdog
from tests.model import partition_of
from tests.support.processes import ROOT

_TICK_SECONDS: Final = 0.02
#: Who was stopped for longer does not catch up: what was missed is sent later, not faster.
_LONGEST_STEP_SECONDS: Final = 0.5
_TOLD_EVERY_SECONDS: Final = 0.5
_LINE_BYTES: Final = 64
#: A day of this world passes in 150,000 records, so that its orders and marks are forgotten after
#: minutes, and what there is to keep comes to a plateau.
RECORDS_A_DAY: Final = 150_000
#: Settings of workers for which all is forgotten after a day.
RETENTION: Final = {
    f"ORDERHALT_{what}_RETENTION_DAYS": "1" for what in ("CLOSED", "ASSET", "FORGOTTEN")
}
_START_US: Final = 1_577_865_600_000_000


def world(seed: int, studios: int) -> Settings:
    """Give the world of a soak; one record in a hundred is malformed."""
    return Settings(
        seed=seed,
        studios=studios,
        events_per_second=RECORDS_A_DAY / 86_400,
        orders_in_flight=5_000 if studios > 1 else 1_000,
        malformed_share=0.01,
        start_us=_START_US,
    )


class Sending:
    """The process; ends with the block."""

    def __init__(
        self,
        servers: str,
        prefix: str,
        partitions: int,
        seed: int,
        directory: Path,
        studios: int = 500,
    ) -> None:
        self._path = directory / f"{prefix}sender.sent"
        self._complaints = directory / f"{prefix}sender.log"
        self._arguments = [servers, prefix, *map(str, (partitions, seed, studios))]
        self.wanted = 0
        """How many records it was asked for."""

    def __enter__(self) -> Self:
        with self._path.open("wb") as told, self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.sending", *self._arguments],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=told, stderr=complaints,
            )  # fmt: skip
        self._watchdog = Watchdog(self._process.pid, self._arguments[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._watchdog.dismiss()

    def send(self, count: int, per_second: float = 0.0) -> None:
        """Have `count` more records sent."""
        assert self._process.stdin is not None
        self.wanted += count
        self._process.stdin.write(f"{count} {per_second}\n".encode())
        self._process.stdin.flush()

    @property
    def sent(self) -> int:
        """How many records Kafka has acknowledged."""
        lines = self._tail().split(b"\n")
        return int(lines[-2]) if len(lines) > 1 else 0

    @property
    def done(self) -> bool:
        """Whether all that was asked for is acknowledged."""
        assert self._process.poll() is None, self._complaints.read_text()[-2000:]
        return self.sent == self.wanted

    def _tail(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - _LINE_BYTES), os.SEEK_SET)
            return file.read()


class _Sender:
    """What the process does."""

    def __init__(self, servers: str, prefix: str, partitions: int, records: Iterator[Record]):
        self._prefix, self._records = prefix, records
        self._partition = lru_cache(maxsize=65_536)(lambda key: partition_of(key, partitions))
        self._partitions = partitions
        self._told = 0.0
        self.sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": servers,
                "enable.idempotence": True,
                "linger.ms": 20,
                "queue.buffering.max.messages": 100_000,
            }
        )

    def stretch(self, count: int, per_second: float) -> None:
        """Send the next `count` records."""
        until, due, before = self.sent + count, float(self.sent), time.monotonic()
        while self.sent < until:
            now = time.monotonic()
            due += min(now - before, _LONGEST_STEP_SECONDS) * per_second
            before = now
            upto = min(until, int(due) if per_second else until)
            for record in itertools.islice(self._records, upto - self.sent):
                self._send(record)
            time.sleep(_TICK_SECONDS)
        assert self._producer.flush(120) == 0, "the broker does not take the records"
        self._tell()

    def _send(self, record: Record) -> None:
        partition = (self._partition(record.key or b"") + record.partition_shift) % self._partitions
        while True:
            try:
                self._producer.produce(
                    self._prefix + record.topic, record.value, record.key, partition,
                    on_delivery=_delivered, timestamp=record.timestamp_ms,
                )  # fmt: skip
                break
            except BufferError:
                self._producer.poll(0.1)
        self.sent += 1
        self._producer.poll(0)
        if self.sent % 100 == 0 and time.monotonic() > self._told + _TOLD_EVERY_SECONDS:
            self._told = time.monotonic()
            self._tell(underway=len(self._producer))

    def _tell(self, underway: int = 0) -> None:
        sys.stdout.write(f"{self.sent - underway}\n")
        sys.stdout.flush()


def _delivered(error: Any, _: object) -> None:
    if error is not None:
        raise RuntimeError(f"a record was not taken: {error}")


def main() -> None:
    """Send what standard input asks for, until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers")
    parser.add_argument("prefix")
    parser.add_argument("partitions", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("studios", type=int)
    options = parser.parse_args()
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # It stands for other machines, which workers and broker do not slow down.
    records = simulate(world(options.seed, options.studios))
    sender = _Sender(options.servers, options.prefix, options.partitions, records)
    for line in sys.stdin:
        count, per_second = line.split()
        sender.stretch(int(count), float(per_second))


if __name__ == "__main__":
    main()
