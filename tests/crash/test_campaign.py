"""The campaign in short: every fail point once, kills, and a zombie; `make crash` is the long one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from processor.runtime.failpoints import POINTS
from tests.crash.campaign import Campaign, Plan

pytestmark = pytest.mark.slow


def test_a_short_campaign(kafka: Any, topic_prefix: str, tmp_path: Path) -> None:
    plan = Plan(
        seed=1,
        events=5_000,
        partitions=6,
        kills=3,
        freezes=1,
        rounds_of_fail_points=1,
        per_second=600,
    )
    said: list[str] = []
    campaign = Campaign(kafka.bootstrap_servers, topic_prefix, tmp_path, plan, said.append)
    report = campaign.run()
    assert report.verdict.problems == [], "\n".join([*said, campaign.fleet.log_tails()])
    assert {f"fail point {point}" for point in POINTS} <= report.deaths.keys()
    assert report.zombies.total() == 1
    assert report.verdict.halts["opened"] > 100
    assert report.malformed > plan.events / 200
