"""What a row of the campaign happens on: a fleet under load, somebody who watches, and the judgement."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.broker.fleet import Fleet, Item, Load
from tests.broker.verifier import verify
from tests.crash.campaign import Plan, items_of
from tests.faults.stall import StallWatch
from tests.support.processes import ROOT

#: More than any row sends.
_EVENTS = 30_000
PARTITIONS = 6
_NOTHING: Mapping[int, frozenset[str]] = MappingProxyType({})


@dataclass
class Result:
    """What a row came to; everything in it can be written as JSON."""

    row: str
    seed: int
    quick: bool
    done: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    deaths: dict[str, int] = field(default_factory=dict)
    inputs: int = 0
    transactions: int = 0
    halts: int = 0
    rejected: int = 0
    longest_stall_seconds: float = 0.0
    seconds: float = 0.0
    when: str = ""
    machine: str = platform.machine()
    not_run: str = ""
    """Why it could not be run here."""


@dataclass
class Stage:
    """Where one row plays; `say` hears of its progress."""

    directory: Path
    result: Result
    say: Callable[[str], None]
    prefix: str = "faults-"
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.result.row} {self.result.seed}")

    def times(self, full: int, quick: int) -> int:
        return quick if self.result.quick else full

    def did(self, what: str) -> None:
        """Note one harm; the same words are counted."""
        self.counts[what] += 1
        self.say(what)

    def note(self, what: str) -> None:
        self.result.notes.append(what)
        self.say(what)

    def items(self, events: int = _EVENTS, partitions: int = PARTITIONS) -> list[Item]:
        """Simulate records, one in a hundred malformed."""
        plan = Plan(
            seed=self.result.seed,
            events=events,
            partitions=partitions,
            kills=0,
            freezes=0,
            rounds_of_fail_points=0,
            per_second=0,
            studios=60,
        )
        return items_of(plan)


@dataclass
class Act:
    """A fleet that works under load while harm is done."""

    fleet: Fleet
    load: Load

    def catch_up(self, within: float = 180.0) -> None:
        """Wait until everything that had been sent at this moment is applied."""
        wanted = sum(self.fleet.view.ends().values())
        self.fleet.wait(
            lambda: self.fleet.view.applied() >= wanted, "the backlog to be applied", within=within
        )


@contextmanager
def under_load(
    stage: Stage,
    servers: str,
    *,
    workers: tuple[str, ...] = ("w0", "w1"),
    partitions: int = PARTITIONS,
    per_second: float = 60,
    items: list[Item] | None = None,
    prepare: Callable[[Fleet], None] = lambda _: None,
    judged: Callable[[Stage, Fleet, int], None] | None = None,
    **options: Any,
) -> Iterator[Act]:
    """Start workers, send records while the block runs, let all be applied, and judge.

    `judged`: instead of `judge`.
    """
    fleet = Fleet(servers, stage.prefix, stage.directory, partitions=partitions, **options)
    try:
        prepare(fleet)
        for name in workers:
            fleet.start(name)
        to_the_end = items is not None
        records = items if items is not None else stage.items(partitions=partitions)
        with fleet.load(records, per_second=per_second, to_the_end=to_the_end) as load:
            fleet.wait(lambda: fleet.view.applied() > 0, "the first commit")
            for name in workers:
                fleet.wait(partial(_is_at_work, fleet, name), f"{name} to be at work")
            watch = StallWatch(fleet.view)
            watch.start()
            yield Act(fleet, load)
        fleet.wait_until_applied()
        stage.result.longest_stall_seconds = watch.finish()
        fleet.stop()
        (judged or judge)(stage, fleet, load.sent)
    finally:
        fleet.end()
        stage.result.deaths = dict(fleet.deaths)


def _is_at_work(fleet: Fleet, name: str) -> bool:
    return fleet.owned(name) is not None


def judge(stage: Stage, fleet: Fleet, sent: int) -> None:
    """Ask both who can say whether all is well: the independent verifier, and `orderhalt verify`."""
    started = time.monotonic()
    ask_the_model(stage, fleet, sent)
    ask_the_product(stage, fleet.view.servers, fleet.view.prefix)
    stage.say(f"judged {sent} records in {time.monotonic() - started:.0f} s")
    if stage.result.problems:
        stage.say(fleet.log_tails())


def ask_the_model(
    stage: Stage, fleet: Fleet, sent: int, without: Mapping[int, frozenset[str]] = _NOTHING
) -> None:
    """Compare with what the brute-force model makes of the inputs; `without`: see `verify`."""
    verdict = verify(fleet.view.gather(), without=without)
    result = stage.result
    result.problems += verdict.problems
    if verdict.inputs != sent:
        result.problems.append(f"{sent} records sent, {verdict.inputs} applied")
    result.inputs += verdict.inputs
    result.transactions += verdict.transactions
    result.halts += verdict.halts.total()
    result.rejected += verdict.rejected.total()


def ask_the_product(
    stage: Stage,
    servers: str,
    prefix: str,
    *,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    within: float = 300.0,
) -> None:
    """Run `orderhalt verify` with these options; what it finds is a problem.

    `environment`: the workers' settings.
    """
    arguments = ["--bootstrap-servers", servers, "--topic-prefix", prefix, *options]
    verified = subprocess.run(
        [sys.executable, "-m", "processor.cli", "verify", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=within,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if verified.returncode:
        said = (verified.stdout + verified.stderr)[-1500:]
        stage.result.problems.append(f"orderhalt verify ended with {verified.returncode}: {said}")
