"""What metrics cost: the rules with and without an observer, in turns.

    python -m bench.observer [--events N] [--runs N] [--window N]

With one, a shard keeps its report, and the exporter takes each window as at a commit: reports,
records of `order-halted`, counts. Without one, the same records go through the same rules. Both are
measured in turns on the same events, block by block, so that whatever else the machine does meets
both alike; of each block the least of all runs counts. It is set against the rules alone, which is less
than a worker needs: of a worker's throughput it is a smaller share.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence

from bench.machine import description
from processor.metrics.exporter import Exporter
from processor.metrics.health import Health
from processor.metrics.lag import Lag
from processor.rules.machine import Machine
from processor.runtime.protocol import ChangedRow, Committed, Recovered
from processor.simulator import Settings, simulate
from processor.simulator.records import Record
from schemas.halted import Emission

_LIMIT_PERCENT = 3.0
_WINDOWS_A_BLOCK = 4


class Side:
    """One machine, observed or not, and the CPU that its events took."""

    def __init__(self, *, observed: bool) -> None:
        self.machine = Machine(0, reports=observed)
        self.exporter = _exporter() if observed else None
        self.seconds = 0.0
        self.emitted = 0
        if self.exporter is not None:
            self.exporter.recovered(Recovered(0, 0, 0.0, {}, self.machine.report()))

    def take(self, chunk: Sequence[Record], first_offset: int) -> None:
        """Apply and commit one window."""
        records = Counter(record.topic for record in chunk)  # as the runtime has counted them
        emissions: list[Emission] = []
        apply = self.machine.apply
        started = time.process_time()
        for offset, record in enumerate(chunk, first_offset):
            emitted = apply(record.topic, 0, offset, record.timestamp_ms, record.key, record.value)
            if emitted:
                emissions += emitted
        rows = self.machine.drain()
        if self.exporter is not None:
            self._tell(self.exporter, records, rows, emissions)
        self.seconds += time.process_time() - started
        self.emitted += len(emissions)

    def _tell(
        self,
        exporter: Exporter,
        records: Counter[str],
        rows: Sequence[ChangedRow],
        emissions: Sequence[Emission],
    ) -> None:
        now = time.monotonic()
        exporter.opened(0, now)
        exporter.committed(
            Committed(
                partition=0,
                rows=rows,
                emissions=emissions,
                records=records,
                rejections=(),
                offsets={},
                last_ms={},
                report=self.machine.report(),
                opened_at=now,
                sealed_at=now,
                ended_at=now,
            )
        )


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--studios", type=int, default=2_000)
    parser.add_argument("--in-flight", type=int, default=20_000)
    parser.add_argument(
        "--window", type=int, default=500, help="events a commit: 20,000/s on 4 partitions"
    )
    arguments = parser.parse_args()
    world = Settings(
        studios=arguments.studios,
        events_per_second=20_000,
        orders_in_flight=arguments.in_flight,
    )
    records = list(itertools.islice(simulate(world), arguments.events))
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1_000)
    runs = [_run(records, arguments.window, turn) for turn in range(arguments.runs)]
    # Whatever else the machine does only adds to a block's time: its least is the nearest to it.
    blocks = list(zip(*runs, strict=True))
    without = statistics.mean(min(run[0] for run in block) for block in blocks)
    observed = statistics.mean(min(run[1] for run in block) for block in blocks)
    percent = (observed / without - 1) * 100
    result = {
        "measured": "the rules with an observer, against the rules without",
        **description(),
        "events": len(records),
        "window": arguments.window,
        "blocks": len(blocks),
        "runs": arguments.runs,
        "without_us": round(without, 2),
        "with_us": round(observed, 2),
        "cost_us": round(observed - without, 2),
        "cost_percent": round(percent, 2),
        "limit_percent": _LIMIT_PERCENT,
    }
    print(json.dumps(result, indent=2))  # noqa: T201 - this is what it is for
    if percent > _LIMIT_PERCENT:
        sys.exit(f"The observer costs more than {_LIMIT_PERCENT} % of the rules alone.")


def _run(records: Sequence[Record], window: int, turn: int) -> list[tuple[float, float]]:
    """Give µs of CPU an event without and with an observer, for every block of the second half.

    In the first the shops fill up: nearly all events are new orders.
    """
    sides = [Side(observed=False), Side(observed=True)]
    blocks = []
    size = window * _WINDOWS_A_BLOCK
    for number, first in enumerate(range(0, len(records), size)):
        block = records[first : first + size]
        # Who goes first finds the caches cold: in turns.
        for side in sides if (number + turn) % 2 else reversed(sides):
            side.seconds = 0.0
            for start in range(0, len(block), window):
                side.take(block[start : start + window], first + start)
        without, observed = (side.seconds / len(block) * 1e6 for side in sides)
        blocks.append((without, observed))
    if sides[0].emitted != sides[1].emitted:
        sys.exit("With an observer the rules emit something else.")
    return blocks[len(blocks) // 2 :]


def _exporter() -> Exporter:
    lag = Lag()
    return Exporter(overdue_age_seconds=72 * 3600, lag=lag, health=Health(lag))


if __name__ == "__main__":
    main()
