"""Set orderhalt beside its peers: the same log, the same broker, one core for each system in turn.

    python -m bench.compare [--campaign NAME] [--runs 5] [--systems orderhalt,raw,…]
                            [--modes drain,half,fixed] [--events N] [knobs of the workload]

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
import os
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import checks, workload
from bench.openloop import Generator, Reader
from bench.results import RESULTS, Campaign, medians, table
from bench.stage import WARMUP_PREFIX, Log, Stage
from bench.systems import ROOT, System, find
from bench.watch import Watch, between, over_middle, peak_mib
from bench.workload import Workload
from schemas import topics

_OUTPUTS: Final = ROOT / "build" / "bench-outputs"
_WARMUP_EVENTS: Final = 400_000
_BROKER_WARMUP_EVENTS: Final = 200_000
_DRAINED_WITHIN_SECONDS: Final = 150.0
_OPEN_SECONDS: Final = 14.0
#: Of an open loop, what is not measured at its beginning.
_SETTLING_SECONDS: Final = 4.0
_HALF: Final = 0.5


@dataclass(frozen=True)
class Step:
    """One run: `rate` 0 is a drain, None half of what the system drained."""

    round: int
    system: System
    rate: float | None

    @property
    def key(self) -> str:
        """Names the run in its campaign."""
        return f"{self.system.name} {self.mode} {self.round}"

    @property
    def mode(self) -> str:
        """What it is called in tables."""
        if self.rate is None:
            return "half"
        return f"{self.rate:g}" if self.rate else "drain"


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
    campaign = Campaign(RESULTS / f"{arguments.campaign}.json", settings, vars(arguments))
    steps = [step for step in plan(systems, arguments) if not campaign.has(step.key)]
    if steps:
        with Stage(arguments.partitions, arguments.interval_ms) as stage:
            _run(stage, campaign, steps, settings)
    check(campaign, settings, arguments.partitions)
    print(table(campaign, found))  # noqa: T201 - this is what it is for
    if any(run.get("fault") for run in campaign.runs.values()):
        sys.exit("Outputs were wrong, or systems did not get to the end: see the table.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--campaign", default=time.strftime("%Y-%m-%d", time.gmtime()))
    parser.add_argument("--runs", type=int, default=5)
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
    for number in range(1, arguments.runs + 1):
        if "half" in modes:
            yield from (Step(number, system, None) for system in by_length if not system.rates)
        if "fixed" in modes:
            yield from (Step(number, x, rate) for x in by_length for rate in x.rates)


# ---- runs


def _run(stage: Stage, campaign: Campaign, steps: Sequence[Step], settings: Workload) -> None:
    logs: dict[int, Log] = {}
    loaded: int | None = None
    _warm_broker(stage, settings)
    for step in steps:
        events = step.system.events or settings.events
        if step.rate == 0:
            if loaded != events:
                logs.setdefault(events, _log(settings, events, stage.partitions))
                stage.clear(inputs=True)
                stage.load(logs[events].records)
                if any(x.system.warms for x in steps):
                    _load_warmup(stage, settings)
                loaded = events
            else:
                stage.clear(inputs=False)
            result = _drain(stage, step, logs[events])
        else:
            loaded = None
            stage.clear(inputs=True)
            if step.system.warms:
                _load_warmup(stage, settings)
            rate = step.rate or _half_of_drain(campaign, step.system)
            result = _open(stage, step, settings, rate) if rate else {"fault": "it did not drain"}
        campaign.add(step.key, {"system": step.system.name, "mode": step.mode, **result})
        shown = {k: v for k, v in result.items() if k not in ("histogram", "progress")}
        print(f"{step.key}: {json.dumps(shown)}", file=sys.stderr)  # noqa: T201 - a command


def _log(settings: Workload, events: int, partitions: int) -> Log:
    """Make a log of this length; a shorter one has fewer orders in flight, to be more than these."""
    in_flight = min(settings.orders_in_flight, events // 8)
    shorter = replace(settings, events=events, orders_in_flight=in_flight)
    return Log.of(workload.generate(shorter), partitions)


def _warm_broker(stage: Stage, settings: Workload) -> None:
    """Let the plain loop drain a log of which nothing is kept."""
    stage.clear(inputs=True)
    log = _log(replace(settings, seed=settings.seed + 1), _BROKER_WARMUP_EVENTS, stage.partitions)
    stage.load(log.records)
    _drain(stage, Step(0, find()["raw"], 0), log)


def _load_warmup(stage: Stage, settings: Workload) -> None:
    other = replace(settings, seed=settings.seed + 2, events=_WARMUP_EVENTS)
    stage.load(_log(other, _WARMUP_EVENTS, stage.partitions).records, WARMUP_PREFIX)


def _drain(stage: Stage, step: Step, log: Log) -> dict[str, Any]:
    running = stage.start(step.system)
    watch = Watch(stage, running, log)
    watch.start()
    finished = watch.wait(_DRAINED_WITHIN_SECONDS)
    watch.stop()
    running.end()
    if not finished:
        done = f"{watch.done:,} of {watch.total:,} records"
        return {"fault": f"it took {done}. The end of its log:\n{running.last_words()}"}
    _keep_output(stage, step, len(log.records))
    return {"events": watch.total, **over_middle(watch.looks, watch.total)}


def _half_of_drain(campaign: Campaign, system: System) -> float:
    return medians(campaign, system.name, "drain").get("events_per_second", 0.0) * _HALF


def _open(stage: Stage, step: Step, settings: Workload, rate: float) -> dict[str, Any]:
    beginning = settings.studios + settings.orders_in_flight
    events = beginning + int(rate * _OPEN_SECONDS)
    log = Log.of(workload.generate(replace(settings, events=events)), stage.partitions)
    generator = Generator(stage.servers, log.records[beginning:], rate)
    stage.load(log.records[:beginning])
    running = stage.start(step.system)
    watch, reader = Watch(stage, running, log), Reader(stage)
    watch.start()
    reader.start()
    try:
        if not watch.wait(_DRAINED_WITHIN_SECONDS, beginning):
            return {"fault": f"it did not begin. The end of its log:\n{running.last_words()}"}
        begun = generator.begin()
        late_ms = generator.finish(_OPEN_SECONDS * 3)
        sent = time.monotonic()
        finished = watch.wait(30.0)
    finally:
        watch.stop()
        running.end()
        reader.stop()
    if not finished:
        return {"fault": f"it took {watch.done:,} of {watch.total:,} records", "rate": round(rate)}
    _keep_output(stage, step, events)
    since = begun + _SETTLING_SECONDS
    due = {x[:3]: begun + n / rate for n, x in enumerate(log.records[beginning:])}
    looks = [look for look in watch.looks if since <= look.at <= sent]
    return {
        "events": events,
        "rate": round(rate),
        **between(looks[0], looks[-1]),
        "rss_peak_mib": peak_mib(watch.looks),
        "behind_at_the_end_seconds": round(watch.looks[-1].at - sent, 2),
        "generator_late_max_ms": late_ms,
        **reader.latencies(due, since),
    }


# ---- checks


def _keep_output(stage: Stage, step: Step, events: int) -> None:
    """Put by what is to be checked when no measurement is disturbed by it."""
    if step.round == 0:
        return
    kept = {
        "events": events,
        "open": step.rate != 0,
        "output": stage.read(topics.ORDER_HALTED.name),
        "journal": stage.read(topics.JOURNAL.name) if step.system.journal else None,
        "guarantee": step.system.guarantee,
        "partitions_by_order": step.system.partitions_by_order,
    }
    _OUTPUTS.mkdir(parents=True, exist_ok=True)
    (_OUTPUTS / f"{step.key}.pickle").write_bytes(pickle.dumps(kept))


def check(campaign: Campaign, settings: Workload, partitions: int) -> None:
    """Check the outputs that have not been."""
    keys = [key for key in campaign.runs if (_OUTPUTS / f"{key}.pickle").exists()]
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with ProcessPoolExecutor() as pool:
        paths = [_OUTPUTS / f"{key}.pickle" for key in keys]
        jobs = [pool.submit(_check, path, settings, partitions) for path in paths]
        for key, path, job in zip(keys, paths, jobs, strict=True):
            run = campaign.runs[key]
            fault = job.result()
            campaign.add(key, run | ({"fault": fault} if fault else {"output": "right"}))
            path.unlink()


def _check(path: Path, settings: Workload, partitions: int) -> str:
    kept = pickle.loads(path.read_bytes())  # noqa: S301 - our own
    if kept["open"]:
        records = workload.generate(replace(settings, events=kept["events"]))
        log = Log.of(records, partitions)
    else:
        log = _log(settings, kept["events"], partitions)
    if kept["journal"] is not None:
        return checks.replayed(log, kept["output"], kept["journal"])
    return checks.ended_well(
        log,
        kept["output"],
        kept["guarantee"],
        partitions_by_order=kept["partitions_by_order"],
    )


if __name__ == "__main__":
    main()
