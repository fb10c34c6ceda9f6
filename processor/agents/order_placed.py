"""Apply `order-placed`: an order is placed or amended, and judged."""

from __future__ import annotations

from processor.agents.batches import Batches


async def order_placed(batches: Batches) -> None:
    """order-placed → an order is placed or amended, and judged."""
    async for batch in batches:
        await batch.apply()
