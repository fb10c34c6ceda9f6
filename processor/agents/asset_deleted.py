"""Apply `asset-deleted`: assets are gone, and the orders in flight that need them are judged."""

from __future__ import annotations

from processor.agents.batches import Batches


async def asset_deleted(batches: Batches) -> None:
    """asset-deleted → assets are gone, and the orders in flight that need them are judged."""
    async for batch in batches:
        await batch.apply()
