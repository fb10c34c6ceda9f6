"""How many instructions the rules and the decoder take an event, counted by callgrind.

    python -m bench.instructions [--write]

Instructions do not depend on what else the machine does, so a change that costs something shows. They
do depend on the build of Python and its libraries; so they are also set against those of reading the
same records into plain dicts, and it is this ratio that must not grow by more than a tenth over that of
`bench/instructions.json`. `--write` takes the result as the new one, to be committed with the change
that needs it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from bench.machine import description
from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from schemas import topics
from schemas.door import DOORS

BASELINE = Path(__file__).with_suffix(".json")
#: What lies between the two is counted: start, imports and the first orders are in both.
_EVENTS = (2_000, 6_000)
_DRAINED_EVERY = 500
_GROWTH_MAX = 1.1
_COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


def main() -> None:
    """Count, print one JSON object, and compare it with the baseline."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="take the result as the baseline")
    parser.add_argument("--of", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.of:
        work, events, path = arguments.of
        _WORK[work](pickle.loads(Path(path).read_bytes())[: int(events)])  # noqa: S301 - our own
        return
    result = measure()
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for
    if arguments.write:
        BASELINE.write_text(json.dumps(result, indent=2) + "\n")
    grown = growth(result, json.loads(BASELINE.read_text()))
    if grown:
        sys.exit("\n".join(grown))


def measure() -> dict[str, Any]:
    """Count the instructions an event of each kind of work."""
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not on this machine: `make test-system` installs it.")
    world = Settings(studios=50, events_per_second=20_000, orders_in_flight=500)
    records = [
        (x.topic, x.timestamp_ms, x.key, x.value)
        for x in itertools.islice(simulate(world), _EVENTS[1])
    ]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "records"
        path.write_bytes(pickle.dumps(records))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counted = pool.map(_per_event, _WORK, itertools.repeat(path))
            counts = dict(zip(_WORK, counted, strict=True))
    return {
        "measured": "instructions an event, and the ratio to reading it into plain dicts",
        **description(),
        "instructions": counts,
        "ratios": {work: round(counts[work] / counts["plain"], 3) for work in _WORK},
    }


def growth(now: dict[str, Any], baseline: dict[str, Any]) -> list[str]:
    """Say what takes over a tenth more than the baseline."""
    return [
        f"{work} takes {ratio} times a plain decode, and {baseline['ratios'][work]} before: more than "
        "a tenth more. Mend it, or take it as it is with `python -m bench.instructions --write`."
        for work, ratio in now["ratios"].items()
        if ratio > baseline["ratios"][work] * _GROWTH_MAX
    ]


def _per_event(work: str, path: Path) -> int:
    few, many = (_count(work, events, path) for events in _EVENTS)
    return round((many - few) / (_EVENTS[1] - _EVENTS[0]))


def _count(work: str, events: int, path: Path) -> int:
    done = subprocess.run(
        [  # noqa: S607 - whichever valgrind is on the PATH
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            sys.executable,
            *("-m", "bench.instructions", "--of", work, str(events), str(path)),
        ],
        check=False,
        capture_output=True,
        text=True,
        # Hashes of strings decide how dictionaries fill: the same in every run.
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )
    found = _COLLECTED.search(done.stderr)
    if done.returncode or found is None:
        sys.exit(f"valgrind failed: {done.stderr[-2000:]}")
    return int(found[1])


# ---- what is counted

Raw = list[tuple[str, int, bytes, bytes]]
"""Topic, timestamp, key and value of records."""


def _plain(records: Raw) -> None:
    decode = msgspec.json.Decoder().decode
    for _, _, _, value in records:
        decode(value)


def _decode(records: Raw) -> None:
    doors = {x.name: DOORS[x.value] for x in topics.INPUTS if x.value is not None}
    for topic, timestamp, key, value in records:
        doors[topic](key, value, timestamp)


def _apply(records: Raw) -> None:
    machine = Machine(0)
    for offset, (topic, timestamp, key, value) in enumerate(records):
        machine.apply(topic, 0, offset, timestamp, key, value)
        if offset % _DRAINED_EVERY == 0:
            machine.drain()


_WORK = {"plain": _plain, "decode": _decode, "decode, apply and drain": _apply}


if __name__ == "__main__":
    main()
