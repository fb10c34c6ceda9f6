"""Keep what rows came to, and write the table of them."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

from tests.faults.catalogue import ROWS
from tests.faults.rows import Row
from tests.faults.stage import Result

_HEAD = """\
# What was broken on purpose

Made by `make faults` (`python -m tests.faults --report docs/faults.md`); each row says when it ran.

Workers of the processor apply simulated events, one in a hundred malformed, from a real Apache Kafka
while the fault of the row is done to them, to the broker or to what lies between. Then everything may be
applied, and two judges read all topics. The [independent verifier](crash.md): every input offset once in
the journal, order-halted and orderhalt-rejected exactly what the brute-force model makes of the inputs,
lag 0. And [`orderhalt verify`](verifying.md): the same, and changelogs and positions, by the workers' own
rules. A row passes when neither finds anything; notes say where one alone has judged. *Longest stall*: for
how long a partition with unread inputs made no progress, to a quarter of a second, restarts of workers and
brokers included. The machine had two cores, and other work at the same time (load average 8 to 24 in the
long rows): stalls include what that cost. `late-end-unguarded` is there to show
that the campaign can say no.

"""


def keep(result: Result, directory: Path) -> None:
    """Keep a result; it takes the place of the row's last one."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{result.row}.json"
    path.write_text(json.dumps(dataclasses.asdict(result), indent=1))


def report(directory: Path) -> str:
    """Write all that is kept, as Markdown, in the order of the campaign."""
    lines = [_HEAD + _where(), "", "| fault | done | records | verdict | longest stall |"]
    lines.append("|---|---|---|---|---|")
    notes = []
    for row in ROWS:
        path = directory / f"{row.name}.json"
        if not path.exists():
            lines.append(f"| {row.fault} (`{row.name}`) | | | **not run** | |")
            continue
        result = _result(path)
        lines.append(_line(row, result))
        notes += _notes(row, result)
    return "\n".join([*lines, "", *notes])


def _result(path: Path) -> Result:
    return Result(**json.loads(path.read_text()))


def _line(row: Row, result: Result) -> str:
    if result.not_run:
        return f"| {row.fault} (`{row.name}`) | | | **not run here**: {result.not_run} | |"
    verdict = "**failed**" if result.problems else "clean"
    return (
        f"| {row.fault} (`{row.name}`) | {'; '.join(result.done)} | {result.inputs:,} "
        f"| {verdict} | {result.longest_stall_seconds:.1f} s |"
    )


def _notes(row: Row, result: Result) -> list[str]:
    deaths = ", ".join(f"{kind} {times}" for kind, times in sorted(result.deaths.items()))
    size = "the quick version" if result.quick else "the whole row"
    lines = [
        f"## {row.name}",
        "",
        f"{result.when}, {size}, seed {result.seed}, {result.seconds:.0f} s.",
    ]
    if result.inputs:
        lines[-1] += (
            f" {result.transactions:,} transactions, {result.halts:,} records of order-halted, "
            f"{result.rejected:,} rejected. Ends of workers: {deaths}."
        )
    lines += [f"- {note}" for note in result.notes]
    lines += [f"- **Problem:** {problem}" for problem in result.problems]
    return [*lines, ""]


def _where() -> str:
    packages = ("orderhalt", "faust-streaming", "aiokafka", "confluent-kafka")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
    return f"Machine: {machine} (shared with other work). Python {platform.python_version()}, {versions}, Apache Kafka 4.3.1."
