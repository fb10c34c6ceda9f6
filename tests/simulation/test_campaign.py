"""Some hundred seeds are clean, every planted bug is found, and a seed is the same run every time.

In processes of their own: only with a fixed hash seed are sets walked in the same order.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.bugs import BUGS
from tests.support.processes import ROOT

SEEDS = 400


def _simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.slow
def test_seeds_are_clean() -> None:
    done = _simulate("--seeds", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"**0** of {SEEDS} seeds" in done.stdout


@pytest.mark.slow
def test_every_planted_bug_is_found_and_the_same_seeds_are_clean_without_it() -> None:
    done = _simulate("--bugs")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(BUGS)
    assert all("found by seed" in line and line.endswith("clean") for line in lines)


def test_a_seed_is_the_same_run_every_time() -> None:
    first, again = _simulate("--seed", "1"), _simulate("--seed", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "recovered partition" in first.stdout
    assert first.stdout == again.stdout


def test_a_failing_seed_says_how_to_run_it_again() -> None:
    done = _simulate("--seeds", "1", "--processes", "1", "--bug", "window_shared")
    assert done.returncode == 1
    command = "python -m tests.simulation --seed 0 --bug window_shared"
    assert f"FAILED {command}" in done.stdout
    again = _simulate(*command.split()[3:])
    assert again.returncode == 1
    assert "PROBLEM partition" in again.stdout
