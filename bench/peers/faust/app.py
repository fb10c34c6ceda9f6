"""The job on stock Faust, as its documentation teaches: agents over topics, tables, `send`.

    python -m bench.peers.faust.app worker -l info --without-web

Each agent takes one event at a time, puts the rows that it changed into tables, and sends what is to be
said. Stores are in memory, which is its fastest; the event loop is uvloop, as its guide advises.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import faust

from bench.peers import ours
from schemas import topics

app = faust.App(
    ours.GROUP,
    broker=f"kafka://{ours.SERVERS}",
    store="memory://",
    datadir=ours.STATE_DIR,
    processing_guarantee=os.environ.get("PEER_GUARANTEE", "at_least_once"),
    broker_commit_interval=ours.INTERVAL_SECONDS,
    topic_partitions=ours.PARTITIONS,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    table_standby_replicas=0,
    web_enabled=False,
)

tables = {
    name: app.Table(name, key_type=bytes, value_type=bytes, partitions=ours.PARTITIONS)
    for name in topics.TABLES
}
halted = app.topic(ours.OUTPUT, key_serializer="raw", value_serializer="raw")


def agent_of(name: str) -> Callable[[Any], Awaitable[None]]:
    """Make the agent of one input topic."""

    async def handle(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            emissions, rows = ours.apply(
                message.topic, message.partition, message.offset,
                int(message.timestamp * 1000), message.key, message.value,
            )  # fmt: skip
            for table, key, row in rows:
                if row is None:
                    tables[table].pop(key, None)
                else:
                    tables[table][key] = row
            for emission in emissions:
                await halted.send(
                    key=emission.key, value=emission.value, partition=message.partition
                )

    handle.__name__ = name.replace("-", "_")
    return handle


for _name in ours.INPUTS:
    app.agent(app.topic(_name, key_serializer="raw", value_serializer="raw"), name=_name)(
        agent_of(_name)
    )

if __name__ == "__main__":
    app.main()
