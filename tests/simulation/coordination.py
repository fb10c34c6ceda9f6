"""The model of aiokafka's group coordinator: join, sync, heartbeat, and join again.

As aiokafka does: the listener hears of the revocation before the member joins, heartbeats go on
meanwhile; they stop while it joins, and go on when the listener has heard of the assignment.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError

from tests.simulation.client import World
from tests.simulation.consumer import Assignment, SimConsumer
from tests.simulation.groups import REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, Joined
from tests.simulation.network import Connection

#: aiokafka's default `retry_backoff_ms`.
_RETRY_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Membership:
    """How a member is known to its group."""

    group: str
    topics: tuple[str, ...]
    instance: str | None = None
    session_seconds: float = 6.0
    rebalance_seconds: float = 20.0
    heartbeat_seconds: float = 1.0


class Coordination:
    """Keeps one consumer in its group; `run` is a task of the consumer's thread."""

    def __init__(
        self, consumer: SimConsumer, membership: Membership, assignor: Any, listener: Any
    ) -> None:
        self.generation = -1
        self.member = ""
        self._consumer = consumer
        self._membership = membership
        self._assignor = assignor
        self._listener = listener
        self._broker = World.here.broker
        self._cluster = SimpleNamespace(
            partitions_for_topic=lambda _: set(range(self._broker.partitions))
        )
        self._network = World.here.network
        self._connection = Connection()
        self._loop = asyncio.get_running_loop()
        self._rejoin = self._loop.create_future()
        self._rejoin.set_result(None)
        self._prepared = False
        self._heartbeats: asyncio.Task[None] | None = None
        self._closing = False
        consumer.committed_offsets = self._committed_offsets
        consumer._coordinator = self  # type: ignore[attr-defined]

    async def run(self) -> None:
        """Follow the group until the consumer is closed."""
        while True:
            await self._rejoin
            if self._closing:
                return
            if not self._prepared:
                await self._prepare()
            self._stop_heartbeats()
            assigned = await self._join()
            if assigned is None:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            await self._take(assigned)

    async def close(self) -> None:
        """Leave the group, as a dynamic member does at its end."""
        self._closing = True
        self._request_rejoin()
        self._stop_heartbeats()
        await self._maybe_leave_group()

    async def _maybe_leave_group(self) -> None:
        if self.generation > 0 and self._membership.instance is None:
            with contextlib.suppress(KafkaConnectionError):
                await self._ask(self._broker.leave_group, self.member)
        self._reset()

    # -- the steps of a rebalance

    async def _prepare(self) -> None:
        consumer = self._consumer
        consumer.reassigning = self._loop.create_future()
        before = consumer.assignment_now
        revoked = set(before.states) if before is not None else set()
        await self._listener.on_partitions_revoked(revoked)
        self._prepared = True

    async def _join(self) -> list[Any] | None:
        member = self._membership
        metadata = self._assignor.metadata(member.topics)
        claim = SimpleNamespace(subscription=member.topics, user_data=metadata.user_data)
        try:
            joined: Joined = await self._ask(
                self._broker.join_group,
                *(self.member, member.instance),
                *(member.session_seconds, member.rebalance_seconds, claim),
            )
            if joined.error:
                if joined.error == UNKNOWN_MEMBER_ID:
                    self._reset()
                return None
            self.member, self.generation = joined.member, joined.generation
            return await self._sync(joined)
        except KafkaConnectionError:
            return None

    async def _sync(self, joined: Joined) -> list[Any] | None:
        assignments = {}
        if joined.leader == joined.member:
            assignments = self._assignor.assign(self._cluster, joined.members)
        self._rejoin = self._loop.create_future()
        try:
            error, found = await self._ask(
                self._broker.sync_group, self.member, self.generation, assignments
            )
        except KafkaConnectionError:
            self._request_rejoin()
            return None
        if error:
            self._request_rejoin()
            if error != REBALANCE_IN_PROGRESS:
                self._reset()
            return None
        return found.partitions() if found is not None else []

    async def _take(self, assigned: list[Any]) -> None:
        consumer = self._consumer
        if consumer.assignment_now is not None:
            consumer.assignment_now.active = False
        assignment = consumer.assignment_now = Assignment(assigned)
        if consumer.reassigning is not None:
            consumer.reassigning.set_result(None)
            consumer.reassigning = None
        self._loop.create_task(consumer.position_from_group(assignment))
        await self._listener.on_partitions_assigned(set(assigned))
        self._prepared = False
        self._heartbeats = self._loop.create_task(self._keep_beating())

    # -- heartbeats

    async def _keep_beating(self) -> None:
        sleep = self._membership.heartbeat_seconds
        while self.member:
            await asyncio.sleep(sleep)
            sleep = self._membership.heartbeat_seconds
            try:
                error = await self._ask(self._broker.heartbeat, self.member, self.generation)
            except KafkaConnectionError:
                sleep = _RETRY_SECONDS
                continue
            if error == REBALANCE_IN_PROGRESS:
                self._request_rejoin()
            elif error:
                self._reset()
                return

    def _stop_heartbeats(self) -> None:
        if self._heartbeats is not None:
            self._heartbeats.cancel()
            self._heartbeats = None

    def _reset(self) -> None:
        self.generation, self.member = -1, ""
        self._request_rejoin()

    def _request_rejoin(self) -> None:
        if not self._rejoin.done():
            self._rejoin.set_result(None)

    # -- requests

    async def _ask(self, handler: Any, *args: Any) -> Any:
        try:
            return await self._network.request(
                self._connection, handler, self._membership.group, *args
            )
        except KafkaConnectionError:
            self._connection = Connection()
            raise

    async def _committed_offsets(self, partitions: Any) -> Any:
        return await self._consumer.call(
            self._broker.fetch_offsets, self._membership.group, partitions
        )
