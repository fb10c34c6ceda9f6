"""The rows of one studio and the indexes derived from them.

An order is *entered* into the indexes of its phase, and *withdrawn* from them before its facts
change: live events, recovery, replay and read replicas keep them right in the same way.
"""

from __future__ import annotations

from typing import Final

from processor.rules.credit import Account
from processor.rules.judge import CREDIT, IN_FLIGHT, PACKAGE, SECURED, UNPLACED, closing_by
from processor.rules.order import OrderState
from processor.rules.queue import Turn
from processor.rules.rows import INLINE_TRANSFERS, Line, Marks, Placed, Transfer, packed
from schemas.partitioning import join_key

Users = dict[str, str | tuple[str, ...] | set[str]]
"""Asset id → the orders in flight that refer to it: most assets have one, some have a few."""
_FEW: Final = 4


class Studio:
    """Everything known of one studio."""

    __slots__ = (
        "accounts",
        "has_held_marks",
        "held_marks",
        "id",
        "key_prefix",
        "loose_transfers",
        "marks",
        "orders",
        "released_marks",
        "users",
    )

    def __init__(self, studio_id: str) -> None:
        self.id = studio_id
        self.key_prefix = join_key(studio_id) + "/"
        """What the keys of the studio's rows begin with."""
        self.orders: dict[str, OrderState | bytes] = {}
        """By order id; closed orders stay packed as the bytes of their row."""
        self.loose_transfers: dict[str, dict[str | None, Transfer]] = {}
        """Rows of single transfers whose order's row has not been read yet (recovery only)."""
        self.marks: Marks = ({}, {}, {})
        """Packed once they have been written."""
        self.users: tuple[Users, Users, Users] = ({}, {}, {})
        self.accounts: dict[str, Account] = {}
        self.held_marks: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        """Marks past their age that an order in flight refers to."""
        self.has_held_marks = False
        self.released_marks: list[tuple[int, str]] = []
        """Held marks that no order in flight refers to any more: (table, asset id)."""

    def order(self, order_id: str) -> OrderState | None:
        """Give an order to look at; who changes it takes it with `take`."""
        order = self.orders.get(order_id)
        return OrderState.unpack(order_id, order) if isinstance(order, bytes) else order

    def take(self, order_id: str) -> OrderState | None:
        """Give an order that may be changed."""
        order = self.orders.get(order_id)
        if isinstance(order, bytes):
            order = self.orders[order_id] = OrderState.unpack(order_id, order)
        return order

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

    # ---- the indexes of orders

    def enter(self, order: OrderState) -> None:
        """Index an order as what it is."""
        if order.phase is IN_FLIGHT:
            assert order.placed is not None
            self._refer(order.id, order.placed.lines)
            self._enqueue(order)
        elif order.phase is SECURED:
            self._count(order)

    def withdraw(self, order: OrderState) -> None:
        """Take an order out of the indexes, before it becomes something else."""
        if order.phase is IN_FLIGHT:
            placed = order.placed
            assert placed is not None
            self._unrefer(order.id, placed.lines)
            if order.cost:
                self.accounts[order.currency].dequeue(order.id)
        elif order.phase is SECURED and order.cost:
            assert order.placed is not None
            closed = closing_by(order.placed, order.transfers)
            self.accounts[order.currency].remove_secured(closed, order.id, order.cost)

    def move_up(self, order: OrderState) -> None:
        """Let an order in flight go before those of which no transfer is known."""
        if order.cost:
            assert order.placed is not None
            self.accounts[order.currency].move(order.id, _turn(order, order.placed))

    def pack(self, order: OrderState, value: bytes) -> None:
        """Keep a closed order as the bytes of its row: most are never looked at again."""
        if order.phase is not IN_FLIGHT and order.phase is not UNPLACED:
            self.orders[order.id] = packed(value)

    def _enqueue(self, order: OrderState) -> None:
        """Let an order in flight take part in the credit check of its account."""
        if not order.cost:
            return
        assert order.placed is not None
        turn, account = _turn(order, order.placed), self.account(order.currency)
        if order.halt is None:
            account.enqueue(turn, order.cost, missing=False, short=False)
            return
        codes = [code for code, _ in order.halt.reasons]
        missing = bool(codes) and codes[0] <= PACKAGE
        account.enqueue(turn, order.cost, missing=missing, short=CREDIT in codes)

    def _count(self, order: OrderState) -> None:
        """Let the cost of a secured order count."""
        if order.cost:
            assert order.placed is not None
            closed = closing_by(order.placed, order.transfers)
            self.account(order.currency).add_secured(closed, order.id, order.cost)

    # ---- which orders in flight refer to an asset

    def _refer(self, order_id: str, lines: tuple[Line, ...]) -> None:
        products, photos, packages = self.users
        for line in lines:
            if products.setdefault(line.product_id, order_id) is not order_id:
                _add_user(products, line.product_id, order_id)
            for photo in line.photo_ids:
                if photos.setdefault(photo, order_id) is not order_id:
                    _add_user(photos, photo, order_id)
            package = line.package_id
            if package is not None and packages.setdefault(package, order_id) is not order_id:
                _add_user(packages, package, order_id)

    def _unrefer(self, order_id: str, lines: tuple[Line, ...]) -> None:
        """Take an order's assets out of the index; an asset may stand in it several times."""
        products, photos, packages = self.users
        for line in lines:
            _remove_user(products, line.product_id, order_id)
            for photo in line.photo_ids:
                user = photos.pop(photo, order_id)
                if user is not order_id and user != order_id:
                    # Others refer to it too, which is rare.
                    photos[photo] = user
                    _remove_user(photos, photo, order_id)
            if line.package_id is not None:
                _remove_user(packages, line.package_id, order_id)
        if self.has_held_marks:
            self._release(lines)

    def _release(self, lines: tuple[Line, ...]) -> None:
        """Let go of held marks that no order in flight refers to any more."""
        for line in lines:
            package = () if line.package_id is None else (line.package_id,)
            for table, assets in enumerate(((line.product_id,), line.photo_ids, package)):
                for asset in assets:
                    if asset in self.held_marks[table] and asset not in self.users[table]:
                        self.held_marks[table].remove(asset)
                        self.released_marks.append((table, asset))
        self.has_held_marks = any(self.held_marks)

    # ---- transfers with rows of their own

    def put_transfer(self, order_id: str, scope: str | None, transfer: Transfer | None) -> None:
        """Replace a transfer that has a row of its own (read one row at a time)."""
        order = self.take(order_id)
        if order is None or len(order.transfers) < INLINE_TRANSFERS:
            loose = self.loose_transfers.setdefault(order_id, {})
            if transfer is not None:
                loose[scope] = transfer
            else:
                loose.pop(scope, None)
            if not loose:
                del self.loose_transfers[order_id]
            return
        self.withdraw(order)
        others = tuple([x for x in order.transfers if x.package_id != scope])
        order.transfers = others if transfer is None else (*others, transfer)
        order.stand()
        self.enter(order)

    def hold_mark(self, table: int, asset: str) -> None:
        """Keep a mark past its age until no order in flight refers to the asset."""
        self.held_marks[table].add(asset)
        self.has_held_marks = True

    def users_of(self, table: int, asset: str) -> tuple[str, ...] | set[str]:
        """Give the orders in flight that refer to an asset."""
        users = self.users[table].get(asset)
        if users is None:
            return ()
        return (users,) if isinstance(users, str) else users


def _turn(order: OrderState, placed: Placed) -> Turn:
    return (not order.transfers, placed.placed_at, order.id)


def _add_user(users: Users, asset: str, order_id: str) -> None:
    known = users[asset]
    if isinstance(known, set):
        known.add(order_id)
    elif isinstance(known, str):
        if known != order_id:
            users[asset] = (known, order_id)
    elif order_id not in known:
        users[asset] = (*known, order_id) if len(known) < _FEW else {*known, order_id}


def _remove_user(users: Users, asset: str, order_id: str) -> None:
    known = users.get(asset)
    if known is None:
        return
    if isinstance(known, str):
        if known == order_id:
            del users[asset]
    elif isinstance(known, set):
        known.discard(order_id)
        if not known:
            del users[asset]
    elif order_id in known:
        others = tuple([x for x in known if x != order_id])
        users[asset] = others if len(others) > 1 else others[0]
