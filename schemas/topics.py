"""Bind every topic's name, key, value type and settings in one place (contract.md §1).

Names here carry no prefix; `prefixed` puts one before them. All input and private topics have the
same number of partitions, which is the deployment's choice and therefore not written here.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from schemas import events, halted

MEBIBYTE: Final = 1 << 20
DAY_MS: Final = 86_400_000

#: A record whose value is longer is rejected as `too_large` (contract.md §6), in bytes.
INPUT_VALUE_MAX_BYTES: Final = MEBIBYTE
#: `order-halted` and the changelogs must accept at least this, in bytes (contract.md §1).
OUTPUT_MAX_MESSAGE_BYTES: Final = 4 * MEBIBYTE
#: `orderhalt-rejected` must accept the largest input plus this for our headers, in bytes.
REJECTED_HEADROOM_BYTES: Final = 64 * 1024

Direction = Literal["in", "out", "private"]
KeyKind = Literal["studio_id", "order key", "rejected record's key", "row key", "partition"]


class Topic(Struct, frozen=True):
    """One topic: its name without prefix, who writes it, and how the broker must keep it."""

    name: str
    direction: Direction
    key: KeyKind
    value: type | None
    """The struct of its values; None where the bytes are private or somebody else's."""
    cleanup: Literal["delete", "compact"]
    config: dict[str, str] = {}
    """Further topic settings that `topics create` makes, without `cleanup.policy`."""
    min_message_bytes: int | None = None
    """The least `max.message.bytes` that a start accepts; None: as the broker has it."""


#: The broker's clock stamps every record. Of inputs, because one producer with a wrong clock could
#: age everything; of what workers write, because the broker refuses records of a worker that is more
#: than an hour ahead, and would delete at once those of one that is weeks behind.
_STAMPED_BY_BROKER: Final = {"message.timestamp.type": "LogAppendTime"}


def _input(name: str, value: type) -> Topic:
    return Topic(name, "in", "studio_id", value, "delete", _STAMPED_BY_BROKER)


def _private(
    name: str, key: KeyKind, cleanup: Literal["delete", "compact"], config: dict[str, str]
) -> Topic:
    config = config | _STAMPED_BY_BROKER | {"max.message.bytes": str(OUTPUT_MAX_MESSAGE_BYTES)}
    return Topic(name, "private", key, None, cleanup, config, OUTPUT_MAX_MESSAGE_BYTES)


# Recovery reads a changelog from its start: small segments and a low dirty ratio keep the stale
# rows that it has to read through few.
_OFTEN_COMPACTED: Final = {
    "segment.bytes": str(16 * MEBIBYTE),
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
}

ORDER_PLACED: Final = _input("order-placed", events.OrderPlaced)
ORDER_CANCELLED: Final = _input("order-cancelled", events.OrderCancelled)
ORDER_REINSTATED: Final = _input("order-reinstated", events.OrderReinstated)
ASSET_DELETED: Final = _input("asset-deleted", events.AssetDeleted)
ASSET_RESTORED: Final = _input("asset-restored", events.AssetRestored)
LAB_TRANSFER: Final = _input("lab-transfer", events.LabTransfer)
BALANCE_CHANGED: Final = _input("balance-changed", events.BalanceChanged)

#: The inputs, in the order in which they are listed everywhere.
INPUTS: Final = (
    ORDER_PLACED,
    ORDER_CANCELLED,
    ORDER_REINSTATED,
    ASSET_DELETED,
    ASSET_RESTORED,
    LAB_TRANSFER,
    BALANCE_CHANGED,
)

ORDER_HALTED: Final = Topic(
    "order-halted",
    "out",
    "order key",
    halted.OrderHalted,
    "compact",
    {
        "min.compaction.lag.ms": str(7 * DAY_MS),
        "delete.retention.ms": str(14 * DAY_MS),
        "max.message.bytes": str(OUTPUT_MAX_MESSAGE_BYTES),
        **_STAMPED_BY_BROKER,
    },
    OUTPUT_MAX_MESSAGE_BYTES,
)

REJECTED: Final = Topic(
    "orderhalt-rejected",
    "out",
    "rejected record's key",
    None,
    "delete",
    {
        "retention.ms": str(14 * DAY_MS),
        "max.message.bytes": str(2 * MEBIBYTE),
        **_STAMPED_BY_BROKER,
    },
    INPUT_VALUE_MAX_BYTES + REJECTED_HEADROOM_BYTES,
)

#: The tables of a shard; each has a changelog of its own.
TABLES: Final = ("orders", "products", "photos", "packages", "balances")

CHANGELOGS: Final = {
    table: _private(f"orderhalt-{table}-changelog", "row key", "compact", _OFTEN_COMPACTED)
    for table in TABLES
}

#: One row a partition: up to where its inputs are applied, and what its state was made with.
POSITIONS: Final = _private("orderhalt-positions", "partition", "compact", _OFTEN_COMPACTED)

#: Which ranges of input offsets each transaction applied, in which order.
JOURNAL: Final = _private(
    "orderhalt-journal", "partition", "delete", {"retention.ms": str(30 * DAY_MS)}
)

PRIVATE: Final = (*CHANGELOGS.values(), POSITIONS, JOURNAL)
ALL: Final = (*INPUTS, ORDER_HALTED, REJECTED, *PRIVATE)


def prefixed(topic: Topic, prefix: str) -> str:
    """Name `topic` as it is called on the broker of a deployment with `prefix`."""
    return prefix + topic.name
