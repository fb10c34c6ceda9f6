"""Which rows of a shard have changed since they were last drained, and their bytes.

A row is encoded once a commit, however often it changed: the last value wins. Rows are frozen, so
what is drained cannot change under the transaction that carries it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from processor.rules.rows import (
    ASSET_TABLES,
    FORMAT,
    INLINE_TRANSFERS,
    Mark,
    Order,
    OwnTransfer,
    encode,
)
from processor.rules.studio import Studio, with_transfers
from schemas.partitioning import join_key

ChangedRow = tuple[str, bytes, bytes | None]
"""One record for a changelog: table, key, and value or None for a tombstone."""

# What a changed row is of; below them the positions of the asset tables.
_ORDER: Final = len(ASSET_TABLES)
_TRANSFER: Final = _ORDER + 1
_BALANCE: Final = _ORDER + 2

_Row = tuple[int, Studio, str, str | None]
"""(kind, studio, id, scope of a transfer that has a row of its own)."""


class Changes:
    """The changed rows by what they are of; their values are read when they are drained."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        # A dict for its order: what is drained must not depend on hashes.
        self._rows: dict[_Row, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def order(self, studio: Studio, order_id: str) -> None:
        """Note that an order's row has changed."""
        self._rows[_ORDER, studio, order_id, None] = None

    def transfer(self, studio: Studio, order_id: str, scope: str | None) -> None:
        """Note that a transfer with a row of its own has changed."""
        self._rows[_TRANSFER, studio, order_id, scope] = None

    def transfers_of(self, studio: Studio, order_id: str, order: Order) -> None:
        """Note that all transfers with rows of their own have changed."""
        for transfer in order.transfers[INLINE_TRANSFERS:]:
            self.transfer(studio, order_id, transfer.package_id)

    def mark(self, studio: Studio, table: int, asset: str) -> None:
        """Note that the mark of an asset has changed."""
        self._rows[table, studio, asset, None] = None

    def balance(self, studio: Studio, currency: str) -> None:
        """Note that a balance has changed."""
        self._rows[_BALANCE, studio, currency, None] = None

    def drain(self) -> Iterator[ChangedRow]:
        """Give every changed row once, and forget that it changed. Take them all at once."""
        # The assets of one event share their mark, which is then encoded once.
        last: Mark | None = None
        encoded: bytes | None = None
        for kind, studio, item, scope in self._rows:
            key = (studio.key_prefix + join_key(item)).encode()
            if kind == _ORDER:
                yield "orders", key, _encode_order(studio, item)
            elif kind < _ORDER:
                mark = studio.marks[kind].get(item)
                if mark is None or mark is not last:
                    last, encoded = mark, None if mark is None else encode(mark)
                yield ASSET_TABLES[kind], key, encoded
            elif kind == _BALANCE:
                account = studio.accounts.get(item)
                balance = None if account is None else account.balance
                yield "balances", key, None if balance is None else encode(balance)
            else:
                # The whole order's transfer, where it came so late, has an empty package id.
                key += b"/" + join_key(scope or "").encode()
                yield "orders", key, _encode_transfer(studio, item, scope)
        self._rows.clear()

    def clear(self) -> None:
        """Forget what changed."""
        self._rows.clear()


def _encode_order(studio: Studio, order_id: str) -> bytes | None:
    row = studio.orders.get(order_id)
    if row is None or isinstance(row, bytes):
        return row
    if len(row.transfers) > INLINE_TRANSFERS:
        return encode(with_transfers(row, row.transfers[:INLINE_TRANSFERS]))
    value = encode(row)
    studio.pack(order_id, row, value)
    return value


def _encode_transfer(studio: Studio, order_id: str, scope: str | None) -> bytes | None:
    order = studio.order(order_id)
    for transfer in order.transfers[INLINE_TRANSFERS:] if order is not None else ():
        if transfer.package_id == scope:
            return encode(OwnTransfer(FORMAT, transfer))
    return None
