"""A seeded campaign of deaths against a fleet of workers, while simulated events come in.

Every kind of death of `processor.runtime.failpoints` at least once, kill -9 of random workers, and
workers that sleep beyond the session time-out and wake up as zombies. Then all inputs may be applied,
and `tests.broker.verifier` judges.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from processor.runtime.failpoints import POINTS
from processor.simulator import Settings, simulate
from schemas.halted import DATA_SCHEMA
from tests.broker.fleet import Fleet, Item, Load
from tests.broker.swift import SwiftModel
from tests.broker.verifier import Verdict, verify
from tests.model import partition_of

#: Long past, so that no broker's clock is behind the events; the topics stamp the records anew.
_START_US = 1_577_865_600_000_000
_HEADERS = (("trace", b"\x00\xff"), ("trace", b"again"), ("empty", b""), ("null", None))
#: Passed in a recovery, and in a rebalance; the others are passed in a commit.
_IN_RECOVERY = ("after_fence", "in_load", "before_seek")
_IN_REBALANCE = ("in_revoke", "after_revoke")
_WORKERS = ("w0", "w1", "w2")

Action = tuple[str, Callable[[], object]]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much harm is done, and to how many events."""

    seed: int
    events: int
    partitions: int = 12
    kills: int
    freezes: int
    rounds_of_fail_points: int
    per_second: float
    studios: int = 200


@dataclass
class Report:
    """What a campaign came to."""

    plan: Plan
    verdict: Verdict
    deaths: Counter[str]
    zombies: Counter[str] = field(default_factory=Counter)
    load_seconds: float = 0.0
    verify_seconds: float = 0.0
    malformed: int = 0


def items_of(plan: Plan) -> list[Item]:
    """Give the records of a plan."""
    return list(islice(endless_items(plan), plan.events))


def endless_items(plan: Plan) -> Iterator[Item]:
    """Simulate records, one in a hundred malformed; some have headers."""
    chance = random.Random(f"headers {plan.seed}")
    settings = Settings(
        seed=plan.seed,
        studios=plan.studios,
        events_per_second=1_000,
        orders_in_flight=400,
        start_us=_START_US,
        trouble=4,
        malformed_share=0.01,
        oversized=True,
    )
    for record in simulate(settings):
        home = partition_of(record.key or b"", plan.partitions)
        yield Item(
            record.topic,
            (home + record.partition_shift) % plan.partitions,
            record.timestamp_ms,
            record.key,
            record.value,
            _HEADERS if chance.random() < 0.1 else (),
        )


