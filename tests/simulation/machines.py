"""The state machines of a scenario: the rules of the product, or one that counts."""

from __future__ import annotations

from typing import Any

from processor.rules.machine import Machine
from processor.runtime.protocol import MachineFactory
from tests.runtime.toymachine import ToyMachine
from tests.simulation.loop import SimLoop
from tests.simulation.scenario import Scenario


def factory_of(scenario: Scenario) -> MachineFactory:
    """Return what makes the empty machine of a partition."""
    if not scenario.rules:
        return ToyMachine
    return lambda number: Machine(number, partitions=scenario.partitions)


def slow(factory: MachineFactory, loop: SimLoop, seconds: float) -> MachineFactory:
    """Let every record take its time, in which nothing else runs."""
    if not seconds:
        return factory

    def make(number: int) -> Any:
        machine: Any = factory(number)
        apply = machine.apply

        def apply_slowly(*args: Any) -> Any:
            loop.now += seconds
            return apply(*args)

        return _Slow(machine, apply_slowly)

    return make


class _Slow:
    """A machine with another `apply`."""

    def __init__(self, machine: Any, apply: Any) -> None:
        self._machine = machine
        self.apply = apply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)
