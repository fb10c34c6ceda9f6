"""Rows of the workers: killed, frozen, added, taken away, and crashing while they recover."""

from __future__ import annotations

import time

from processor.localkafka import LocalKafka
from tests.crash.campaign import Campaign, Plan
from tests.faults.rows import Row
from tests.faults.stage import Stage, ask_the_product, under_load
from tests.faults.stall import StallWatch

_EVERY_SECONDS = 10.0


def _campaign(
    stage: Stage, *, events: int, kills: int = 0, freezes: int = 0, rounds: int = 0
) -> None:
    """Let the campaign of `make crash` play: three workers, twelve partitions."""
    plan = Plan(
        seed=stage.result.seed,
        events=events,
        kills=kills,
        freezes=freezes,
        rounds_of_fail_points=rounds,
        per_second=150,
        studios=60,
    )
    with LocalKafka() as kafka:
        servers = kafka.bootstrap_servers
        campaign = Campaign(servers, stage.prefix, stage.directory, plan, stage.say)
        watch = StallWatch(campaign.fleet.view)
        watch.start()
        report = campaign.run()
        result = stage.result
        result.longest_stall_seconds = watch.finish()
        result.problems += report.verdict.problems
        result.deaths = dict(report.deaths)
        result.inputs, result.transactions = report.verdict.inputs, report.verdict.transactions
        result.halts, result.rejected = report.verdict.halts.total(), report.malformed
        ask_the_product(stage, servers, stage.prefix)
        stage.counts.update({"kill -9 of a random worker": kills} if kills else {})
        stage.counts.update(
            {"SIGSTOP until others had its work, SIGCONT": freezes} if freezes else {}
        )
        stage.counts.update({"kill at each of ten named points": rounds} if rounds else {})
        if report.zombies:
            stage.note(f"What the frozen did when they woke up: {dict(report.zombies)}.")


def _kills(stage: Stage) -> None:
    _campaign(stage, events=stage.times(8_000, 2_000), kills=stage.times(100, 10))


def _points(stage: Stage) -> None:
    _campaign(stage, events=stage.times(6_000, 2_000), rounds=stage.times(5, 1))


def _freezes(stage: Stage) -> None:
    _campaign(stage, events=stage.times(5_000, 1_500), freezes=stage.times(10, 2))


def _come_and_go(stage: Stage) -> None:
    """Every ten seconds somebody comes, goes or is killed; at most two workers more than partitions."""
    partitions, most = 4, 6
    with (
        LocalKafka() as kafka,
        under_load(stage, kafka.bootstrap_servers, partitions=partitions) as act,
    ):
        fleet, guests, number = act.fleet, list[str](), 0
        for turn in range(stage.times(60, 4)):
            until = time.monotonic() + _EVERY_SECONDS
            if turn % 3 == 2:
                fleet.kill(stage.chance.choice(["w0", "w1"]))
                stage.did("kill -9 and start again")
            elif len(guests) + 2 < most and (not guests or stage.chance.random() < 0.6):
                number += 1
                guests.append(f"guest{number}")
                fleet.start(guests[-1], static=False)
                stage.did(f"a worker was added, {len(guests) + 2} for {partitions} partitions")
            else:
                fleet.leave(guests.pop(0))
                stage.did("a worker was ended with SIGTERM")
            fleet.wait(lambda at=until: time.monotonic() > at, "time")  # type: ignore[misc]
        act.catch_up()


ROWS = [
    Row("kill", "kill -9 of random workers under load, 3 workers, 12 partitions", _kills),
    Row("points", "Kill at each named point of commit, recovery and rebalance", _points),
    Row("freeze", "SIGSTOP beyond the session time-out, then SIGCONT, with pending work", _freezes),
    Row(
        "come-and-go",
        "Workers added, ended and killed every 10 s, also more than partitions",
        _come_and_go,
    ),
]
