"""Move one size and leave the others: what does an event cost that has nothing to do with it?

    python -m bench.sweep [--only NAME,…] [--events N]

The rules alone, without Kafka: CPU of decoding and applying an event, and of encoding the rows that it
changed, by kind of event, after a beginning that is not measured. Each point has a process of its own.
What an event touches may cost; all else must not, so the lines must be flat. Results go to
bench/results/sweep-rules.json; `python -m bench.plots` draws them.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from bench.machine import description
from bench.results import RESULTS
from bench.workload import Record, Workload, generate
from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, Mark, encode
from schemas.partitioning import join_key
from schemas.topics import ASSET_DELETED

_BASE: Final = Workload(studios=2_000, orders_in_flight=20_000)
_DRAINED_EVERY: Final = 2_000
_TIMESTAMP_MS: Final = 1_767_600_000_000
#: From the first point to the last, the mean of all events may grow by so much: caches miss more often
#: the more there is, though nothing more is done.
_FLAT: Final = 2.0


class Sweep(NamedTuple):
    """One size, what the world is at each value of it, and what stands in it beforehand."""

    what: str
    values: tuple[float, ...]
    workload: Callable[[float], Workload]
    marks: Callable[[float], int] = lambda _: 0
    touches: tuple[str, ...] = ()
    """Topics whose events touch the size: these may cost more."""


SWEEPS: Final = {
    "in-flight": Sweep(
        "orders in flight",
        (10_000, 100_000, 1_000_000),
        lambda value: replace(_BASE, orders_in_flight=int(value)),
    ),
    "marks": Sweep(
        "marks of assets in no order", (0, 100_000, 1_000_000, 10_000_000), lambda _: _BASE, int
    ),
    "orders-per-asset": Sweep(
        "orders that share a photo",
        (1, 10, 100, 1_000, 10_000),
        lambda value: replace(
            _BASE,
            studios=2,
            lines_per_order=1,
            photos_per_line=1,
            photos_per_job=1,
            orders_per_job=int(value),
            tight_share=0.0,
            # Each touches all orders of its photo: enough of them to say what one costs.
            deletion_share=0.001,
        ),
        touches=(ASSET_DELETED.name, "asset-restored"),
    ),
    "hot-studio": Sweep(
        "share of one studio, besides its own",
        (0.0, 0.05, 0.1, 0.2, 0.3),
        lambda value: replace(_BASE, hot_share=value),
    ),
    "at-limit": Sweep(
        "orders in flight of one studio at its limit",
        (10, 100, 1_000, 10_000),
        lambda value: replace(
            _BASE,
            studios=1,
            orders_in_flight=int(value),
            tight_share=1.0,
            balance_share=0.01,
            deletion_share=0.0,
        ),
        touches=("balance-changed",),
    ),
}


def main() -> None:
    """Measure every point of the sweeps asked for, keep them, and say which are not flat."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default=",".join(SWEEPS), help=f"of {', '.join(SWEEPS)}")
    parser.add_argument("--events", type=int, default=40_000, help="measured at each point")
    arguments = parser.parse_args()
    path = RESULTS / "sweep-rules.json"
    found = json.loads(path.read_text())["sweeps"] if path.exists() else {}
    steep = []
    for name in arguments.only.split(","):
        sweep = SWEEPS[name]
        points = [_in_own_process(name, value, arguments.events) for value in sweep.values]
        found[name] = {"what": sweep.what, "touches": sweep.touches, "points": points}
        path.parent.mkdir(exist_ok=True)
        result = {"measured": __doc__.split("\n")[0], "machine": description(), "sweeps": found}
        path.write_text(json.dumps(result, indent=1) + "\n")
        for point in points:
            print(f"{sweep.what}: {json.dumps(point)}")  # noqa: T201 - a command
        growth = points[-1]["untouched_us"] / points[0]["untouched_us"]
        if growth > _FLAT:
            steep.append(f"{sweep.what}: an event that does not touch it costs {growth:.1f} times")
    if steep:
        sys.exit("Not flat.\n" + "\n".join(steep))


def _in_own_process(name: str, value: float, events: int) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured: dict[str, Any] = pool.apply(measure, (name, value, events))
    return measured


def measure(name: str, value: float, events: int) -> dict[str, Any]:
    """Measure one point."""
    sweep = SWEEPS[name]
    gc.disable()
    workload = sweep.workload(value)
    beginning = workload.studios + workload.orders_in_flight
    # As much again before anything is measured: late events have come, jobs are done.
    records = generate(replace(workload, events=beginning + 2 * events))
    machine = Machine(0)
    for row in _marks(sweep.marks(value), workload.studios):
        machine.load("photos", *row)
    offset = 0
    for record in records[: beginning + events]:
        _apply(machine, offset, record)
        offset += 1
    gc.collect()
    gc.freeze()
    return {"value": value, **_measured(machine, offset, records[offset:], sweep.touches)}


def _apply(machine: Machine, offset: int, record: Record) -> int:
    emitted = machine.apply(record.topic, 0, offset, _TIMESTAMP_MS, record.key, record.value)
    if offset % _DRAINED_EVERY == 0:
        machine.drain()
    return len(emitted)


def _marks(count: int, studios: int) -> Iterator[tuple[bytes, bytes]]:
    value = encode(Mark(FORMAT, _TIMESTAMP_MS, _TIMESTAMP_MS * 1000, True, "e", "user-7", None))
    for number in range(count):
        yield join_key(f"studio-{number % studios:05d}", f"old-{number}").encode(), value


def _measured(
    machine: Machine, first: int, records: list[Record], touches: tuple[str, ...]
) -> dict[str, Any]:
    spent: dict[str, list[int]] = defaultdict(list)
    clock = time.thread_time_ns
    emitted = 0
    for offset, record in enumerate(records, first):
        started = clock()
        emitted += _apply(machine, offset, record)
        spent[record.topic].append(clock() - started)
    untouched = [each for topic, all_of in spent.items() if topic not in touches for each in all_of]
    return {
        "untouched_us": round(statistics.mean(untouched) / 1000, 2),
        "by_topic_us": {
            topic: {
                "count": len(all_of),
                "mean": round(statistics.mean(all_of) / 1000, 2),
                "median": round(statistics.median(all_of) / 1000, 2),
                "max": round(max(all_of) / 1000, 1),
            }
            for topic, all_of in sorted(spent.items())
        },
        "emitted": emitted,
    }


if __name__ == "__main__":
    main()
