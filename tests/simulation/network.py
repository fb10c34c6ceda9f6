"""Requests and answers between clients and the broker: late, lost, in order only per connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from aiokafka.errors import KafkaConnectionError

from tests.simulation.loop import Process, SimLoop, current_process

Handler = Callable[..., Any]

_FAULTS = ("never comes", "answer lost", "comes late", "comes late", "answer slow")
_ABOUT_TRANSACTIONS = {
    "add_partitions_to_txn", "add_offsets_to_txn", "txn_offset_commit", "end_txn",
}  # fmt: skip


@dataclass(slots=True)
class Faults:
    """How the network behaves; shares of requests, and times in seconds."""

    share: float = 0.0
    """Of requests that meet one of the four faults of `Network.request`."""
    transaction_share: float = 0.0
    """Likewise, of AddPartitions, AddOffsets, TxnOffsetCommit and EndTxn."""
    latest: float = 12.0
    """A request that comes late comes at most so late."""
    delay: float = 0.002
    """The typical way of a request, or of an answer."""


class Connection:
    """One TCP connection: what is sent over it arrives in order, as do the answers."""

    __slots__ = ("answered_at", "arrived_at", "process")

    def __init__(self) -> None:
        self.process: Process = current_process()
        self.arrived_at = 0.0
        self.answered_at = 0.0


class Network:
    """Carries requests to handlers, which run in the world, and their answers back."""

    def __init__(self, loop: SimLoop, random: Random, faults: Faults) -> None:
        self.loop = loop
        self.faults = faults
        self.requests = 0
        self.told: Callable[[str, str], None] | None = None
        """Hears of faults, for the trace."""
        self._random = random

    def request(self, connection: Connection, handler: Handler, *args: Any) -> asyncio.Future[Any]:
        """Send a request; its answer, or KafkaConnectionError where the connection breaks."""
        loop, random, faults = self.loop, self._random.random, self.faults
        answer: asyncio.Future[Any] = loop.create_future()
        process = connection.process
        if process.dead:
            return answer
        self.requests += 1
        arrival = max(connection.arrived_at, loop.now + random() * 2 * faults.delay)
        connection.arrived_at = arrival
        slow = 0.0
        share = faults.share
        if faults.transaction_share and handler.__name__ in _ABOUT_TRANSACTIONS:
            share = faults.transaction_share
        if share and random() < share:
            kind = self._random.choice(_FAULTS)
            if self.told is not None:
                self.told(process.name, f"{handler.__name__}{_short(args)}: {kind}")
            if kind == "answer slow":
                slow = self._lateness()
            else:
                self._at(arrival + random() * 0.05, self._break, answer)
                if kind == "never comes":
                    return answer
                if kind == "comes late":
                    # By a way of its own: neither the order nor the sender's death matters.
                    self._at(arrival + self._lateness(), self._arrive_late, handler, args)
                else:
                    self._at(arrival, self._arrive_unanswered, connection, handler, args)
                return answer
        self._at(arrival, self._arrive, connection, answer, slow, handler, args)
        return answer

    def _lateness(self) -> float:
        """Draw how late, over three orders of magnitude, each as likely."""
        lateness: float = self.faults.latest * 10 ** -(3 * self._random.random())
        return lateness

    def _at(self, when: float, callback: Handler, *args: Any) -> None:
        self.loop.call_at(when, callback, *args, context=self.loop.world)

    def _break(self, answer: asyncio.Future[Any]) -> None:
        if not answer.done():
            answer.set_exception(KafkaConnectionError("the connection broke"))

    def _arrive_late(self, handler: Handler, args: tuple[Any, ...]) -> None:
        handler(*args)

    def _arrive_unanswered(
        self, connection: Connection, handler: Handler, args: tuple[Any, ...]
    ) -> None:
        if self.loop.now <= connection.process.cut_at:
            handler(*args)

    def _arrive(
        self,
        connection: Connection,
        answer: asyncio.Future[Any],
        slow: float,
        handler: Handler,
        args: tuple[Any, ...],
    ) -> None:
        if self.loop.now > connection.process.cut_at:
            return
        result = handler(*args)
        if isinstance(result, asyncio.Future):
            result.add_done_callback(
                lambda found: self._send_back(connection, answer, slow, found.result())
            )
        else:
            self._send_back(connection, answer, slow, result)

    def _send_back(
        self, connection: Connection, answer: asyncio.Future[Any], slow: float, result: Any
    ) -> None:
        at = self.loop.now + self._random.random() * 2 * self.faults.delay + slow
        connection.answered_at = at = max(connection.answered_at, at)
        self._at(at, _settle, answer, result)


def _settle(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _short(args: tuple[Any, ...]) -> str:
    text = ", ".join(str(arg) for arg in args if isinstance(arg, str | int))
    return f"({text})"
