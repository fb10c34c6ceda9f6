"""Apply `balance-changed`: an account has other means, and its queue is funded again."""

from __future__ import annotations

from processor.agents.batches import Batches


async def balance_changed(batches: Batches) -> None:
    """balance-changed → an account has other means, and its queue is funded again."""
    async for batch in batches:
        await batch.apply()
