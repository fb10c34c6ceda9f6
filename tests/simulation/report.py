"""Say in a table what came of a campaign, on which machine, with which versions."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.simulation.simulation import Outcome

_BEGIN: Final = "<!-- the result, put here by `python -m tests.simulation --report` -->"
_END: Final = "<!-- end of the result -->"


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


def table(tally: Tally, seeds: range, processes: int, seconds: float) -> str:
    """Make the table of a campaign."""
    packages = ("faust-streaming", "aiokafka", "msgspec")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    rows = [
        ("command", f"`python -m tests.simulation {_arguments()}`"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"),
        ("versions", f"Python {platform.python_version()}, {versions}"),
        ("seeds", f"{seeds.start} to {seeds.stop - 1}, in {processes} processes"),
        ("time", f"{seconds:.1f} s, for {tally.virtual_seconds:,.0f} s of virtual time"),
        ("processor time", f"{_processor_seconds():.1f} s"),
        ("callbacks run", f"{tally.callbacks:,}"),
        ("input records", f"{tally.records:,}"),
        ("transactions that workers saw through", f"{tally.transactions:,}"),
        ("recoveries of a partition", f"{tally.recoveries:,}"),
        *((f"workers {kind}", f"{count:,}") for kind, count in tally.deaths.most_common()),
        ("**failed**", f"**{len(tally.failed)}** of {tally.seeds:,} seeds"),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join(lines)


def _processor_seconds() -> float:
    """Return what this process and those that it started and saw end have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _arguments() -> str:
    arguments = list(sys.argv[1:])
    if "--report" in arguments:
        at = arguments.index("--report")
        del arguments[at : at + 2]
    return " ".join(arguments)


def put_into(page: Path, result: str) -> None:
    """Replace the result that stands in a page."""
    text = page.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n{result}\n{_END}{after}")
