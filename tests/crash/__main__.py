"""`make crash`: the long campaign, on a Kafka of its own; exit code 1 where the verifier says no.

python -m tests.crash --seed 7 --report docs/crash.md
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from processor.localkafka import LocalKafka
from tests.crash.campaign import CODES, Campaign, Plan, Report

_INTRODUCTION = """\
# What was survived

Made by `make crash` (`{command}`), {when}.

Three workers apply simulated events, one in a hundred of them malformed, from twelve partitions of a
real Kafka, while they are killed with SIGKILL at random moments and at named points inside commits,
recoveries and rebalances (`processor/runtime/failpoints.py`), and put to sleep (SIGSTOP) until others
have taken over their partitions. Afterwards an independent verifier (`tests/broker/verifier.py`) reads
all topics read_committed with librdkafka: every input offset must stand in the journal exactly once, and
the inputs, fed in that order to the brute-force model of the contract (`tests/model`, which shares no
code with the processor), must give exactly what is on `order-halted` and `orderhalt-rejected`: every
key, value and header, in that order, nothing missing, nothing twice; with lag 0.

"""


def main() -> int:
    """Run one campaign and say what came of it."""
    options = _options()
    plan = Plan(
        seed=options.seed,
        events=options.events,
        kills=options.kills,
        freezes=options.freezes,
        rounds_of_fail_points=options.rounds,
        per_second=options.rate,
    )
    started = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - started:6.1f} s  {what}\n")
        sys.stderr.flush()

    with tempfile.TemporaryDirectory(prefix="orderhalt-crash-") as directory, LocalKafka() as kafka:
        say(f"Kafka is ready; seed {plan.seed}, logs in {directory}")
        campaign = Campaign(kafka.bootstrap_servers, "crash-", Path(directory), plan, say)
        report = campaign.run()
        if report.verdict.problems:
            sys.stderr.write(campaign.fleet.log_tails())
    table = _table(report)
    sys.stdout.write(table)
    if options.report is not None:
        head = _INTRODUCTION.format(
            command=f"python -m tests.crash {' '.join(sys.argv[1:])}",
            when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
        options.report.write_text(head + table)
    for problem in report.verdict.problems:
        sys.stderr.write(f"PROBLEM {problem}\n")
    return 1 if report.verdict.problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--freezes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="every fail point so many times")
    parser.add_argument("--rate", type=float, default=700, help="records per second, at most")
    parser.add_argument("--report", type=Path, help="write the result here, as Markdown")
    return parser.parse_args()


def _table(report: Report) -> str:
    verdict, plan = report.verdict, report.plan
    missing = sorted(CODES - verdict.rejected.keys())
    rows = [
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"),
        ("versions", _versions()),
        ("seed", str(plan.seed)),
        ("records sent", f"{plan.events:,} to {plan.partitions} partitions, 3 workers"),
        ("applied after", f"{report.load_seconds:.0f} s"),
        *((f"deaths: {kind}", str(number)) for kind, number in sorted(report.deaths.items())),
        *((f"zombies that {what}", str(number)) for what, number in report.zombies.items()),
        ("input records applied, each once", f"{verdict.inputs:,}"),
        ("transactions in the journal", f"{verdict.transactions:,}"),
        *((f"order-halted: {kind}", f"{n:,}") for kind, n in sorted(verdict.halts.items())),
        *((f"primary reason {code}", f"{n:,}") for code, n in sorted(verdict.reasons.items())),
        *((f"rejected as {code}", f"{n:,}") for code, n in sorted(verdict.rejected.items())),
        *((f"rejected as {code}", "NONE SENT") for code in missing),
        ("judged in", f"{report.verify_seconds:.0f} s"),
        ("**verdict**", "**no**" if verdict.problems else "**exactly what the contract demands**"),
    ]
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    return "\n".join([*lines, ""])


def _versions() -> str:
    packages = ("orderhalt", "faust-streaming", "aiokafka", "confluent-kafka")
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(f"{name} {version(name)}" for name in packages)])


if __name__ == "__main__":
    raise SystemExit(main())
