"""Apply `order-cancelled`: an order is taken out of flight, and its halt ends."""

from __future__ import annotations

from processor.agents.batches import Batches


async def order_cancelled(batches: Batches) -> None:
    """order-cancelled → an order is taken out of flight, and its halt ends."""
    async for batch in batches:
        await batch.apply()