class Campaign:
    """One campaign; `say` hears of its progress."""

    def __init__(
        self, servers: str, prefix: str, directory: Path, plan: Plan, say: Callable[[str], None]
    ) -> None:
        self.fleet = Fleet(servers, prefix, directory, partitions=plan.partitions)
        self._plan = plan
        self._say = say
        self._chance = random.Random(f"harm {plan.seed}")
        self._zombies: Counter[str] = Counter()

    def run(self) -> Report:
        """Do all harm, let everything be applied, judge; ends all workers."""
        try:
            return self._run()
        finally:
            self.fleet.end()

    def _run(self) -> Report:
        plan, fleet = self._plan, self.fleet
        spare = endless_items(plan)
        items = list(islice(spare, plan.events))
        for name in _WORKERS:
            fleet.start(name)
        started = time.monotonic()
        actions = list(self._actions())
        with fleet.load(items, per_second=plan.per_second, spare=spare) as load:
            fleet.wait(lambda: fleet.view.applied() > 0, "the first commit")
            for number, (what, action) in enumerate(actions):
                load.allowed = len(items) * (number + 1) // len(actions)
                action()
                self._tell(f"{number + 1}/{len(actions)} {what}", load)
        self._say("sending and applying the rest")
        fleet.wait_until_applied()
        load_seconds = time.monotonic() - started
        self._say(f"all applied after {load_seconds:.0f} s; judging")
        started = time.monotonic()
        fleet.stop()
        evidence = fleet.view.gather()
        prefix = evidence.prefix
        model = SwiftModel(prefix, partitions=plan.partitions, dataschema=DATA_SCHEMA)
        verdict = verify(evidence, model)
        if verdict.inputs != load.sent:
            verdict.problems.append(f"{load.sent} records sent, {verdict.inputs} applied")
        return Report(
            plan,
            verdict,
            fleet.deaths,
            self._zombies,
            load_seconds,
            time.monotonic() - started,
            verdict.rejected.total(),
        )

    def _tell(self, what: str, load: Load) -> None:
        applied = self.fleet.view.applied()
        self._say(f"{what}; {load.sent} records sent, {applied} applied")

    # -- what is done

    def _actions(self) -> Iterator[Action]:
        plan = self._plan
        actions: list[Action] = []
        for _ in range(plan.rounds_of_fail_points):
            actions += self._fail_points()
        actions += [self._kill() for _ in range(plan.kills)]
        actions += [self._freeze() for _ in range(plan.freezes)]
        self._chance.shuffle(actions)
        return iter(actions)

    def _fail_points(self) -> Iterator[Action]:
        """Visit every fail point once: those of commits and recoveries by up to three workers at once."""
        points = [point for point in POINTS if point not in _IN_REBALANCE]
        self._chance.shuffle(points)
        for at in range(0, len(points), len(_WORKERS)):
            armed = dict(zip(_WORKERS, points[at : at + len(_WORKERS)], strict=False))
            yield self._die_at(armed)
        yield self._rebalance(dict(zip(self._some(2), _IN_REBALANCE, strict=True)))

    def _die_at(self, points: dict[str, str]) -> Action:
        passes = {
            name: f"{point}@{1 if point in _IN_RECOVERY else self._chance.randint(1, 5)}"
            for name, point in points.items()
        }
        listed = ", ".join(f"{name} at {point}" for name, point in passes.items())
        return f"died: {listed}", lambda: self.fleet.die_at(passes)

    def _rebalance(self, points: dict[str, str]) -> Action:
        """Let a guest join: a rebalance, in which two workers die; later it leaves again."""
        fleet = self.fleet

        def cause() -> None:
            for name in points:
                # Or a rebalance that others have begun has come first, and it is there already.
                fleet.wait(
                    lambda name=name: fleet.owned(name) is not None or not fleet.running(name),  # type: ignore[misc]
                    f"{name} to be at work",
                )
            fleet.start("guest", static=False)

        def action() -> None:
            fleet.die_at({name: f"{point}@1" for name, point in points.items()}, cause)
            fleet.wait(lambda: fleet.owned("guest") is not None, "the guest to get partitions")
            fleet.leave("guest")

        return f"guest came and went; died: {points}", action

    def _kill(self) -> Action:
        """Kill one that works, after some more progress; or, one time in four, whatever it does."""
        [name] = self._some(1)
        records = int(self._chance.random() * self._plan.per_second)
        at_work, fleet = self._chance.random() < 0.75, self.fleet

        def action() -> None:
            wanted = min(fleet.view.applied() + records, sum(fleet.view.ends().values()))
            fleet.wait(lambda: fleet.view.applied() >= wanted, f"{records} records more")
            if at_work:
                fleet.wait(lambda: fleet.owned(name) is not None, f"{name} to be at work")
            fleet.kill(name)

        return f"kill -9 of {name}", action

    def _freeze(self) -> Action:
        [name] = self._some(1)

        def action() -> None:
            self._zombies[self.fleet.freeze(name)] += 1

        return f"SIGSTOP of {name} until its partitions were elsewhere, SIGCONT", action

    def _some(self, count: int) -> list[str]:
        return self._chance.sample(_WORKERS, count)


#: All kinds of malformed records that a simulated world sends through Kafka.
CODES = frozenset(
    {
        "too_large",
        "empty_record",
        "malformed_json",
        "invalid_event",
        "key_mismatch",
        "wrong_partition",
        "too_many_scopes",
    }
)
