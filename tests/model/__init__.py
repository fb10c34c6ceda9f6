"""An independent brute-force model of the contract, written from contract.md alone.

It imports nothing of the engine. `Model.feed` takes a record and says what must come of it.
"""

from .model import Model
from .records import (
    ASSET_DELETED,
    ASSET_RESTORED,
    BALANCE_CHANGED,
    INPUT_TOPICS,
    LAB_TRANSFER,
    ORDER_CANCELLED,
    ORDER_PLACED,
    ORDER_REINSTATED,
    Emitted,
    Outcome,
    Record,
    murmur2,
    order_key,
    partition_of,
)

__all__ = [
    "ASSET_DELETED",
    "ASSET_RESTORED",
    "BALANCE_CHANGED",
    "INPUT_TOPICS",
    "LAB_TRANSFER",
    "ORDER_CANCELLED",
    "ORDER_PLACED",
    "ORDER_REINSTATED",
    "Emitted",
    "Model",
    "Outcome",
    "Record",
    "murmur2",
    "order_key",
    "partition_of",
]
