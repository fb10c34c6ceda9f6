"""The rows of one studio and the indexes derived from them.

`put_order` and `put_mark` are the only writers. Each takes the old row out of the indexes and the
new one in, so that live events, recovery, replay and read replicas keep them right in the same way.
"""

from __future__ import annotations

from itertools import chain

from processor.rules.credit import Account, Turn
from processor.rules.judge import CREDIT, PACKAGE, Phase, closing, phase_of
from processor.rules.rows import INLINE_TRANSFERS, Mark, Order, Placed, Transfer, decode_order

_CLOSED = (Phase.CANCELLED, Phase.SECURED)

Users = dict[str, str | set[str]]
"""Asset id → the orders in flight that refer to it: most assets have one."""


class Studio:
    """Everything known of one studio."""

    __slots__ = (
        "accounts",
        "held_marks",
        "id",
        "loose_transfers",
        "marks",
        "orders",
        "released_marks",
        "users",
    )

    def __init__(self, studio_id: str) -> None:
        self.id = studio_id
        self.orders: dict[str, Order | bytes] = {}
        """Rows by order id; closed orders stay packed as the bytes of their row."""
        self.loose_transfers: dict[str, dict[str | None, Transfer]] = {}
        """Rows of single transfers whose order's row has not been read yet (recovery only)."""
        self.marks: tuple[dict[str, Mark], dict[str, Mark], dict[str, Mark]] = ({}, {}, {})
        self.users: tuple[Users, Users, Users] = ({}, {}, {})
        self.accounts: dict[str, Account] = {}
        self.held_marks: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        """Marks past their age that an order in flight refers to."""
        self.released_marks: list[tuple[int, str]] = []
        """Held marks that no order in flight refers to any more: (table, asset id)."""

    def order(self, order_id: str) -> Order | None:
        """Give an order's row."""
        row = self.orders.get(order_id)
        return decode_order(row) if isinstance(row, bytes) else row

    def account(self, currency: str) -> Account:
        """Give the account of a currency; make it where there is none yet."""
        account = self.accounts.get(currency)
        if account is None:
            account = self.accounts[currency] = Account(currency)
        return account

    @property
    def empty(self) -> bool:
        """Whether nothing is known of the studio any more."""
        return not (
            self.orders
            or self.loose_transfers
            or any(self.marks)
            or any(not account.empty for account in self.accounts.values())
        )

    # ---- orders

    def put_order(self, order_id: str, old: Order | None, new: Order | None) -> Phase | None:
        """Replace an order's row; `old` is what `order` gives. Return the new row's phase."""
        before = None if old is None else phase_of(old)
        after = None if new is None else phase_of(new)
        was, now = before is Phase.IN_FLIGHT, after is Phase.IN_FLIGHT
        if was or now:
            old_placed = old.placed if old is not None and was else None
            new_placed = new.placed if new is not None and now else None
            if old_placed is not new_placed:
                # In before out: an asset of both is not without a user in between.
                if new_placed is not None:
                    self._refer(order_id, new_placed)
                if old_placed is not None:
                    self._unrefer(order_id, old_placed, new_placed)
        self._place_on_account(order_id, old, before, new, after)
        if new is None:
            self.orders.pop(order_id, None)
        else:
            self.orders[order_id] = new
        return after

    def put_halt(self, order_id: str, order: Order) -> None:
        """Replace a row of which only the halt has changed: no index depends on it."""
        self.orders[order_id] = order

    def pack(self, order_id: str, order: Order, value: bytes) -> None:
        """Keep a closed order as the bytes of its row: most are never looked at again."""
        if (order.standing or order.transfers) and phase_of(order) in _CLOSED:
            self.orders[order_id] = value

    def _place_on_account(
        self,
        order_id: str,
        old: Order | None,
        before: Phase | None,
        new: Order | None,
        after: Phase | None,
    ) -> None:
        old_turn = _turn(order_id, old) if before is Phase.IN_FLIGHT else None
        new_turn = _turn(order_id, new) if after is Phase.IN_FLIGHT else None
        if old_turn != new_turn:
            if old_turn is not None:
                self.accounts[old_turn[0]].dequeue(order_id)
            if new_turn is not None:
                assert new is not None
                codes = [code for code, _ in new.halt.reasons] if new.halt is not None else []
                self.account(new_turn[0]).enqueue(
                    new_turn[1],
                    new_turn[2],
                    missing=bool(codes) and codes[0] <= PACKAGE,
                    short=CREDIT in codes,
                )
        old_secured = _secured(old) if before is Phase.SECURED else None
        new_secured = _secured(new) if after is Phase.SECURED else None
        if old_secured != new_secured:
            if old_secured is not None:
                currency, closed, cost = old_secured
                self.accounts[currency].remove_secured(closed, order_id, cost)
            if new_secured is not None:
                currency, closed, cost = new_secured
                self.account(currency).add_secured(closed, order_id, cost)

    def _refer(self, order_id: str, placed: Placed) -> None:
        for users, assets in zip(self.users, _assets(placed), strict=True):
            for asset in assets:
                user = users.setdefault(asset, order_id)
                if user is not order_id:
                    if isinstance(user, set):
                        user.add(order_id)
                    elif user != order_id:
                        users[asset] = {user, order_id}

    def _unrefer(self, order_id: str, placed: Placed, still: Placed | None) -> None:
        kept = _assets(still) if still is not None else ((), (), ())
        for table, users in enumerate(self.users):
            for asset in set(_assets(placed)[table]).difference(kept[table]):
                user = users[asset]
                if isinstance(user, set):
                    user.remove(order_id)
                    if user:
                        continue
                del users[asset]
                if asset in self.held_marks[table]:
                    self.held_marks[table].remove(asset)
                    self.released_marks.append((table, asset))

    def put_transfer(self, order_id: str, scope: str | None, transfer: Transfer | None) -> None:
        """Replace a transfer that has a row of its own (read one row at a time)."""
        old = self.order(order_id)
        if old is None or len(old.transfers) < INLINE_TRANSFERS:
            loose = self.loose_transfers.setdefault(order_id, {})
            if transfer is not None:
                loose[scope] = transfer
            else:
                loose.pop(scope, None)
            if not loose:
                del self.loose_transfers[order_id]
            return
        others = [x for x in old.transfers if x.package_id != scope]
        self.put_order(
            order_id,
            old,
            with_transfers(old, (*others, transfer) if transfer is not None else tuple(others)),
        )

    def users_of(self, table: int, asset: str) -> tuple[str, ...] | set[str]:
        """Give the orders in flight that refer to an asset."""
        user = self.users[table].get(asset)
        if user is None:
            return ()
        return (user,) if isinstance(user, str) else user


