"""Rows of releases: one takes over from the other, worker by worker, and gives way to it again."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

from processor.localkafka import LocalKafka
from tests.broker.fleet import Different, Fleet
from tests.faults.rows import Row
from tests.faults.stage import Stage, ask_the_model, under_load
from tests.support.processes import ROOT
from tests.support.releases import DROPPED_CODE, NEXT_RULES, RELEASES

_MODULE = "tests.support.releases"
_WORKERS = ("w0", "w1", "w2")


def _upgrade(stage: Stage) -> None:
    """Replace one worker after the other, kill one now and then; nothing is stopped for it."""

    def prepare(fleet: Fleet) -> None:
        for name in _WORKERS:
            fleet.differently[name] = _of_release("before")

    with (
        LocalKafka() as kafka,
        under_load(
            stage,
            kafka.bootstrap_servers,
            workers=_WORKERS,
            prepare=prepare,
            judged=_judge_turn_about,
        ) as act,
    ):
        fleet = act.fleet
        for turn in range(stage.times(6, 2)):
            release = ("after", "before")[turn % 2]
            for name in stage.chance.sample(_WORKERS, len(_WORKERS)):
                fleet.differently[name] = _of_release(release)
                fleet.leave(name)
                fleet.start(name)
                if stage.chance.random() < 0.3:
                    fleet.kill(stage.chance.choice(_WORKERS))
                fleet.wait(partial(_is_ready, fleet, name), f"{name} to be back")
                act.catch_up()
            stage.did(
                "rolling upgrade to other rules and rows"
                if release == "after"
                else "rolled back again"
            )


def _of_release(name: str) -> Different:
    return Different(module=_MODULE, options=(name,))


def _is_ready(fleet: Fleet, name: str) -> bool:
    return fleet.owned(name) is not None


def _judge_turn_about(stage: Stage, fleet: Fleet, sent: int) -> None:
    """Ask the model under the rules of each transaction, and each release of its own transactions."""
    ask_the_model(stage, fleet, sent, {NEXT_RULES: frozenset({DROPPED_CODE})})
    halts = [x for found in fleet.view.gather().halted.values() for x in found]
    by_rules = sum(b'"caused_by":{"rules":' in (x.value or b"") for x in halts)
    stage.note(f"{by_rules} of {len(halts)} records of order-halted are caused by other rules.")
    if not by_rules:
        stage.result.problems.append("no order was seen otherwise by the other rules")
    snapshot: Path | None = None
    for number, release in enumerate(cycle(RELEASES), 1):
        written = stage.directory / f"{number}.snapshot"
        verdict = _verify_as(stage, fleet, release, snapshot, written)
        if not verdict["clean"]:
            stage.result.problems.append(f"orderhalt verify of release {release}: {verdict}")
            return
        if all(x["next_rules"] is None for x in verdict["partitions"]):
            stage.note(f"`orderhalt verify` judged it in {number} turns, release after release.")
            return
        snapshot = written


def _verify_as(
    stage: Stage, fleet: Fleet, release: str, snapshot: Path | None, written: Path
) -> dict[str, Any]:
    arguments = ["--bootstrap-servers", fleet.view.servers, "--topic-prefix", stage.prefix]
    arguments += ["--json", "--write-snapshot", str(written)]
    arguments += [] if snapshot is None else ["--snapshot", str(snapshot)]
    verified = subprocess.run(
        [sys.executable, "-m", _MODULE, release, "verify", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if not verified.stdout.strip():
        return {"clean": False, "said": verified.stderr[-1500:]}
    found: dict[str, Any] = json.loads(verified.stdout)
    return found


ROWS = [Row("upgrade", "Rolling upgrade to other rules and rows, and back", _upgrade)]
