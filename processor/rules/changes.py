"""Which rows of a shard have changed since they were last drained, and their bytes.

A row is encoded once a commit, however often it changed: the last value wins. Rows are frozen, so
what is drained cannot change under the transaction that carries it.
"""

from __future__ import annotations

from collections.abc import Iterator

from processor.rules.rows import ASSET_TABLES, INLINE_TRANSFERS, Mark, Order, encode
from processor.rules.studio import Studio, with_transfers
from schemas.partitioning import join_key

ChangedRow = tuple[str, bytes, bytes | None]
"""One record for a changelog: table, key, and value or None for a tombstone."""


class Changes:
    """The keys of changed rows; their values are read when they are drained."""

    __slots__ = ("_balances", "_marks", "_orders", "_transfers")

    def __init__(self) -> None:
        self._orders: dict[tuple[Studio, str], None] = {}
        self._transfers: dict[tuple[Studio, str, str | None], None] = {}
        self._marks: tuple[dict[tuple[Studio, str], None], ...] = ({}, {}, {})
        self._balances: dict[tuple[Studio, str], None] = {}

    def __len__(self) -> int:
        return (
            len(self._orders)
            + len(self._transfers)
            + sum(map(len, self._marks))
            + len(self._balances)
        )

    def order(self, studio: Studio, order_id: str) -> None:
        """Note that an order's row has changed."""
        self._orders[studio, order_id] = None

    def transfer(self, studio: Studio, order_id: str, scope: str | None) -> None:
        """Note that a transfer with a row of its own has changed."""
        self._transfers[studio, order_id, scope] = None

    def transfers_of(self, studio: Studio, order_id: str, order: Order) -> None:
        """Note that all transfers with rows of their own have changed."""
        for transfer in order.transfers[INLINE_TRANSFERS:]:
            self.transfer(studio, order_id, transfer.package_id)

    def mark(self, studio: Studio, table: int, asset: str) -> None:
        """Note that the mark of an asset has changed."""
        self._marks[table][studio, asset] = None

    def balance(self, studio: Studio, currency: str) -> None:
        """Note that a balance has changed."""
        self._balances[studio, currency] = None

    def drain(self) -> Iterator[ChangedRow]:
        """Give every changed row once, and forget that it changed. Take them all at once."""
        for studio, order_id in self._orders:
            key = _key(studio, join_key(order_id))
            yield ("orders", key, _encode_order(studio, order_id))
        for studio, order_id, scope in self._transfers:
            yield _transfer_row(studio, order_id, scope)
        for table, marks in enumerate(self._marks):
            yield from _encode_marks(table, marks)
        for studio, currency in self._balances:
            account = studio.accounts.get(currency)
            row = account.balance if account is not None else None
            value = encode(row) if row is not None else None
            yield ("balances", _key(studio, currency), value)
        self.clear()

    def clear(self) -> None:
        """Forget what changed."""
        self._orders.clear()
        self._transfers.clear()
        for marks in self._marks:
            marks.clear()
        self._balances.clear()


def _key(studio: Studio, rest: str) -> bytes:
    return (studio.key_prefix + rest).encode()


def _encode_order(studio: Studio, order_id: str) -> bytes | None:
    row = studio.orders.get(order_id)
    if row is None or isinstance(row, bytes):
        return row
    if len(row.transfers) > INLINE_TRANSFERS:
        return encode(with_transfers(row, row.transfers[:INLINE_TRANSFERS]))
    value = encode(row)
    studio.pack(order_id, row, value)
    return value


def _transfer_row(studio: Studio, order_id: str, scope: str | None) -> ChangedRow:
    # The whole order's transfer, where it came so late, takes the place of an empty package id.
    key = _key(studio, join_key(order_id, scope or ""))
    order = studio.order(order_id)
    for transfer in order.transfers[INLINE_TRANSFERS:] if order is not None else ():
        if transfer.package_id == scope:
            return ("orders", key, encode(transfer))
    return ("orders", key, None)


def _encode_marks(table: int, marks: dict[tuple[Studio, str], None]) -> Iterator[ChangedRow]:
    """Encode the mark that the assets of one event share only once."""
    last: Mark | None = None
    value: bytes | None = None
    name = ASSET_TABLES[table]
    for studio, asset in marks:
        mark = studio.marks[table].get(asset)
        if mark is not last:
            value = encode(mark) if mark is not None else None
            last = mark
        yield (name, _key(studio, join_key(asset)), value)
