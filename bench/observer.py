"""What share of a worker's CPU its metrics take: a profile of one that drains a log.

    python -m bench.observer [--events N] [--seconds N]

A share is not moved by whatever else the machine does, as the difference of two rates would be. py-spy
looks at the worker 250 times a second and notes the stack of the thread that holds the interpreter;
a sample counts as metrics where a function of `processor.metrics` or of the rules' report is in it.
Not seen are single statements elsewhere, such as the one that hands a record to the report. The run
counts only if the worker's output is right.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from bench.machine import description
from bench.worker import OTHER_CORE, Log, Worker
from processor import topicadmin
from processor.config import Settings as Deployment
from processor.localkafka import LocalKafka
from processor.simulator import Settings, simulate
from processor.simulator.sender import Sender

_LIMIT_PERCENT = 3.0
_PARTITIONS = 4
_PER_SECOND = 250
_UNTIL_IT_DRAINS_SECONDS = 3.0
#: In a file's path, or in the name of a compiled function.
_METRICS = ("processor/metrics/", "processor/rules/report.py", "CPyDef_report_")


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--seconds", type=int, default=12, help="how long to look")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {OTHER_CORE})
    with LocalKafka(heap_mebibytes=1000) as kafka:
        result = asyncio.run(_measure(arguments, kafka.bootstrap_servers))
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for
    if not result["output_is_right"]:
        sys.exit("The output is wrong: the figures do not count.")
    if result["metrics_percent"] > _LIMIT_PERCENT:
        sys.exit(f"Metrics take more than {_LIMIT_PERCENT} % of the worker's CPU.")


async def _measure(arguments: argparse.Namespace, servers: str) -> dict[str, Any]:
    deployment = Deployment(bootstrap_servers=servers)
    await topicadmin.create(deployment, partitions=_PARTITIONS, replication_factor=1)
    async with Sender(servers) as sender:
        await sender.send(itertools.islice(simulate(Settings(studios=2_000)), arguments.events))
    worker = Worker(servers, deployment.commit_interval_ms, _PARTITIONS)
    await asyncio.sleep(_UNTIL_IT_DRAINS_SECONDS)
    stacks = _look(worker.pid, arguments.seconds)
    finished = worker.wait_until_applied(servers, _PARTITIONS, 300.0)
    worker.end()
    total = sum(stacks.values())
    metrics = _by_function(stacks)
    share = sum(metrics.values()) / total
    return {
        "measured": "metrics in one worker that drains a log, as a share of its CPU",
        **description(),
        "events": arguments.events,
        "samples": total,
        "metrics_percent": round(share * 100, 2),
        "standard_error_percent": round(math.sqrt(share * (1 - share) / total) * 100, 2),
        "limit_percent": _LIMIT_PERCENT,
        "by_function_percent": {
            name: round(count / total * 100, 2) for name, count in metrics.most_common()
        },
        "output_is_right": finished and Log(servers, _PARTITIONS).output_is_right(),
    }


def _look(pid: int, seconds: int) -> dict[str, int]:
    """Give the stacks that were seen, as text, and how often."""
    with tempfile.TemporaryDirectory() as directory:
        found = Path(directory) / "stacks"
        command = ["py-spy", "record", "--pid", str(pid), "--duration", str(seconds)]
        command += ["--rate", str(_PER_SECOND), "--native", "--gil", "--format", "raw"]
        command[0] = str(Path(sys.executable).with_name("py-spy"))
        subprocess.run([*command, "--output", str(found)], check=True, capture_output=True)
        lines = [line.rpartition(" ") for line in found.read_text().splitlines()]
    return {stack: int(count) for stack, _, count in lines}


def _by_function(stacks: dict[str, int]) -> Counter[str]:
    """Count the samples in metrics by the innermost function of theirs."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = [frame for frame in stack.split(";") if any(name in frame for name in _METRICS)]
        if frames:
            found[frames[-1].rpartition(":")[0]] += count
    return found


if __name__ == "__main__":
    main()
