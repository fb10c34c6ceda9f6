"""The limit of a recovery: read the changelogs and decode their rows, and do nothing with them.

    python -m bench.rawrecovery --bootstrap-servers HOST:PORT --partitions N

Started by `bench.recovery`. The same client, read_committed, and the rules' own decoder of rows; the
collector is off, as in a worker. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from processor.rules.rows import ROW_TYPES, OwnTransfer, decode
from schemas import topics
from schemas.partitioning import split_key


def main() -> None:
    """Read, decode, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    arguments = parser.parse_args()
    gc.disable()
    found = asyncio.run(_read(arguments.bootstrap_servers, arguments.partitions))
    print(json.dumps(found))  # noqa: T201 - this is what it is for


async def _read(servers: str, partitions: int) -> dict[str, Any]:
    tables = {
        TopicPartition(topic.name, number): table
        for table, topic in topics.CHANGELOGS.items()
        for number in range(partitions)
    }
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
    )
    consumer.assign(list(tables))
    await consumer.start()
    started, cpu = time.monotonic(), time.process_time()
    await consumer.seek_to_beginning(*tables)
    ends = await consumer.end_offsets(list(tables))
    rows = 0
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        polled = await consumer.getmany(timeout_ms=50, max_records=5_000)
        for tp, records in polled.items():
            rows += len(records)
            _decode(tables[tp], records)
    seconds, spent = time.monotonic() - started, time.process_time() - cpu
    await consumer.stop()
    return {"rows": rows, "seconds": round(seconds, 3), "cpu_seconds": round(spent, 3)}


def _decode(table: str, records: list[Any]) -> None:
    kind = ROW_TYPES[table]
    for record in records:
        ids = split_key(record.key.decode())
        if record.value is not None:
            decode(OwnTransfer if table == "orders" and len(ids) > 2 else kind, table, record.value)


if __name__ == "__main__":
    main()
