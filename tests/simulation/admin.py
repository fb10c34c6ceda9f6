"""The model of `aiokafka.admin.AIOKafkaAdminClient`, as far as recovery asks it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

from aiokafka import TopicPartition

from tests.simulation.client import World
from tests.simulation.network import Connection


class SimAdmin:
    """Tells a group's offsets."""

    def __init__(self) -> None:
        self._connection = Connection()

    async def start(self) -> None:
        """Start: nothing to find out."""

    async def close(self) -> None:
        """Close: nothing is open."""

    async def list_consumer_group_offsets(
        self, group: str, *, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, SimpleNamespace]:
        """Return the committed offsets, -1 where there is none; raises where the connection breaks."""
        world = World.here
        found = await world.network.request(
            self._connection, world.broker.fetch_offsets, group, tuple(partitions)
        )
        return {tp: SimpleNamespace(offset=offset) for tp, offset in found.items()}
