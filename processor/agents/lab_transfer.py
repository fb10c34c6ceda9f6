"""Apply `lab-transfer`: a transfer of an order or a package has started, succeeded or failed."""

from __future__ import annotations

from processor.agents.batches import Batches


async def lab_transfer(batches: Batches) -> None:
    """lab-transfer → a transfer of an order or a package has started, succeeded or failed."""
    async for batch in batches:
        await batch.apply()
