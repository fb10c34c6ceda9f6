"""Run many seeds, on all cores, and say what came of them."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from tests.simulation import bugs, report, scenario
from tests.simulation.report import Tally
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
    # What a killed process leaves behind is dropped in the middle, and Python says so.
    sys.unraisablehook = lambda _: None
    warnings.simplefilter("ignore", RuntimeWarning)
    gc.disable()


def run_chunk(job: tuple[list[int], str | None]) -> list[Outcome]:
    """Run some seeds in this process."""
    seeds, bug = job
    prepare()
    outcomes = [run_seed(seed, bug=bug) for seed in seeds]
    gc.collect()
    return outcomes


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
        # Waited for, so that the processor time they took is known.
        pool.close()
        pool.join()


def main(parser: argparse.ArgumentParser) -> int:
    """Run what the command line says."""
    parser.description = __doc__
    parser.epilog = "Example: python -m tests.simulation --seeds 10000"
    parser.add_argument("--seed", type=int, help="run one seed, and tell what happens in it")
    parser.add_argument("--seeds", type=int, default=1_000, help="run so many (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="… from this one on")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--bug", choices=[*bugs.BUGS, *bugs.HARMLESS], help="plant this mistake first"
    )
    parser.add_argument(
        "--bugs", action="store_true", help="plant each mistake in turn; each must be found"
    )
    parser.add_argument("--report", type=Path, help="put the result into this page")
    options = parser.parse_args()
    if options.bugs:
        return _find_bugs()
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


def _find_bugs() -> int:
    """Plant each bug, run its seeds until it is found, and run the same seeds without it."""
    prepare()
    clean: dict[int, bool] = {}
    failed = 0
    for name, bug in bugs.BUGS.items():
        run = 0
        found = None
        for seed in bug.seeds:
            run += 1
            if run_seed(seed, bug=name).problems:
                found = seed
                break
        seeds = bug.seeds[:run]
        for seed in seeds:
            if seed not in clean:
                clean[seed] = not run_seed(seed).problems
        without = all(clean[seed] for seed in seeds)
        ok = found is not None and without
        failed += not ok
        print(
            f"{name}: {'NOT FOUND' if found is None else f'found by seed {found}'}, seeds "
            f"{seeds[0]} to {seeds[-1]}; without it {'clean' if without else 'NOT CLEAN'}"
        )
        sys.stdout.flush()
        gc.collect()
    return 1 if failed else 0


def _run_campaign(options: argparse.Namespace) -> int:
    started = told = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    tally = Tally()
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
    result = report.table(tally, seeds, options.processes, seconds)
    print(result)
    if options.report is not None:
        report.put_into(options.report, result)
    return 1 if tally.failed else 0
