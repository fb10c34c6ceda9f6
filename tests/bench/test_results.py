"""Which runs count, in which order they are made, and what a table says of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from bench.compare import plan
from bench.results import Campaign, medians, table
from bench.systems import System, find
from bench.watch import Look, between, over_middle
from bench.workload import Workload

ARGUMENTS = {"partitions": 4, "interval_ms": 100, "real_year": False}
SYSTEM = System("a", "The system A", ("true",))


def run(rate: int, **more: Any) -> dict[str, Any]:
    figures = {"cpu_us_per_event": 20.0, "rss_peak_mib": 100, "broker_cpu_us_per_event": 5.0}
    counted = {"broker_bytes_per_event": 900, "broker_calls_per_event": 0.1, "other_core_busy": 0.5}
    return {
        "system": "a", "mode": "drain", "events_per_second": rate, "invalid": [],
        **figures, **counted, **more,
    }  # fmt: skip


def campaign(path: Path, *runs: dict[str, Any]) -> Campaign:
    made = Campaign.go_on(path / "c.json", Workload(), ARGUMENTS)
    for number, each in enumerate(runs):
        made.add(f"a drain {number}", each)
    return made


def test_only_what_counts_is_in_the_median_and_the_table_says_what_does_not(tmp_path: Path) -> None:
    made = campaign(
        tmp_path, run(100), run(300), run(900, invalid=["others used 50% of a core"]),
        run(1, fault="order x is halted, and nothing says so"),
    )  # fmt: skip
    assert medians(made, "a", "drain")["events_per_second"] == 200
    said = table(made, {"a": SYSTEM})
    assert "| The system A | 200 (100 to 300) |" in said
    assert "| 2 of 4 |" in said
    assert "a drain 2 does not count: others used 50% of a core" in said
    assert "a drain 3: WRONG: order x is halted" in said


def test_a_campaign_goes_on_and_makes_faulty_runs_again(tmp_path: Path) -> None:
    campaign(tmp_path, run(100), run(1, fault="it did not begin"))
    again = Campaign.go_on(tmp_path / "c.json", Workload(), ARGUMENTS)
    assert again.has("a drain 0")
    assert not again.has("a drain 1")
    with pytest.raises(SystemExit, match="other settings"):
        Campaign.go_on(tmp_path / "c.json", Workload(seed=2), ARGUMENTS)


def test_runs_are_interleaved() -> None:
    systems = [System(name, name, ("true",)) for name in "ab"]
    arguments = argparse.Namespace(modes="drain,half", runs=2, open_runs=1, events=10)
    assert [step.key for step in plan(systems, arguments)] == [
        "a drain 1", "b drain 1", "a drain 2", "b drain 2", "a half 1", "b half 1",
    ]  # fmt: skip


def look(at: float, done: int, *, system: float, broker: float, busy: tuple[float, float]) -> Look:
    return Look(at, done, system, broker, 0.0, busy, 0.0, 0, 0, 1 << 20)


def test_what_makes_a_run_not_count() -> None:
    start = look(0, 0, system=0, broker=0, busy=(0, 0))
    quiet = between(start, look(10, 1_000, system=9, broker=5, busy=(9, 5)))
    assert quiet["invalid"] == []
    assert quiet["events_per_second"] == 100
    assert quiet["cpu_us_per_event"] == 9_000
    saturated = between(start, look(10, 1_000, system=9, broker=9.8, busy=(9, 9.8)))
    disturbed = between(start, look(10, 1_000, system=7, broker=5, busy=(9, 5)))
    assert saturated["invalid"] == ["the broker's core was 98% busy"]
    assert disturbed["invalid"] == ["others used 20% of a core"]


def test_a_rate_is_taken_over_the_middle() -> None:
    """A slow start and a slow end are not in it."""
    done = [0, 0, 100, 300, 500, 700, 900, 950, 1_000]
    looks = [look(at, d, system=at, broker=0, busy=(at, 0)) for at, d in enumerate(done)]
    assert over_middle(looks, 1_000)["events_per_second"] == 200


def test_every_system_that_is_described_can_be_read() -> None:
    found = find()
    assert {"orderhalt", "raw", "faust", "quix"} <= set(found)
    assert all(system.leaves_out for name, system in found.items() if not name.startswith("order"))
