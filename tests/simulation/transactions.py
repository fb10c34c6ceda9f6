"""The transaction coordinator, as Apache Kafka 4 behaves towards clients of transaction version 1.

    Empty ── AddPartitions, AddOffsets ─▶ Ongoing ── EndTxn ─▶ Prepare… ── all markers written ─▶ Complete…

A decision counts from the moment when it is made; the markers in the partitions, and the offsets in
the group, follow one by one. Till then the producer's next transaction is told to wait.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.log import INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE
from tests.simulation.loop import SimLoop

CONCURRENT_TRANSACTIONS = 51
INVALID_PRODUCER_ID_MAPPING = 49

EMPTY, ONGOING = "Empty", "Ongoing"
PREPARE = {True: "PrepareCommit", False: "PrepareAbort"}
COMPLETE = {True: "CompleteCommit", False: "CompleteAbort"}

#: A partition (topic, number), or a consumer group by its name.
Place = tuple[str, int] | str
#: Writes the marker of a transaction: place, producer, epoch, whether it is a commit.
MarkerWriter = Callable[[Place, int, int, bool], None]


class Transactional:
    """What the coordinator knows of one transactional id."""

    def __init__(self, producer: int, timeout: float) -> None:
        self.producer = producer
        self.epoch = -1
        self.timeout = timeout
        self.state = EMPTY
        self.places: dict[Place, None] = {}
        self.number = 0
        """Counts transactions, so that a time-out knows its own."""


class Transactions:
    """The coordinator of all transactional ids."""

    def __init__(self, loop: SimLoop, random: Random, write_marker: MarkerWriter) -> None:
        self.ids: dict[str, Transactional] = {}
        self.marker_delay = 0.004
        """Typical time from a decision to a marker in a partition."""
        self._loop = loop
        self._random = random
        self._write_marker = write_marker

    # -- requests; each returns an error code

    def init(self, name: str, timeout: float) -> tuple[int, int, int]:
        """InitProducerId: fence whoever had the id; returns error, producer id, epoch."""
        known = self.ids.get(name)
        if known is None:
            known = self.ids[name] = Transactional(1000 + len(self.ids), timeout)
        if known.state == ONGOING:
            known.epoch += 1
            self._end(known, commit=False)
            return CONCURRENT_TRANSACTIONS, -1, -1
        if known.state in PREPARE.values():
            return CONCURRENT_TRANSACTIONS, -1, -1
        known.epoch += 1
        known.state, known.timeout = EMPTY, timeout
        return 0, known.producer, known.epoch

    def add(self, name: str, producer: int, epoch: int, places: list[Place]) -> int:
        """AddPartitionsToTxn and AddOffsetsToTxn: begin a transaction, or widen it."""
        known = self.ids.get(name)
        error = _check(known, producer, epoch)
        if error or known is None:
            return error
        if known.state in PREPARE.values():
            return CONCURRENT_TRANSACTIONS
        if known.state != ONGOING:
            known.state, known.places = ONGOING, {}
            known.number += 1
            self._loop.call_later(
                known.timeout, self._time_out, known, known.number, context=self._loop.world
            )
        known.places.update(dict.fromkeys(places))
        return 0

    def end(self, name: str, producer: int, epoch: int, *, commit: bool) -> int:
        """EndTxn: decide. An answer to a repeated question, too, where it cannot be told apart."""
        known = self.ids.get(name)
        error = _check(known, producer, epoch)
        if error or known is None:
            return error
        if known.state == ONGOING:
            self._end(known, commit=commit)
            return 0
        if known.state == COMPLETE[commit]:
            return 0
        if known.state == PREPARE[commit]:
            return CONCURRENT_TRANSACTIONS
        return INVALID_TXN_STATE

    def verify(self, name: str, producer: int, epoch: int, place: Place) -> int:
        """Say whether a producer's transaction is open at a place: asked before a write there."""
        known = self.ids.get(name)
        error = _check(known, producer, epoch)
        if error or known is None:
            return error
        if known.state in PREPARE.values():
            return CONCURRENT_TRANSACTIONS
        if known.state != ONGOING or place not in known.places:
            return INVALID_TXN_STATE
        return 0

    # -- what follows a decision

    def _end(self, known: Transactional, *, commit: bool) -> None:
        known.state = PREPARE[commit]
        left = list(known.places)
        if not left:
            known.state = COMPLETE[commit]
        for place in known.places:
            delay = self._random.expovariate(1 / self.marker_delay)
            if self._random.random() < 0.02:
                delay += self._random.random() * 0.5
            self._loop.call_later(
                *(delay, self._mark, known, place, left, known.epoch, commit),
                context=self._loop.world,
            )

    def _mark(
        self, known: Transactional, place: Place, left: list[Place], epoch: int, commit: bool
    ) -> None:
        self._write_marker(place, known.producer, epoch, commit)
        left.remove(place)
        if not left:
            known.state = COMPLETE[commit]

    def _time_out(self, known: Transactional, number: int) -> None:
        if known.state == ONGOING and known.number == number:
            known.epoch += 1
            self._end(known, commit=False)


def _check(known: Transactional | None, producer: int, epoch: int) -> int:
    if known is None or known.producer != producer:
        return INVALID_PRODUCER_ID_MAPPING
    return INVALID_PRODUCER_EPOCH if epoch != known.epoch else 0


def error_answer(code: int) -> Any:
    """Make an answer that says no more than an error code."""
    return Answer(error_code=code)


class Answer:
    """A response, as the clients look into it: attributes, and nothing else."""

    API_VERSION = 3

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
