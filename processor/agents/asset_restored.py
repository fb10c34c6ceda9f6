"""Apply `asset-restored`: assets are back, and the orders in flight that need them are judged."""

from __future__ import annotations

from processor.agents.batches import Batches


async def asset_restored(batches: Batches) -> None:
    """asset-restored → assets are back, and the orders in flight that need them are judged."""
    async for batch in batches:
        await batch.apply()
