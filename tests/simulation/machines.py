"""The state machines of a scenario: the rules of the product, or one that counts."""

from __future__ import annotations

from processor.rules.machine import Machine
from processor.runtime.protocol import MachineFactory
from tests.runtime.toymachine import ToyMachine
from tests.simulation.scenario import Scenario


def factory_of(scenario: Scenario) -> MachineFactory:
    """Return what makes the empty machine of a partition."""
    if not scenario.rules:
        return ToyMachine
    return lambda number: Machine(number, partitions=scenario.partitions)
