"""The rows of a shard's tables: frozen values, and their bytes in the changelogs (contract.md §3).

A row is MessagePack, array-like, its format number first, so that an older worker can tell that it
must not touch what a newer one wrote. Fields are only ever added at the end of a struct.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from schemas.errors import StateRefused

FORMAT: Final = 1
"""What rows are written as."""
READS: Final = 1
"""Up to which format rows are read. A release reads a format before a later one writes it, and so an
upgrade can be taken back by one release (DECISIONS.md)."""

#: Up to so many transfers of an order stand in its own row; the others have rows of their own, or
#: a row could outgrow what `order-halted` and the changelogs must accept (4 MiB).
INLINE_TRANSFERS: Final = 32

# The value of a transfer's status is its rank in the merge (contract.md §3).
STARTED: Final = 0
FAILED: Final = 1
SUCCEEDED: Final = 2


class Line(Struct, frozen=True, gc=False, array_like=True):
    """A line of an order and the assets that it refers to."""

    line_id: str
    product_id: str
    photo_ids: tuple[str, ...]
    package_id: str | None


class Placed(Struct, frozen=True, gc=False, array_like=True):
    """The order as kept. Instants are in microseconds, money in minor units of `currency`."""

    version: int
    occurred_at: int
    event_id: str
    placed_at: int
    lines: tuple[Line, ...]
    cost_minor: int
    currency: str
    paid: bool


class Standing(Struct, frozen=True, gc=False, array_like=True):
    """Whether the order was last cancelled or reinstated."""

    occurred_at: int
    cancelled: bool
    event_id: str


class Transfer(Struct, frozen=True, gc=False, array_like=True):
    """The transfer as kept of one scope: a package, or the whole order where it is None."""

    package_id: str | None
    status: int
    attempt: int
    will_retry: bool
    occurred_at: int
    event_id: str
    transfer_id: str
    lab_id: str | None
    error: tuple[str, str] | None
    """Code and message."""


class Halt(Struct, frozen=True, gc=False, array_like=True):
    """What was last said of the order on `order-halted`; it is halted where `reasons` are."""

    sequence: int
    episode: int
    halted_since: int
    reasons: tuple[tuple[int, int], ...]
    """(position of the code in PRECEDENCE, since), by precedence."""
    digest: bytes
    """Of all that makes a new record when it changes (contract.md §5)."""


class Order(Struct, frozen=True, gc=False, array_like=True):
    """All that is known of one order; `placed` is None while only early facts have come."""

    format: int
    touched_ms: int
    """From where its age counts (contract.md §7)."""
    placed: Placed | None
    standing: Standing | None
    transfers: tuple[Transfer, ...]
    settled: tuple[str, ...]
    """Currencies whose balance has listed the order."""
    halt: Halt | None
    forgotten_ms: int | None = None
    """The partition time at which all but the id was forgotten; None for any other order."""


class Mark(Struct, frozen=True, gc=False, array_like=True):
    """An asset was deleted or restored; `gone` means deleted and not restored."""

    format: int
    touched_ms: int
    occurred_at: int
    gone: bool
    event_id: str
    deleted_by: str | None
    restorable_until: int | None


PackedMark = Mark | bytes
"""A mark, or the bytes of its row: most are never looked at, and so they take a third of the room."""
Marks = tuple[dict[str, PackedMark], dict[str, PackedMark], dict[str, PackedMark]]
"""Of products, photos and packages, by id."""


class Balance(Struct, frozen=True, gc=False, array_like=True):
    """The balance as kept of a studio and currency."""

    format: int
    version: int
    occurred_at: int
    event_id: str
    balance_minor: int
    credit_limit_minor: int | None
    """None: no limit, no check."""
    lists: bool
    """It names the orders that it contains; else it contains what was secured by its date."""


class OwnTransfer(Struct, frozen=True, gc=False, array_like=True):
    """A transfer that has a row of its own."""

    format: int
    transfer: Transfer


class Checkpoint(Struct, frozen=True, array_like=True):
    """What a state was made with, besides its rows."""

    format: int
    rules_version: int
    partition_time: int | None
    partitions: int | None = None
    """Of every input; None where it is not known (replay)."""


ROW_TYPES: Final[dict[str, type]] = {
    "orders": Order,
    "products": Mark,
    "photos": Mark,
    "packages": Mark,
    "balances": Balance,
}
TABLES: Final = tuple(ROW_TYPES)
#: The tables of marks; an asset type is known by its position in here.
ASSET_TABLES: Final = ("products", "photos", "packages")

encode: Final = msgspec.msgpack.Encoder().encode
decode_order: Final = msgspec.msgpack.Decoder(Order).decode
_decode_mark: Final = msgspec.msgpack.Decoder(Mark).decode
_decoders: Final[dict[Any, msgspec.msgpack.Decoder[Any]]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in {*ROW_TYPES.values(), OwnTransfer}
}


def packed(value: bytes) -> bytes:
    """Give bytes that are kept: the encoder's own take up to half as much again as their length."""
    return b"%b" % value


def unpacked(mark: PackedMark) -> Mark:
    """Give a mark to look at."""
    return _decode_mark(mark) if isinstance(mark, bytes) else mark


def decode(kind: type, table: str, value: bytes) -> Any:
    """Decode a row of `table`; raises StateRefused where a newer release wrote it."""
    try:
        row = _decoders[kind].decode(value)
    except msgspec.MsgspecError as fault:
        raise StateRefused(_unreadable(table, value, fault)) from fault
    if row.format > READS:
        raise StateRefused(_newer(table, row.format))
    return row


def _newer(table: str, version: int) -> str:
    return (
        f"The changelog of table {table} holds rows of format {version}; this release reads up to "
        f"{READS}. Start the newer release, or the one between the two."
    )


def _unreadable(table: str, value: bytes, fault: Exception) -> str:
    first = value[1] if len(value) > 1 and 0x90 <= value[0] <= 0x9F else READS
    if READS < first < 0x80:
        return _newer(table, first)
    return (
        f"The changelog of table {table} holds a row that cannot be read ({fault}). Something else "
        "wrote to this private topic: restore it, or give this deployment a topic prefix of its own."
    )
