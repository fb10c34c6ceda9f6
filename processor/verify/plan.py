"""What a verification is about: the names of a deployment, its rules' settings, and how it keeps logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from processor.rules.machine import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The same for all partitions; topics with their prefix."""

    group: str
    """The consumer group."""
    topic_prefix: str
    inputs: tuple[str, ...]
    changelogs: Mapping[str, str]
    """Table → topic."""
    output: str
    rejected: str
    positions: str
    journal: str
    partitions: int
    any_partitioner: bool
    create_machine: Callable[[int], Machine]
    """Makes the empty machine of a partition, with the settings that the workers have."""
    rejected_limit_bytes: int
    """What one record of the rejected topic may take."""
    halts_kept_since_ms: int | None
    """No record of order-halted written since then can have been compacted; None: any can."""
    rejected_kept_since_ms: int | None
    """No rejected record written since then can have expired; None: any can."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics whose records are compared with the replay."""
        return (self.output, self.rejected, *self.changelogs.values())

    @property
    def topics(self) -> tuple[str, ...]:
        """All topics."""
        return (*self.inputs, *self.outputs, self.positions, self.journal)
