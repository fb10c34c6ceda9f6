"""Two places in which the same test body runs: Apache Kafka, and the model of it.

Producers, readers and admin clients are made by `processor.runtime.clients` in both; in the model
their connections, or they themselves, are those of tests/simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import HeartbeatRequest
from confluent_kafka.admin import AdminClient, NewTopic

from processor.runtime import clients
from processor.runtime.config import RuntimeConfig
from tests.runtime.toyapp import toy_config
from tests.simulation import ambient
from tests.simulation.broker import Broker
from tests.simulation.client import World
from tests.simulation.consumer import SimConsumer
from tests.simulation.coordination import Coordination, Membership
from tests.simulation.loop import Process, SimLoop
from tests.simulation.network import Faults, Network
from tests.support.processes import wait_until

PARTITIONS = 2
#: No leader or coordinator yet, loading, or (19) the verification of a write has to be repeated.
_NOT_READY = {5, 6, 14, 15, 16, 19}


class Laboratory(Protocol):
    """What a test body needs besides the clients."""

    config: RuntimeConfig
    producers: list[Any]
    """All that were started; what a test has not stopped is dropped at its end."""

    def run(self, body: Callable[[Any], Awaitable[None]]) -> None:
        """Run a test body to its end."""

    async def ask(self, producer: Any, request: Any) -> Any:
        """Send a request about a transaction, as it is, and return the answer."""

    async def member(self, assignor: Any, listener: Any) -> Any:
        """Start a member of the group; it has `generation`, `name` and `leave()`."""

    async def heartbeat(self, member: Any, generation: int, name: str) -> int:
        """Send a heartbeat over a member's connection; returns the error code."""


class RealKafka:
    """A broker of the test session, and topics that nobody else has."""

    def __init__(self, servers: str, prefix: str) -> None:
        self.config = toy_config(prefix, servers)
        self.producers: list[Any] = []
        admin = AdminClient({"bootstrap.servers": servers})
        config = self.config
        names = [*config.inputs, *config.changelogs.values(), config.output, config.positions]
        made = admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        for future in made.values():
            future.result(20)
        wait_until(lambda: _all_led(admin, names), 20)

    def run(self, body: Callable[[Any], Awaitable[None]]) -> None:
        async def bounded() -> None:
            try:
                await asyncio.wait_for(body(self), 60)
            finally:
                for producer in self.producers:
                    await _drop(producer)

        asyncio.run(bounded())

    async def ask(self, producer: Any, request: Any) -> Any:
        """Ask until the broker is ready to answer: a coordinator may still be loading."""
        while True:
            try:
                answer = await self._ask_once(producer, request)
            except KafkaError:
                # No coordinator yet: the broker makes its internal topics when first asked.
                await asyncio.sleep(0.05)
                continue
            if _code_of(answer) not in _NOT_READY:
                return answer
            await asyncio.sleep(0.05)

    async def _ask_once(self, producer: Any, request: Any) -> Any:
        kind, key = CoordinationType.TRANSACTION, self.config.transactional_id(0)
        if type(request).__name__ == "TxnOffsetCommitRequest":
            kind, key = CoordinationType.GROUP, self.config.group_id
        node = await producer.client.coordinator_lookup(kind, key)
        await producer.client.ready(node, group=ConnectionGroup.COORDINATION)
        return await producer.client.send(node, request, group=ConnectionGroup.COORDINATION)

    async def member(self, assignor: Any, listener: Any) -> Any:
        consumer = clients.group_consumer(
            self.config,
            assignor,
            heartbeat_interval_ms=100,
            rebalance_timeout_ms=5_000,
            max_poll_interval_ms=60_000,
        )
        await consumer.start()
        consumer.subscribe(list(self.config.inputs), listener=listener)
        return _RealMember(consumer)

    async def heartbeat(self, member: Any, generation: int, name: str) -> int:
        coordinator = member.consumer._coordinator
        request = HeartbeatRequest(self.config.group_id, generation, name)
        answer = await coordinator._send_req(request)
        return int(answer.error_code)


async def _drop(producer: Any) -> None:
    """Close the connections of a producer that was fenced, and could not be stopped in order."""
    if not producer._closed:
        producer._closed = True
        producer._sender.sender_task.cancel()
        await producer.client.close()


def _code_of(answer: Any) -> int:
    if hasattr(answer, "error_code"):
        return int(answer.error_code)
    if hasattr(answer, "errors"):
        return int(answer.errors[0][1][0][1])
    return int(answer.topics[0][1][0][1])


def _all_led(admin: AdminClient, names: list[str]) -> bool:
    """Say whether every partition has a leader; what is asked before would be told to come again."""
    topics = admin.list_topics(timeout=10).topics
    return all(
        name in topics
        and len(topics[name].partitions) == PARTITIONS
        and all(partition.leader >= 0 for partition in topics[name].partitions.values())
        for name in names
    )


class _RealMember:
    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer

    @property
    def generation(self) -> int:
        return int(self.consumer._coordinator.generation)

    @property
    def name(self) -> str:
        return str(self.consumer._coordinator.member_id)

    async def leave(self) -> None:
        await self.consumer.stop()


class Model:
    """The model, without any fault."""

    def __init__(self, seed: int = 1) -> None:
        self.config = toy_config("", "simulated:1")
        self.producers: list[Any] = []
        random = Random(seed)
        self.loop = SimLoop(random)
        self.broker = Broker(self.loop, random, PARTITIONS)
        self.world = World(self.broker, Network(self.loop, random, Faults()))
        config = self.config
        self.broker.create_topics(
            [*config.inputs, *config.changelogs.values(), config.output, config.positions]
        )

    def run(self, body: Callable[[Any], Awaitable[None]]) -> None:
        async def in_a_process() -> None:
            process = self.loop.new_lane(Process("laboratory"))
            await self.loop.create_task(body(self), context=process)

        with ambient.model(self.loop, self.world):
            self.loop.run(in_a_process(), 60.0)
            for producer in self.producers:
                producer._closed = True
            self.loop.close()

    async def ask(self, producer: Any, request: Any) -> Any:
        return await producer.client.send(0, request, group=ConnectionGroup.COORDINATION)

    async def member(self, assignor: Any, listener: Any) -> Any:
        consumer = SimConsumer()
        await consumer.start()
        membership = Membership(
            self.config.group_id, self.config.inputs, heartbeat_seconds=0.1, rebalance_seconds=5.0
        )
        return _ModelMember(self.loop, Coordination(consumer, membership, assignor, listener))

    async def heartbeat(self, member: Any, generation: int, name: str) -> int:
        return self.broker.heartbeat(self.config.group_id, name, generation)


class _ModelMember:
    def __init__(self, loop: SimLoop, coordination: Coordination) -> None:
        self._coordination = coordination
        self._task = loop.create_task(coordination.run())

    @property
    def generation(self) -> int:
        return self._coordination.generation

    @property
    def name(self) -> str:
        return self._coordination.member

    async def leave(self) -> None:
        await self._coordination.close()


async def eventually(condition: Callable[[], Awaitable[bool]], within: float = 20.0) -> None:
    """Wait until something is so, on whichever loop this is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not await condition():
        assert loop.time() < deadline, "did not come about in time"
        await asyncio.sleep(0.02)
