"""Run many seeds, on all cores, and say what came of them."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation import bugs, scenario
from tests.simulation.simulation import Outcome, Simulation

_CHUNK = 20


def replay_command(seed: int, bug: str | None = None) -> str:
    """Return the command that runs this seed again, with its trace."""
    planted = f" --bug {bug}" if bug else ""
    return f"python -m tests.simulation --seed {seed}{planted}"


def run_seed(seed: int, *, bug: str | None = None, tracing: bool = False) -> Outcome:
    """Run one seed, with a planted bug or without."""
    return Simulation(scenario.make(seed), bug=bug, tracing=tracing).run()


def prepare() -> None:
    """Let a process run seeds as fast as it can."""
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None
    gc.disable()


def run_chunk(job: tuple[list[int], str | None]) -> list[Outcome]:
    """Run some seeds in this process."""
    seeds, bug = job
    prepare()
    outcomes = [run_seed(seed, bug=bug) for seed in seeds]
    gc.collect()
    return outcomes


@dataclass
class Tally:
    """What came of a campaign."""

    seeds: int = 0
    records: int = 0
    transactions: int = 0
    recoveries: int = 0
    callbacks: int = 0
    virtual_seconds: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.records += outcome.records
        self.transactions += outcome.transactions
        self.recoveries += outcome.recoveries
        self.callbacks += outcome.callbacks
        self.virtual_seconds += outcome.virtual_seconds
        self.deaths.update(outcome.deaths)
        if outcome.problems:
            self.failed.append(outcome)


def run_many(seeds: range, processes: int, bug: str | None = None) -> Iterator[Outcome]:
    """Run seeds in several processes; gives the outcomes in the order of the seeds."""
    jobs = [(list(seeds[at : at + _CHUNK]), bug) for at in range(0, len(seeds), _CHUNK)]
    if processes == 1:
        for job in jobs:
            yield from run_chunk(job)
        return
    with get_context("fork").Pool(processes) as pool:
        for outcomes in pool.imap(run_chunk, jobs):
            yield from outcomes


def main(parser: argparse.ArgumentParser) -> int:
    """Run what the command line says."""
    parser.description = __doc__
    parser.add_argument("--seed", type=int, help="run one seed, and tell what happens in it")
    parser.add_argument("--seeds", type=int, default=1_000, help="run so many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="… from this one on")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bug", choices=[*bugs.BUGS, *bugs.HARMLESS], help="plant this mistake first")
    options = parser.parse_args()
    if options.seed is not None:
        return _tell_one(options.seed, options.bug)
    return _run_campaign(options)


def _tell_one(seed: int, bug: str | None) -> int:
    prepare()
    outcome = run_seed(seed, bug=bug, tracing=True)
    print("\n".join(outcome.trace))
    for problem in outcome.problems:
        print(f"PROBLEM {problem}")
    print(
        f"seed {seed}: {outcome.records} records, {outcome.transactions} transactions, "
        f"{outcome.recoveries} recoveries, deaths {outcome.deaths}, "
        f"{outcome.virtual_seconds:.1f} s of virtual time, {outcome.callbacks} callbacks"
    )
    return 1 if outcome.problems else 0


def _run_campaign(options: argparse.Namespace) -> int:
    started = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    tally = Tally()
    told = started
    for outcome in run_many(seeds, options.processes, options.bug):
        tally.add(outcome)
        if outcome.problems:
            print(f"FAILED {replay_command(outcome.seed, options.bug)}")
            for problem in outcome.problems[:3]:
                print(f"  {problem[:400]}")
            sys.stdout.flush()
        if time.monotonic() > told + 5:
            told = time.monotonic()
            print(f"{told - started:5.0f} s  {tally.seeds} of {len(seeds)} seeds", file=sys.stderr)
    seconds = time.monotonic() - started
    print(
        f"{tally.seeds} seeds in {seconds:.1f} s: {len(tally.failed)} failed; {tally.records} records, "
        f"{tally.transactions} transactions, {tally.recoveries} recoveries, "
        f"{tally.virtual_seconds:.0f} s of virtual time, {tally.callbacks} callbacks"
    )
    print(", ".join(f"{kind}: {count}" for kind, count in tally.deaths.most_common()))
    return 1 if tally.failed else 0
