"""Which rows of a shard have changed since they were last drained, and their bytes.

A row is encoded once a commit, however often it changed: the last value wins. The bytes are made
when they are drained, so nothing can change under the transaction that carries them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processor.rules.order import OrderState
from processor.rules.report import Report
from processor.rules.rows import (
    ASSET_TABLES,
    FORMAT,
    INLINE_TRANSFERS,
    OwnTransfer,
    PackedMark,
    encode,
    packed,
)
from processor.rules.studio import Studio
from schemas.partitioning import quote_id

ChangedRow = tuple[str, bytes, bytes | None]
"""One record for a changelog: table, key, and value or None for a tombstone."""

_ORDERS: Final = "orders"
_BALANCES: Final = "balances"


class Changes:
    """The changed rows by what they are of; their values are read when they are drained."""

    __slots__ = ("_balances", "_mark_count", "_marks", "_orders", "_transfers", "report")

    def __init__(self) -> None:
        self.report: Report | None = None
        """What an observer will be told; None where there is none."""
        # Lists, and dicts for their order: what is drained must not depend on hashes.
        self._orders: list[tuple[Studio, OrderState]] = []
        self._transfers: dict[tuple[Studio, str, str | None], None] = {}
        self._marks: dict[tuple[Studio, int], dict[str, None]] = {}
        self._mark_count = 0
        self._balances: dict[tuple[Studio, str], None] = {}

    def __len__(self) -> int:
        return len(self._orders) + self._mark_count + len(self._balances) + len(self._transfers)

    def order(self, studio: Studio, order: OrderState) -> None:
        """Note that an order has changed, or is dropped."""
        if not order.dirty:
            order.dirty = True
            self._orders.append((studio, order))

    def transfer(self, studio: Studio, order_id: str, scope: str | None) -> None:
        """Note that a transfer with a row of its own has changed."""
        self._transfers[studio, order_id, scope] = None

    def transfers_of(self, studio: Studio, order: OrderState) -> None:
        """Note that all transfers with rows of their own have changed."""
        for transfer in order.transfers[INLINE_TRANSFERS:]:
            self.transfer(studio, order.id, transfer.package_id)

    def marks(self, studio: Studio, table: int, assets: Iterable[str]) -> None:
        """Note that the marks of some assets have changed."""
        changed = self._marks.setdefault((studio, table), {})
        before = len(changed)
        changed.update(dict.fromkeys(assets))
        self._mark_count += len(changed) - before

    def balance(self, studio: Studio, currency: str) -> None:
        """Note that a balance has changed."""
        self._balances[studio, currency] = None

    def tell(self, studio: Studio, order: OrderState, *, kept: bool) -> None:
        """Tell an observer at once what a loaded order is, or that it is no more."""
        if self.report is not None:
            self.report.order(studio, order, kept)

    def account_of(self, studio: Studio) -> None:
        """Note, for an observer, that an account of a studio may have changed."""
        if self.report is not None:
            self.report.touched.add(studio)

    def count_tombstone(self) -> None:
        """Note, for an observer, a tombstone of `order-halted`."""
        if self.report is not None:
            self.report.forgotten += 1

    def count_marks(self, table: int, count: int) -> None:
        """Note that there are more marks, or fewer."""
        if self.report is not None:
            self.report.rows[ASSET_TABLES[table]] += count

    def drain(self) -> list[ChangedRow]:
        """Give every changed row once, and forget that it changed."""
        rows: list[ChangedRow] = []
        for studio, order in self._orders:
            self._drain_order(studio, order, rows)
        for studio, order_id, scope in self._transfers:
            # The whole order's transfer, where it came so late, has an empty package id.
            key = _key(studio, order_id) + b"/" + quote_id(scope or "").encode()
            rows.append((_ORDERS, key, _encode_transfer(studio, order_id, scope)))
        orders = len(rows)
        for (studio, table), assets in self._marks.items():
            _drain_marks(studio, table, assets, rows)
        for studio, currency in self._balances:
            self.account_of(studio)
            account = studio.accounts.get(currency)
            balance = None if account is None else account.balance
            value = None if balance is None else encode(balance)
            rows.append((_BALANCES, _key(studio, currency), value))
        if self.report is not None:
            self._count_written(self.report.written, orders)
        self.clear()
        return rows

    def _count_written(self, written: dict[str, int], orders: int) -> None:
        """Tell an observer how many rows of each table there were, without looking at them."""
        for (_, table), assets in self._marks.items():
            name = ASSET_TABLES[table]
            written[name] = written.get(name, 0) + len(assets)
        written[_BALANCES] = len(self._balances)
        written[_ORDERS] = orders

    def _drain_order(self, studio: Studio, order: OrderState, rows: list[ChangedRow]) -> None:
        order.dirty = False
        kept = studio.orders.get(order.id)
        if self.report is not None and (order.moved or kept is not order):
            self.report.order(studio, order, kept is order)
        if kept is None:
            rows.append((_ORDERS, _key(studio, order.id), None))
        elif kept is order:
            rows.append((_ORDERS, _key(studio, order.id), _encode_order(studio, order)))
        # Else it was dropped, and another of the same id came, which is noted as well.

    def clear(self) -> None:
        """Forget what changed."""
        for _, order in self._orders:
            order.dirty = False
        self._orders = []
        self._transfers = {}
        self._marks = {}
        self._mark_count = 0
        self._balances = {}


def _key(studio: Studio, item: str) -> bytes:
    return (studio.key_prefix + quote_id(item)).encode()


def _encode_order(studio: Studio, order: OrderState) -> bytes:
    if len(order.transfers) > INLINE_TRANSFERS:
        return encode(order.fields(order.transfers[:INLINE_TRANSFERS]))
    value = encode(order.fields(order.transfers))
    studio.pack(order, value)
    return value


def _encode_transfer(studio: Studio, order_id: str, scope: str | None) -> bytes | None:
    order = studio.order(order_id)
    for transfer in order.transfers[INLINE_TRANSFERS:] if order is not None else ():
        if transfer.package_id == scope:
            return encode(OwnTransfer(FORMAT, transfer))
    return None


def _drain_marks(studio: Studio, table: int, assets: Iterable[str], rows: list[ChangedRow]) -> None:
    name, marks = ASSET_TABLES[table], studio.marks[table]
    # The assets of one event share their mark, which is then encoded once.
    last: PackedMark | None = None
    encoded: bytes | None = None
    for asset in assets:
        mark = marks.get(asset)
        if mark is None:
            encoded = None
        elif mark is not last:
            encoded = mark if isinstance(mark, bytes) else packed(encode(mark))
        last = mark
        if encoded is not None:
            marks[asset] = encoded
        rows.append((name, _key(studio, asset), encoded))
