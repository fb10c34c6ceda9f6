"""A replica has what the workers have committed, then and as it goes on, and disturbs nobody."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from processor.config import Settings, load
from processor.replica import Replica, open_replica, partition_count, partitions_of
from processor.rules.inquiry import State, inquire
from processor.runtime.failstop import KafkaUnavailable
from processor.topicadmin import TopicsMissing
from schemas.partitioning import default_partition
from tests.support.deployment import PARTITIONS, STUDIO, Deployment, order_placed, photo_deleted

Result = TypeVar("Result")
HOME = default_partition(STUDIO.encode(), PARTITIONS)


def settings_of(deployment: Deployment) -> Settings:
    return load(
        bootstrap_servers=deployment.environment["ORDERHALT_BOOTSTRAP_SERVERS"],
        topic_prefix=deployment.prefix,
    )


def with_replica(
    deployment: Deployment, ask: Callable[[Replica], Awaitable[Result]], *partitions: int
) -> Result:
    async def run() -> Result:
        async with open_replica(settings_of(deployment), partitions or (HOME,)) as replica:
            return await asyncio.wait_for(ask(replica), 30)

    return asyncio.run(run())


def test_it_reads_what_is_committed(deployment: Deployment) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("order-placed", order_placed("o2", "p2"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 1)
    told: list[tuple[int, int]] = []

    async def read(replica: Replica) -> list[State]:
        await replica.read_to_end(lambda done, total: told.append((done, total)))
        assert replica.positions[HOME].offsets[f"{deployment.prefix}order-placed"] == 2
        return [inquire(replica.machines[HOME], STUDIO, x).state for x in ("o1", "o2", "o3")]

    assert with_replica(deployment, read) == [State.HALTED, State.IN_FLIGHT, State.UNKNOWN]
    assert told[-1][0] == told[-1][1] > 0
    assert deployment.processes[0].poll() is None, "the worker goes on"


def test_it_follows_what_goes_on(deployment: Deployment) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.start("processor.cli", "worker")
    deployment.read("orderhalt-positions", 1)

    async def watch(replica: Replica) -> set[str]:
        await replica.read_to_end()
        assert inquire(replica.machines[HOME], STUDIO, "o1").state is State.IN_FLIGHT
        changed = asyncio.Event()
        tables = set()

        def row_came(partition: int, table: str, key: bytes) -> None:
            assert partition == HOME
            tables.add(table)
            if {"orders", "photos"} <= tables:
                changed.set()

        following = asyncio.create_task(replica.follow(row_came))
        await asyncio.to_thread(deployment.send, "asset-deleted", photo_deleted("p1"))
        await asyncio.wait(
            [asyncio.create_task(changed.wait()), following], return_when="FIRST_COMPLETED"
        )
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        answer = inquire(replica.machines[HOME], STUDIO, "o1")
        assert (answer.state, answer.unsettled) == (State.HALTED, ())
        return tables

    assert with_replica(deployment, watch) == {"orders", "photos"}


def test_nothing_written_is_an_empty_state(deployment: Deployment) -> None:
    async def read(replica: Replica) -> int:
        await replica.read_to_end()
        return replica.rows_read

    assert with_replica(deployment, read, *range(PARTITIONS)) == 0


def test_which_partitions_a_studio_is_in(deployment: Deployment) -> None:
    settings = settings_of(deployment)
    assert asyncio.run(partition_count(settings)) == PARTITIONS
    assert partitions_of(settings, STUDIO, PARTITIONS) == (HOME,)
    anywhere = load(any_partitioner=True)
    assert partitions_of(anywhere, STUDIO, PARTITIONS) == (0, 1, 2, 3)


def test_a_prefix_without_topics_says_so(deployment: Deployment) -> None:
    settings = load(bootstrap_servers=settings_of(deployment).bootstrap_servers, topic_prefix="x-")
    with pytest.raises(TopicsMissing, match="Is --topic-prefix"):
        asyncio.run(partition_count(settings))


def test_no_broker_says_so() -> None:
    with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1: .*refused|Connect call failed"):
        asyncio.run(partition_count(load(bootstrap_servers="127.0.0.1:1")))
