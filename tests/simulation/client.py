"""The model of `aiokafka.client.AIOKafkaClient`: what the real producer of aiokafka stands on.

Everything above it is aiokafka's own: what it asks in which order, what it repeats, when it gives up.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from tests.simulation.broker import Broker
from tests.simulation.network import Connection, Network

_NODE: Final = 0


class World:
    """What every client of a simulation is connected to; `here` is the one of this run."""

    here: World

    def __init__(self, broker: Broker, network: Network) -> None:
        self.broker = broker
        self.network = network


class _Cluster:
    """The metadata that a producer asks for: everything is on the one node."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._numbers = set(range(broker.partitions))

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self._numbers if TopicPartition(topic, 0) in self._broker.logs else None

    def available_partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.partitions_for_topic(topic)

    def leader_for_partition(self, _: Any) -> int:
        return _NODE


class SimClient:
    """Takes requests of the real producer to the model of the broker."""

    def __init__(self, **options: Any) -> None:
        self.cluster = _Cluster(World.here.broker)
        self._network = World.here.network
        self._client_id = options.get("client_id")
        self._connections = {group: Connection() for group in ConnectionGroup}
        broker = World.here.broker
        self._handlers = {
            InitProducerIdRequest: broker.init_producer_id,
            AddPartitionsToTxnRequest: broker.add_partitions_to_txn,
            AddOffsetsToTxnRequest: broker.add_offsets_to_txn,
            TxnOffsetCommitRequest: broker.txn_offset_commit,
            EndTxnRequest: broker.end_txn,
            ProduceRequest: broker.produce,
        }

    async def bootstrap(self) -> None:
        """Connect: nothing to find out."""

    async def close(self) -> None:
        """Close: nothing is open."""

    async def send(
        self, node_id: int, request: Any, *, group: Any = ConnectionGroup.DEFAULT
    ) -> Any:
        connection = self._connections[group]
        try:
            return await self._network.request(
                connection, self._handlers[type(request)], _snapshot(request)
            )
        except KafkaConnectionError:
            if self._connections[group] is connection:
                self._connections[group] = Connection()
            raise

    async def coordinator_lookup(self, *_: Any) -> int:
        return _NODE

    async def ready(self, *_: Any, **__: Any) -> bool:
        return True

    def get_random_node(self) -> int:
        return _NODE

    def force_metadata_update(self) -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    async def _maybe_wait_metadata(self) -> None:
        """Metadata never changes."""

    async def _wait_on_metadata(self, topic: str) -> set[int]:
        found = self.cluster.partitions_for_topic(topic)
        assert found is not None, f"no topic {topic}"
        return found


def _snapshot(request: Any) -> Any:
    """Freeze what goes over the wire: the sender goes on with its own lists."""
    if isinstance(request, ProduceRequest):
        request._topics = [
            (topic, [(number, bytes(data)) for number, data in batches])
            for topic, batches in request._topics
        ]
    return request
