"""A campaign's results: one JSON file, written anew after every run."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bench.machine import description
from bench.systems import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.systems import System
    from bench.workload import Workload

RESULTS: Final = ROOT / "bench" / "results"
#: What a table takes the median of.
_FIGURES: Final = (
    "events_per_second", "cpu_us_per_event", "rss_peak_mib", "broker_cpu_us_per_event",
    "broker_bytes_per_event", "broker_calls_per_event", "other_core_busy", "rate",
)  # fmt: skip


class Campaign:
    """Runs by their key, and what they have in common."""

    def __init__(
        self, path: Path, head: dict[str, Any], machine: dict[str, Any], runs: dict[str, Any]
    ) -> None:
        self.path = path
        self.head = head
        self.machine = machine
        self.runs: dict[str, dict[str, Any]] = runs

    @classmethod
    def go_on(cls, path: Path, workload: Workload, arguments: Mapping[str, Any]) -> Self:
        """Begin a campaign, or go on with it where it has the same settings."""
        head = {
            "workload": workload.describe() | {"events": workload.events},
            "partitions": arguments["partitions"],
            "commit_interval_ms": arguments["interval_ms"],
            "real_year": arguments["real_year"],
        }
        if not path.exists():
            return cls(path, head, description(), {})
        found = cls.read(path)
        if found.head != head:
            raise SystemExit(
                f"{path} was made with other settings: {found.head}, and not {head}. Give this "
                "campaign another name with --campaign, or go on with the settings of that one."
            )
        return found

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what a campaign has so far."""
        head = json.loads(path.read_text())
        machine, runs = head.pop("machine"), head.pop("runs")
        return cls(path, head, machine, runs)

    def has(self, key: str) -> bool:
        """Whether this run is done; one with a fault is run again."""
        return key in self.runs and "fault" not in self.runs[key]

    def add(self, key: str, run: dict[str, Any]) -> None:
        """Keep a run."""
        self.runs[key] = run
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"machine": self.machine, **self.head, "runs": self.runs}
        self.path.write_text(json.dumps(whole, indent=1) + "\n")


def valid(run: Mapping[str, Any]) -> bool:
    """Whether a run counts."""
    return not run.get("fault") and not run.get("invalid")


def chosen(campaign: Campaign, system: str, mode: str) -> list[dict[str, Any]]:
    """Give the runs that count; where none does, those whose output is right."""
    runs = [r for r in campaign.runs.values() if (r["system"], r["mode"]) == (system, mode)]
    right = [run for run in runs if not run.get("fault") and "events_per_second" in run]
    return [run for run in right if valid(run)] or right


def medians(campaign: Campaign, system: str, mode: str) -> dict[str, float]:
    """Give the median of each figure over the runs that count."""
    runs = chosen(campaign, system, mode)
    found = {
        figure: statistics.median(run[figure] for run in runs)
        for figure in _FIGURES
        if runs and all(figure in run for run in runs)
    }
    for percentile in ("p50", "p90", "p99", "p99.9", "max"):
        if runs and all("latency_ms" in run for run in runs):
            found[percentile] = statistics.median(run["latency_ms"][percentile] for run in runs)
    return found


def table(campaign: Campaign, systems: Mapping[str, System]) -> str:
    """Write the results as two Markdown tables, with the reason where a run does not count."""
    lines = [
        (
            "| system | events/s: median (least to most) | to the raw loop | CPU µs/event | RSS MiB "
            "| broker: µs, bytes, calls/event | its core | runs that count |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    raw = medians(campaign, "raw", "drain").get("events_per_second")
    names = [name for name in systems if _count(campaign, name)]
    for name in names:
        found = medians(campaign, name, "drain")
        if found:
            lines.append(_drain_line(campaign, systems[name], found, raw))
    lines += [
        "",
        "| system | sent/s | p50 ms | p99 ms | p99.9 ms | max ms | CPU µs/event | runs that count |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in names:
        for mode in _modes(campaign, name):
            found = medians(campaign, name, mode)
            if "p50" in found:
                lines.append(_latency_line(campaign, systems[name], mode, found))
    lines += ["", *_remarks(campaign)]
    return "\n".join(lines)


def _count(campaign: Campaign, name: str) -> int:
    return sum(run["system"] == name for run in campaign.runs.values())


def _modes(campaign: Campaign, name: str) -> list[str]:
    modes = {run["mode"] for run in campaign.runs.values() if run["system"] == name}
    return sorted(modes - {"drain"})


def _counting(campaign: Campaign, name: str, mode: str) -> str:
    runs = [r for r in campaign.runs.values() if (r["system"], r["mode"]) == (name, mode)]
    return f"{sum(valid(run) for run in runs)} of {len(runs)}"


def _drain_line(
    campaign: Campaign, system: System, found: dict[str, float], raw: float | None
) -> str:
    rates = [run["events_per_second"] for run in chosen(campaign, system.name, "drain")]
    ratio = f"{found['events_per_second'] / raw:.2f}" if raw else ""
    return (
        f"| {system.title} | {found['events_per_second']:,.0f} ({min(rates):,} to {max(rates):,}) | {ratio} "
        f"| {found['cpu_us_per_event']:.1f} | {found['rss_peak_mib']:,.0f} "
        f"| {found['broker_cpu_us_per_event']:.1f}, {found['broker_bytes_per_event']:,.0f}, "
        f"{found['broker_calls_per_event']:.3f} | {found['other_core_busy']:.0%} "
        f"| {_counting(campaign, system.name, 'drain')} |"
    )


def _latency_line(campaign: Campaign, system: System, mode: str, found: dict[str, float]) -> str:
    return (
        f"| {system.title} | {found['rate']:,.0f} | {found['p50']:.0f} | {found['p99']:.0f} "
        f"| {found['p99.9']:.0f} | {found['max']:.0f} | {found['cpu_us_per_event']:.1f} "
        f"| {_counting(campaign, system.name, mode)} |"
    )


def _remarks(campaign: Campaign) -> list[str]:
    remarks = []
    for key, run in campaign.runs.items():
        if run.get("fault"):
            remarks.append(f"- {key}: WRONG: {run['fault'][:600]}")
        elif run.get("invalid"):
            remarks.append(f"- {key} does not count: {', '.join(run['invalid'])}")
    return remarks
