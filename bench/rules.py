"""How much CPU the rules take: decode one record and apply it, without Kafka.

    python -m bench.rules [--events N] [--runs N]

The events are the simulated mix. The state grows as a worker's does, and rows are drained as a
worker's commit does, which is measured apart. Each run must emit the very bytes of the others, and
the first events what the brute-force model of the contract says.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import json
import statistics
import sys
import time

from bench.machine import description
from processor.rules.machine import Machine
from processor.simulator import Settings, simulate
from processor.simulator.records import Record
from tests.model import Model
from tests.model import Record as ModelRecord

_DRAINED_EVERY = 2_000
_CHECKED_EVENTS = 3_000


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--studios", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=20_000)
    arguments = parser.parse_args()
    settings = Settings(
        studios=arguments.studios,
        events_per_second=20_000,
        orders_in_flight=arguments.in_flight,
    )
    records = list(itertools.islice(simulate(settings), arguments.events))
    _check_with_model(records[:_CHECKED_EVENTS])
    # As a worker does after its recovery: nothing of what is there is looked at again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    runs = [_run(records) for _ in range(arguments.runs)]
    digests = {run.pop("digest") for run in runs}
    if len(digests) != 1:
        sys.exit("The runs emitted different bytes.")
    result = {
        "measured": "rules alone, decode and apply",
        **description(),
        "events": len(records),
        "bytes_per_event": round(sum(len(x.value or b"") for x in records) / len(records)),
        "decode_and_apply_us": _spread([float(run["apply_us"]) for run in runs]),
        "drain_us": _spread([float(run["drain_us"]) for run in runs]),
        "emitted": runs[0]["emitted"],
        "output_sha256": digests.pop(),
    }
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for


def _run(records: list[Record]) -> dict[str, float | int | str]:
    machine = Machine(0)
    digest = hashlib.sha256()
    emitted = 0
    clock = time.process_time
    applying = draining = 0.0
    for first in range(0, len(records), _DRAINED_EVERY):
        chunk = [
            (record.topic, 0, offset, record.timestamp_ms, record.key, record.value)
            for offset, record in enumerate(records[first : first + _DRAINED_EVERY], first)
        ]
        emissions = []
        started = clock()
        for record in chunk:
            emissions += machine.apply(*record)
        applied = clock()
        machine.drain()
        draining += clock() - applied
        applying += applied - started
        emitted += len(emissions)
        for emission in emissions:
            digest.update(emission.key + (emission.value or b""))
    return {
        "apply_us": applying / len(records) * 1e6,
        "drain_us": draining / len(records) * 1e6,
        "emitted": emitted,
        "digest": digest.hexdigest(),
    }


def _check_with_model(records: list[Record]) -> None:
    machine, model = Machine(0), Model()
    for offset, record in enumerate(records):
        place = (record.topic, 0, offset, record.timestamp_ms, record.key, record.value)
        demanded = model.feed(ModelRecord(*place)).emitted
        emitted = [
            (x.key.decode(), None if x.value is None else json.loads(x.value))
            for x in machine.apply(*place)
        ]
        if emitted != [(x.key, x.value) for x in demanded]:
            sys.exit(f"Record {offset}: the rules and the model of the contract disagree.")


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 2),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
    }


if __name__ == "__main__":
    main()
