"""Filling a shard from rows, one at a time: recovery, replay and read replicas share this.

Rows may come in any order, old ones before new ones, as a changelog has them.
"""

from __future__ import annotations

from processor.rules.judge import IN_FLIGHT
from processor.rules.order import OrderState
from processor.rules.rows import INLINE_TRANSFERS, Balance, Mark, Order, Transfer
from processor.rules.shard import Shard
from processor.rules.studio import Studio


def replace_order(shard: Shard, studio_id: str, order_id: str, row: Order | None) -> None:
    """Take an order's row as it stands in the changelog; None where it is gone."""
    studio = _studio(shard, studio_id)
    old = studio.take(order_id)
    if old is not None:
        studio.withdraw(old)
        shard.changes.tell(studio, old, kept=False)
    if row is None:
        studio.orders.pop(order_id, None)
        _drop_if_empty(shard, studio)
        return
    order = studio.orders[order_id] = OrderState.of_row(order_id, row)
    if order.forgotten_ms is not None:
        shard.changes.tell(studio, order, kept=True)
        shard.forgetting.watch_forgotten(order.forgotten_ms, studio_id, order_id)
        return
    loose = studio.loose_transfers.pop(order_id, {})
    apart = old.transfers[INLINE_TRANSFERS:] if old is not None else ()
    if loose or apart:
        order.transfers = (*order.transfers, *apart, *loose.values())
        order.stand()
    studio.enter(order)
    shard.changes.tell(studio, order, kept=True)
    if order.phase is not IN_FLIGHT:
        shard.forgetting.watch_order(order.touched_ms, studio_id, order_id)


def replace_transfer(
    shard: Shard, studio_id: str, order_id: str, scope: str | None, row: Transfer | None
) -> None:
    """Take a transfer that has a row of its own."""
    studio = _studio(shard, studio_id)
    studio.put_transfer(order_id, scope, row)
    order = studio.take(order_id)
    if order is not None:
        shard.changes.tell(studio, order, kept=True)
    if order is not None and order.forgotten_ms is None and order.phase is not IN_FLIGHT:
        # It may have closed with this very transfer, so that its own row set no timer.
        shard.forgetting.watch_order(order.touched_ms, studio_id, order_id)
    _drop_if_empty(shard, studio)


def replace_mark(
    shard: Shard, table: int, studio_id: str, asset: str, row: Mark | None, value: bytes | None
) -> None:
    """Take the mark of an asset, and the bytes of its row, which are kept."""
    studio = _studio(shard, studio_id)
    shard.changes.count_marks(table, (row is not None) - (asset in studio.marks[table]))
    if row is None:
        studio.marks[table].pop(asset, None)
        _drop_if_empty(shard, studio)
    else:
        assert value is not None, "a row has bytes"
        studio.marks[table][asset] = value
        shard.forgetting.watch_marks(row.touched_ms, table, studio_id, (asset,))


def replace_balance(shard: Shard, studio_id: str, currency: str, row: Balance | None) -> None:
    """Take the balance of an account."""
    studio = _studio(shard, studio_id)
    studio.account(currency).set_balance(row)
    shard.changes.account_of(studio)
    _drop_if_empty(shard, studio)


def _studio(shard: Shard, studio_id: str) -> Studio:
    studio = shard.studios.get(studio_id)
    if studio is None:
        studio = shard.studios[studio_id] = Studio(studio_id)
    return studio


def _drop_if_empty(shard: Shard, studio: Studio) -> None:
    if studio.empty:
        del shard.studios[studio.id]


def settle_in(shard: Shard) -> list[tuple[str, str]]:
    """Check, once all rows are there, that they are what these rules made.

    Gives the (studio_id, order_id) whose credit the rules now see otherwise: none, unless the
    rules have changed since the rows were written.
    """
    return [
        (studio.id, order_id)
        for studio in shard.studios.values()
        for account in studio.accounts.values()
        for order_id in account.fund()
    ]
