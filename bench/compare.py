"""Set orderhalt beside its peers: the same log, the same broker, one core for each system in turn.

    python -m bench.compare [--campaign NAME] [--runs 5] [--systems orderhalt,raw,…]
                            [--modes drain,half,fixed] [--open-runs 3] [knobs of the workload]

`drain`: the log is there, and the rate is taken over its middle 80 %. `half`: records come at half the
system's own median drain rate, and latency is taken from when each was meant to be sent. `fixed`: the
same at the rates that a system names. Runs are interleaved: each round takes every system once.

Results go to bench/results/NAME.json after every run; the same command goes on where it was stopped.
Outputs are checked at the end, on all cores; a wrong one makes its run invalid, and so do others who
used the machine, and a saturated broker.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from bench import workload
from bench.results import RESULTS, Campaign, medians, table
from bench.runs import Runs, Step, check
from bench.stage import Stage
from bench.systems import ROOT, System, find

_OUTPUTS: Final = ROOT / "build" / "bench-outputs"
_HALF: Final = 0.5


def main() -> None:
    """Run what is not yet in the campaign, check it, and print the table."""
    parser = _parser()
    arguments = parser.parse_args()
    found = find()
    names = arguments.systems.split(",") if arguments.systems else list(found)
    unknown = [name for name in names if name not in found]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(found)}")
    systems = []
    for name in names:
        if fault := found[name].missing():
            print(f"{name} is left out: {fault}", file=sys.stderr)  # noqa: T201 - a command
        else:
            systems.append(found[name])
    settings = workload.from_arguments(arguments)
    path = RESULTS / f"{arguments.campaign}.json"
    if arguments.fresh:
        path.unlink(missing_ok=True)
    campaign = Campaign.go_on(path, settings, vars(arguments))
    steps = [step for step in plan(systems, arguments) if not campaign.has(step.key)]
    outputs = _OUTPUTS / arguments.campaign
    if steps:
        with Stage(arguments.partitions, arguments.interval_ms) as stage:
            _run(Runs(stage, settings, outputs, real_year=arguments.real_year), campaign, steps)
    check(campaign, outputs)
    print(table(campaign, found))  # noqa: T201 - this is what it is for
    if any(run.get("fault") for run in campaign.runs.values()):
        sys.exit("Outputs were wrong, or systems did not get to the end: see the table.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--campaign", default=time.strftime("%Y-%m-%d", time.gmtime()))
    parser.add_argument("--fresh", action="store_true", help="forget what this campaign has")
    parser.add_argument(
        "--real-year", action="store_true", help="drain the events of a real shop's year instead"
    )
    parser.add_argument("--runs", type=int, default=5, help="of each system drained")
    parser.add_argument("--open-runs", type=int, default=3, help="of each system at a fixed rate")
    parser.add_argument("--systems", default="", help="default: all that are built")
    parser.add_argument("--modes", default="drain,half,fixed")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--interval-ms", type=int, default=100)
    workload.add_arguments(parser)
    return parser


def plan(systems: Sequence[System], arguments: argparse.Namespace) -> Iterator[Step]:
    """Give the runs in their order: by round, and in a round logs of one length together."""
    modes = arguments.modes.split(",")
    by_length = sorted(systems, key=lambda system: -(system.events or arguments.events))
    for number in range(1, arguments.runs + 1):
        if "drain" in modes:
            yield from (Step(number, system, 0) for system in by_length if not system.rates)
    for number in range(1, arguments.open_runs + 1):
        if "half" in modes:
            yield from (Step(number, system, None) for system in by_length if not system.rates)
        if "fixed" in modes:
            yield from (Step(number, x, rate) for x in by_length for rate in x.rates)


def _run(runs: Runs, campaign: Campaign, steps: Sequence[Step]) -> None:
    runs.prepare(warmup=any(step.system.warms for step in steps))
    for step in steps:
        rate = step.rate
        if rate is None:
            drained = medians(campaign, step.system.name, "drain").get("events_per_second")
            rate = (drained or 0.0) * _HALF
            result = runs.open(step, rate) if rate else {"fault": "it has not been drained"}
        else:
            result = runs.open(step, rate) if rate else runs.drain(step)
        campaign.add(step.key, {"system": step.system.name, "mode": step.mode, **result})
        shown = {name: value for name, value in result.items() if name != "histogram"}
        print(f"{step.key}: {json.dumps(shown)}", file=sys.stderr)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
