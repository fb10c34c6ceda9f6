"""Check that the rules in Java say what ours say, byte for byte: `bench/peers/rules` against the rules.

    python -m bench.peers.same [--events N] [--seeds N]

The same records in the same order go through both: the golden events, and simulated worlds with
malformed records among them; once in one go, and once with all but the rows dropped every few records
and read anew. Compared are the records of order-halted and, of what is rejected, the code.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import workload
from bench.workload import Workload
from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from schemas.errors import Rejection
from schemas.partitioning import default_partition
from tests.contract.vocabulary import numbered
from tests.golden.make import EVENTS

_HERE: Final = Path(__file__).parent
_PARTITIONS: Final = 4
_RELOADS: Final = (0, 97)
"""After so many records all is read anew from the rows; 0: never."""


class Record(NamedTuple):
    """One record where it is."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def main() -> None:
    """Compare on every log; end with 1 where one differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=30_000, help="of each simulated log")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    for name, log in logs(arguments.events, arguments.seeds):
        wanted = ours(log)
        for reload in _RELOADS:
            fault = difference(log, wanted, theirs(log, reload))
            if fault:
                sys.exit(f"{name}, read anew after {reload}: {fault}")
        said = Counter("rejected" if x.startswith("! ") else "emitted" for y in wanted for x in y)
        print(f"{name}: {len(log)} records, {dict(said)}: the same")  # noqa: T201 - a command


def logs(events: int, seeds: int) -> Iterator[tuple[str, list[Record]]]:
    """Give every log with its name."""
    golden = [Record(x.topic, 0, x.offset, x.timestamp, x.key, x.value) for x in numbered(EVENTS)]
    yield "golden events", golden
    for seed in range(1, seeds + 1):
        settings = Workload(seed=seed, events=events, orders_in_flight=events // 8, studios=200)
        yield (
            f"workload {seed}",
            placed(
                (x.topic, x.key, x.value, 1_767_600_000_000) for x in workload.generate(settings)
            ),
        )
        world = Settings(seed=seed, studios=20, trouble=3.0, malformed_share=0.02)
        records = itertools.islice(simulate(world), events)
        yield (
            f"simulated world {seed}",
            placed((x.topic, x.key, x.value, x.timestamp_ms) for x in records),
        )


def placed(records: Iterable[tuple[str, bytes | None, bytes | None, int]]) -> list[Record]:
    """Put each record where Kafka's default partitioner puts it."""
    ends: Counter[tuple[str, int]] = Counter()
    found = []
    for topic, key, value, timestamp_ms in records:
        partition = default_partition(key or b"", _PARTITIONS)
        found.append(Record(topic, partition, ends[topic, partition], timestamp_ms, key, value))
        ends[topic, partition] += 1
    return found


def ours(log: Sequence[Record]) -> list[list[str]]:
    """Say what our rules make of each record."""
    machines: dict[int, Machine] = defaultdict(lambda: Machine(0))
    said = []
    for record in log:
        machine = machines[record.partition]
        try:
            said.append([_text(x.key, x.value) for x in machine.apply(*record)])
        except Rejection as rejection:
            said.append([f"! {rejection.code}"])
        machine.forget_changes()
    return said


def theirs(log: Sequence[Record], reload: int) -> list[list[str]]:
    """Say what the rules in Java make of each record."""
    lines = [
        "\t".join(
            [
                x.topic,
                str(x.partition),
                str(x.offset),
                str(x.timestamp_ms),
                _base64(x.key),
                _base64(x.value),
            ]
        )
        for x in log
    ]
    jars = f"{_HERE}/rules/target/*:{_HERE}/kstreams/target/dependency/*"
    done = subprocess.run(
        ["java", "-ea", "-XX:+UseSerialGC", "-cp", jars, "orderhalt.rules.Replay", str(reload)],  # noqa: S607
        input="\n".join(lines) + "\n",
        capture_output=True,
        check=True,
        text=True,
    )
    said: list[list[str]] = [[]]
    for line in done.stdout.splitlines():
        if line:
            said[-1].append(line)
        else:
            said.append([])
    return said[:-1]


def difference(log: Sequence[Record], want: list[list[str]], have: list[list[str]]) -> str:
    """Name the first difference; nothing where there is none."""
    for record, wanted, had in zip(log, want, have, strict=True):
        if wanted != had:
            return f"of {record} comes {had} and not {wanted}"
    return ""


def _text(key: bytes, value: bytes | None) -> str:
    return f"{_base64(key)} {_base64(value)}"


def _base64(data: bytes | None) -> str:
    return "-" if data is None else b64encode(data).decode()


if __name__ == "__main__":
    main()
