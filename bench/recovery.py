"""How soon a worker that starts commits again, by the size of its state; and what it costs at rest.

    python -m bench.recovery [--rows 1000000] [--churn 0] [--starts 5] [--idle 60] [--json FILE]

Kafka and this script run on one core, the worker on the other. A worker makes the state from events
and ends; then it is started so many times, each time with one event waiting in each partition. From
the start of the process to the moment when a read_committed reader sees its first transaction, and
the first one of every partition. Beside it `bench.rawrecovery`, which reads and decodes the same rows
and keeps nothing. The figures count only if `orderhalt verify` finds nothing in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.bigstate import Maker, send
from bench.journalwatch import JournalWatch
from bench.machine import description
from bench.verified import verify_is_clean
from processor import topicadmin
from processor.config import Settings
from processor.localkafka import LocalKafka
from tests.broker.evidence import View

WORKER_CORE, OTHER_CORE = 0, 1
_PARTITIONS: Final = 12
_RECOVERED: Final = re.compile(r'"rows": (\d+), "seconds": ([0-9.]+)')
_WITHIN_SECONDS: Final = 900.0

log = logging.getLogger(__name__)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the state, about")
    parser.add_argument("--churn", type=int, default=0, help="stale rows of each order in flight")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--idle", type=float, default=0.0, help="seconds at rest, measured at last")
    parser.add_argument("--json", type=Path, help="write the results there, too")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory() as directory, LocalKafka(heap_mebibytes=1000) as kafka:
        result = _Bench(arguments, kafka.bootstrap_servers, Path(directory)).measure()
    text = json.dumps(result, indent=2)
    print(text)  # noqa: T201 - this is what it is for
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")
    if not result["verify_is_clean"]:
        sys.exit("`orderhalt verify` has found differences: the figures do not count.")


class _Bench:
    """One state, and what is done with it."""

    def __init__(self, arguments: argparse.Namespace, servers: str, directory: Path) -> None:
        self._arguments = arguments
        self._servers = servers
        self._directory = directory
        self._maker = Maker()
        self._workers = 0
        self._view = View(servers, "", _PARTITIONS, "orderhalt")

    def measure(self) -> dict[str, Any]:
        """Make the state, start again and again, verify."""
        given = self._arguments
        deployment = Settings(bootstrap_servers=self._servers)
        asyncio.run(topicadmin.create(deployment, _PARTITIONS, 1))
        events = self._make_state(given.rows, given.churn)
        empty = self._resident_mib_of_nothing()
        starts = []
        for number in range(given.starts):
            starts.append(self._start())
            log.info("start %d of %d: %s", number + 1, given.starts, starts[-1])
        raw = [self._read_raw() for _ in range(min(given.starts, 3))]
        log.info("raw: %s", raw)
        idle = self._idle(given.idle) if given.idle else None
        result = {
            "measured": "start to first commit of one worker on one core",
            **description(),
            "partitions": _PARTITIONS,
            "events": events,
            "wanted_rows": given.rows,
            "churn": given.churn,
            **_summary(starts, raw, empty),
            "starts": starts,
            "raw": raw,
            "idle": idle,
            "verify_is_clean": verify_is_clean(self._servers),
        }
        self._view.close()
        return result

    def _make_state(self, rows: int, churn: int) -> int:
        started = time.monotonic()
        sent = send(self._servers, _PARTITIONS, self._maker.state(rows, churn))
        log.info("sent %d events in %.0f s", sent, time.monotonic() - started)
        worker = self._worker(commit_interval_ms=500)
        self._wait_until_applied(worker)
        self._end(worker)
        log.info("made the state in %.0f s", time.monotonic() - started)
        return sent

    def _start(self) -> dict[str, float]:
        send(self._servers, _PARTITIONS, self._maker.one_for_each(_PARTITIONS))
        watch = JournalWatch(self._servers, _PARTITIONS, from_the_end=True)
        watch.start()
        started = time.time()
        worker = self._worker()
        firsts = watch.wait_for_all(_WITHIN_SECONDS)
        memory = psutil.Process(worker.pid).memory_info().rss
        self._end(worker)
        watch.finish()
        found = _RECOVERED.search(self._log_path.read_text())
        assert found is not None, self._log_path.read_text()[-2000:]
        return {
            "first_commit_seconds": round(min(firsts) - started, 3),
            "all_partitions_seconds": round(max(firsts) - started, 3),
            "recovery_seconds": round(float(found[2]), 3),
            "rows": int(found[1]),
            "rss_mib": round(memory / (1 << 20), 1),
        }

    def _resident_mib_of_nothing(self) -> float:
        """Give what a worker takes that has imported everything and knows nothing."""
        code = "import resource, processor.app, processor.runtime.worker; "
        code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return round(float(done.stdout), 1)

    def _idle(self, seconds: float) -> dict[str, float]:
        """Measure what a worker takes that has nothing to do."""
        worker = self._worker()
        self._wait_until_applied(worker)
        time.sleep(5)
        process = psutil.Process(worker.pid)
        before, started = process.cpu_times(), time.monotonic()
        time.sleep(seconds)
        after, took = process.cpu_times(), time.monotonic() - started
        self._end(worker)
        spent = after.user + after.system - before.user - before.system
        return {"seconds": round(took, 1), "percent_of_a_core": round(100 * spent / took, 2)}

    def _read_raw(self) -> dict[str, float]:
        command = ["bench.rawrecovery", "--bootstrap-servers", self._servers]
        done = subprocess.run(
            [sys.executable, "-m", *command, "--partitions", str(_PARTITIONS)],
            capture_output=True,
            check=True,
            preexec_fn=_on_the_worker_core,
        )
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def _worker(self, commit_interval_ms: int = 100) -> subprocess.Popen[bytes]:
        self._workers += 1
        with self._log_path.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "processor.cli", "worker"],
                env=os.environ
                | {
                    "ORDERHALT_BOOTSTRAP_SERVERS": self._servers,
                    "ORDERHALT_COMMIT_INTERVAL_MS": str(commit_interval_ms),
                },
                stderr=said,
                preexec_fn=_on_the_worker_core,  # noqa: PLW1509
            )

    @property
    def _log_path(self) -> Path:
        return self._directory / f"{self._workers}.log"

    def _wait_until_applied(self, worker: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _WITHIN_SECONDS
        while self._view.lag():
            assert worker.poll() is None, self._log_path.read_text()[-2000:]
            assert time.monotonic() < deadline, "the events are not applied in time"
            time.sleep(0.5)

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(30)
        assert code == 0, self._log_path.read_text()[-2000:]


def _on_the_worker_core() -> None:
    os.sched_setaffinity(0, {WORKER_CORE})


def _summary(
    starts: list[dict[str, float]], raw: list[dict[str, float]], empty_mib: float
) -> dict[str, Any]:
    """Give medians over the starts, and what they come to."""
    median = {name: statistics.median(start[name] for start in starts) for name in starts[0]}
    raw_seconds = statistics.median(reading["seconds"] for reading in raw)
    rows = median["rows"]
    state_bytes = (median["rss_mib"] - empty_mib) * (1 << 20)
    return {
        "rows_read": round(rows),
        "median_seconds": {
            "first_commit": median["first_commit_seconds"],
            "all_partitions": median["all_partitions_seconds"],
            "recovery": median["recovery_seconds"],
            "raw": raw_seconds,
        },
        "rows_per_second": round(rows / median["recovery_seconds"]),
        "first_commit_by_raw": (
            round(median["first_commit_seconds"] / raw_seconds, 2) if rows else None
        ),
        "rss_mib": median["rss_mib"],
        "rss_mib_of_nothing": empty_mib,
        "bytes_a_row_read": round(state_bytes / rows) if rows else None,
    }


if __name__ == "__main__":
    main()
