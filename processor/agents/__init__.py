"""One agent per input topic: what arrives, and what happens then.

An agent says which topic leads where; what an event means is decided by the machine of its partition
(`processor.rules`), and that it counts once is the runtime's work (`processor.runtime`).
"""

from processor.agents.asset_deleted import asset_deleted
from processor.agents.asset_restored import asset_restored
from processor.agents.balance_changed import balance_changed
from processor.agents.lab_transfer import lab_transfer
from processor.agents.order_cancelled import order_cancelled
from processor.agents.order_placed import order_placed
from processor.agents.order_reinstated import order_reinstated

__all__ = [
    "asset_deleted",
    "asset_restored",
    "balance_changed",
    "lab_transfer",
    "order_cancelled",
    "order_placed",
    "order_reinstated",
]
