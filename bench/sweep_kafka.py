"""Move partitions, commit interval or the number of workers: what do they cost through Kafka?

    python -m bench.sweep_kafka [--only partitions,interval,workers] [--events N]

Each point drains the same log on one core, as `bench.compare` does, with its checks. Two workers share
that core: what is to be seen is what sharing costs, not what a second core would give. Results go to
bench/results/kafka-sweep.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from typing import Any, Final, NamedTuple

from bench import checks
from bench.machine import description
from bench.results import RESULTS
from bench.runs import make_log
from bench.stage import Stage
from bench.systems import find
from bench.watch import Watch, over_middle
from bench.workload import Workload
from schemas import topics

_DRAINED_WITHIN_SECONDS: Final = 120.0


class Point(NamedTuple):
    """What one run has."""

    partitions: int = 4
    interval_ms: int = 100
    workers: int = 1


POINTS: Final = {
    "partitions": [Point(partitions=number) for number in (1, 4, 16, 64)],
    "interval": [Point(interval_ms=interval) for interval in (20, 50, 100, 300, 1_000)],
    "workers": [Point(workers=number) for number in (1, 2)],
}


def main() -> None:
    """Measure every point of the sweeps asked for, and keep them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default=",".join(POINTS))
    parser.add_argument("--events", type=int, default=200_000)
    arguments = parser.parse_args()
    settings = Workload(events=arguments.events, orders_in_flight=arguments.events // 20)
    path = RESULTS / "kafka-sweep.json"
    found: dict[str, Any] = json.loads(path.read_text())["sweeps"] if path.exists() else {}
    for name in arguments.only.split(","):
        found[name] = []
        for point in POINTS[name]:
            measured = {**point._asdict(), **measure(point, settings)}
            found[name].append(measured)
            print(json.dumps(measured))  # noqa: T201 - a command
            path.parent.mkdir(exist_ok=True)
            whole = {"machine": description(), "events": arguments.events, "sweeps": found}
            path.write_text(json.dumps(whole, indent=1) + "\n")
    if any("fault" in each for name in arguments.only.split(",") for each in found[name]):
        sys.exit("An output was wrong, or workers did not get to the end.")


def measure(point: Point, settings: Workload) -> dict[str, Any]:
    """Drain one log; the broker is a new one, warm from loading it."""
    log = make_log(settings, point.partitions)
    system = replace(find()["orderhalt"], environment={"ORDERHALT_ADMIN_PORT": "0"})
    with Stage(point.partitions, point.interval_ms) as stage:
        stage.clear(inputs=True)
        stage.load(log.records)
        first = stage.start(system)
        workers = [first]
        workers += [stage.start(system, first.group) for _ in range(point.workers - 1)]
        watch = Watch(stage, first, log, [worker.pid for worker in workers[1:]])
        watch.start()
        finished = watch.wait(_DRAINED_WITHIN_SECONDS)
        watch.stop()
        for worker in workers:
            worker.end()
        if not finished:
            return {"fault": f"{watch.done:,} of {watch.total:,} records. {first.last_words()}"}
        output = stage.read(topics.ORDER_HALTED.name)
        fault = checks.replayed(log, output, stage.read(topics.JOURNAL.name))
    return over_middle(watch.looks, watch.total) | ({"fault": fault} if fault else {})


if __name__ == "__main__":
    main()