def with_transfers(order: Order, transfers: tuple[Transfer, ...]) -> Order:
    """Give the row with other transfers."""
    return Order(
        order.format,
        order.touched_ms,
        order.placed,
        order.standing,
        transfers,
        order.settled,
        order.halt,
        order.forgotten_ms,
    )


def _assets(
    placed: Placed,
) -> tuple[tuple[str, ...] | set[str], tuple[str, ...] | set[str], tuple[str, ...] | set[str]]:
    """Give the products, photos and packages that an order refers to, secured lines included."""
    lines = placed.lines
    if len(lines) == 1:
        line = lines[0]
        package = () if line.package_id is None else (line.package_id,)
        return (line.product_id,), line.photo_ids, package
    return (
        {line.product_id for line in lines},
        set(chain.from_iterable([line.photo_ids for line in lines])),
        {line.package_id for line in lines if line.package_id is not None},
    )


def _turn(order_id: str, order: Order | None) -> tuple[str, Turn, int] | None:
    """Give (currency, turn, cost) where an order in flight takes part in the credit check."""
    assert order is not None and order.placed is not None
    placed = order.placed
    if not placed.cost_minor or placed.currency in order.settled:
        return None
    return placed.currency, (not order.transfers, placed.placed_at, order_id), placed.cost_minor


def _secured(order: Order | None) -> tuple[str, int, int] | None:
    """Give (currency, closing, cost) where the cost of a secured order may still count."""
    assert order is not None and order.placed is not None
    placed = order.placed
    if not placed.cost_minor or placed.currency in order.settled:
        return None
    return placed.currency, closing(order), placed.cost_minor
