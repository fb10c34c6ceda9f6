"""Put the model in the place of the outside world, for as long as a simulation runs.

Only names that the runtime looks up in modules are replaced: the clients of Kafka, the clock, the end
of the process, the named points at which it may die. The code itself is as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

from aiokafka.producer import message_accumulator, producer

from processor.runtime import (
    clients,
    failpoints,
    failstop,
    garbage,
    membership,
    partition,
    recovery,
    transport,
)
from tests.simulation.admin import SimAdmin
from tests.simulation.client import SimClient, World
from tests.simulation.consumer import SimConsumer
from tests.simulation.loop import SimLoop

#: Told of a fail-stop; must not return.
Stop = Callable[..., NoReturn]

_WITH_CLOCK: tuple[Any, ...] = (partition, membership, recovery, transport, message_accumulator)


def _reader(_config: Any, *, committed: bool = True) -> SimConsumer:
    return SimConsumer(committed=committed, wait=0.1)


def _admin(_config: Any) -> SimAdmin:
    return SimAdmin()


def _nothing(*_args: Any) -> None:
    """Stand for what has no place in a simulation."""


@contextmanager
def model(loop: SimLoop, world: World) -> Iterator[None]:
    """Connect clients to the model, and clocks to the loop."""
    clock = SimpleNamespace(monotonic=loop.time, time=lambda: 1.8e9 + loop.now)
    saved = [(module, module.time) for module in _WITH_CLOCK]
    before = getattr(World, "here", None)
    try:
        World.here = world
        for module in _WITH_CLOCK:
            module.time = clock
        with (
            patch.object(producer, "AIOKafkaClient", SimClient),
            patch.object(clients, "reader", _reader),
            patch.object(clients, "admin", _admin),
        ):
            yield
    finally:
        for module, time in saved:
            module.time = time
        World.here = before  # type: ignore[assignment]


@contextmanager
def processes(
    stop: Stop, stop_after: Callable[[float], None], point: Callable[[str], None]
) -> Iterator[None]:
    """Let a process end as the simulation wants it, and die at named points."""
    with (
        patch.object(failstop, "stop", stop),
        patch.object(failstop, "stop_after", stop_after),
        patch.object(failpoints, "hit", point),
        patch.object(garbage, "defer", _nothing),
    ):
        yield
