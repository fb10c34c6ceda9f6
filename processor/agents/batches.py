"""What an agent iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol


class Batch(Protocol):
    """The records of one partition of the agent's topic, from one poll."""

    async def apply(self) -> None:
        """Hand them to the partition's machine: decode, merge, judge, all or nothing."""


Batches = AsyncIterable[Batch]
