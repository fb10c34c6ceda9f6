"""Apply `order-reinstated`: a cancelled order is in flight again, and judged."""

from __future__ import annotations

from processor.agents.batches import Batches


async def order_reinstated(batches: Batches) -> None:
    """order-reinstated → a cancelled order is in flight again, and judged."""
    async for batch in batches:
        await batch.apply()
