"""Our rules behind another framework: what each of the Python peers does with one record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from processor.rules.machine import Machine
from processor.runtime import garbage
from schemas import topics
from schemas.errors import Rejection

PARTITIONS = int(os.environ.get("BENCH_PARTITIONS", "4"))
SERVERS = os.environ.get("ORDERHALT_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
GROUP = os.environ.get("BENCH_GROUP", "bench")
INTERVAL_SECONDS = int(os.environ.get("ORDERHALT_COMMIT_INTERVAL_MS", "100")) / 1000
STATE_DIR = os.environ.get("BENCH_STATE_DIR", "state")
INPUTS = tuple(topic.name for topic in topics.INPUTS)
OUTPUT = topics.ORDER_HALTED.name

_machines: dict[int, Machine] = {}


def apply(
    topic: str, partition: int, offset: int, timestamp_ms: int, key: bytes, value: bytes
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Apply one record; give what it emits, and the rows that it changed with their bytes."""
    machine = _machines.get(partition)
    if machine is None:
        machine = _machines[partition] = Machine(partition, partitions=PARTITIONS)
        garbage.settle()
    try:
        emissions = machine.apply(topic, partition, offset, timestamp_ms, key, value)
    except Rejection:
        return (), ()
    return emissions, machine.drain()
