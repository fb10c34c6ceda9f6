"""Simulated shops: a seed gives a world of studios, and the world gives its events for ever.

Pure and deterministic: the same settings give the same bytes, on every machine and every Python.
Time is virtual; whoever sends the records decides how it passes.
"""

from processor.simulator.records import Record
from processor.simulator.settings import Settings
from processor.simulator.world import simulate

__all__ = ["Record", "Settings", "simulate"]
