"""`make faults`: harm a real Kafka and its workers in every way, one row after the other, and judge.

python -m tests.faults --only answer-dropped --only late-end --seed 7 --report docs/faults.md

Results are kept in build/faults, so that rows may be run one at a time; the report has the newest of
each. Exit code 1 where a row has failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.catalogue import ROWS
from tests.faults.report import keep, report
from tests.faults.rows import NotRun, Row
from tests.faults.stage import Result, Stage
from tests.support.processes import ROOT

_RESULTS = ROOT / "build" / "faults"


def main() -> int:
    """Run the rows that were asked for and say what came of them."""
    options = _options()
    rows = [row for row in ROWS if not options.only or row.name in options.only]
    failed = 0
    for row in rows:
        result = run(row, options.seed, quick=options.quick)
        keep(result, _RESULTS)
        failed += bool(result.problems)
    if options.report is not None:
        options.report.write_text(report(_RESULTS))
    return 1 if failed else 0


def run(row: Row, seed: int, *, quick: bool) -> Result:
    """Play one row; whatever goes wrong in it is a problem, and the next row comes."""
    started = time.monotonic()

    def say(what: str) -> None:
        sys.stderr.write(f"{row.name} {time.monotonic() - started:6.1f} s  {what}\n")
        sys.stderr.flush()

    result = Result(row.name, seed, quick, when=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    with tempfile.TemporaryDirectory(prefix="orderhalt-faults-") as directory:
        stage = Stage(Path(directory), result, say)
        try:
            row.play(stage)
        except NotRun as reason:
            result.not_run = str(reason)
        except Exception as error:  # noqa: BLE001 - a row that fails in any way has failed, and the next comes
            say(traceback.format_exc())
            result.problems.append(f"{type(error).__name__}: {error}")
    result.done += [f"{what}: {times} times" for what, times in stage.counts.items()]
    result.seconds = time.monotonic() - started
    for problem in result.problems:
        say(f"PROBLEM {problem}")
    verdict = result.not_run or ("FAILED" if result.problems else "all is well")
    say(f"{verdict}; longest stall {result.longest_stall_seconds:.1f} s")
    return result


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    listed = "\n".join(f"{row.name:18} {row.fault}" for row in ROWS)
    parser.add_argument(
        "--only",
        action="append",
        metavar="ROW",
        choices=[row.name for row in ROWS],
        help=f"run this row; may be repeated. The rows are:\n{listed}",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="do everything fewer times")
    parser.add_argument("--report", type=Path, help="write the results here, as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
