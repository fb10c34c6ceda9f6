"""What goes into the model and comes out of it: Kafka records, topics, keys (contract §1)."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote

ORDER_PLACED = "order-placed"
ORDER_CANCELLED = "order-cancelled"
ORDER_REINSTATED = "order-reinstated"
ASSET_DELETED = "asset-deleted"
ASSET_RESTORED = "asset-restored"
LAB_TRANSFER = "lab-transfer"
BALANCE_CHANGED = "balance-changed"
INPUT_TOPICS = (
    ORDER_PLACED,
    ORDER_CANCELLED,
    ORDER_REINSTATED,
    ASSET_DELETED,
    ASSET_RESTORED,
    LAB_TRANSFER,
    BALANCE_CHANGED,
)


class Record(NamedTuple):
    """One input record as Kafka has it; `topic` with its prefix, `timestamp` in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Emitted(NamedTuple):
    """One record for `order-halted`; `value` None is a tombstone."""

    key: str
    value: dict[str, Any] | None
    headers: dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What one input record does: it is rejected with a code of §6, or it emits records."""

    rejected: str | None = None
    message: str | None = None
    emitted: list[Emitted] = field(default_factory=list)


class RejectedError(Exception):
    """The record is not an event (contract §6)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def order_key(studio_id: str, order_id: str) -> str:
    """Make the key of `order-halted` (contract §1): both ids percent-encoded, joined by `/`."""
    return f"{quote(studio_id, safe='')}/{quote(order_id, safe='')}"


def murmur2(data: bytes) -> int:
    """Compute MurmurHash2 with Kafka's seed, as an unsigned 32-bit number."""
    m = 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & 0xFFFFFFFF
        k = (k ^ k >> 24) * m & 0xFFFFFFFF
        h = h * m & 0xFFFFFFFF ^ k
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & 0xFFFFFFFF
    h = (h ^ h >> 13) * m & 0xFFFFFFFF
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Find the partition that Kafka's default partitioner gives a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
