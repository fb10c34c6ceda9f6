"""The rows of one studio and the indexes derived from them.

`put_order` and `put_mark` are the only writers. Each takes the old row out of the indexes and the
new one in, so that live events, recovery, replay and read replicas keep them right in the same way.
"""

from __future__ import annotations

from processor.rules.credit import Account
from processor.rules.judge import (
    CANCELLED,
    CREDIT,
    IN_FLIGHT,
    PACKAGE,
    SECURED,
    Phase,
    closing,
    phase_of,
)
from processor.rules.rows import INLINE_TRANSFERS, Line, Mark, Order, Transfer, decode_order
from schemas.partitioning import join_key

_CLOSED = (CANCELLED, SECURED)

Users = dict[str, str | set[str]]
"""Asset id → the orders in flight that refer to it: most assets have one."""


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
        self.orders: dict[str, Order | bytes] = {}
        """Rows by order id; closed orders stay packed as the bytes of their row."""
        self.loose_transfers: dict[str, dict[str | None, Transfer]] = {}
        """Rows of single transfers whose order's row has not been read yet (recovery only)."""
        self.marks: tuple[dict[str, Mark], dict[str, Mark], dict[str, Mark]] = ({}, {}, {})
        self.users: tuple[Users, Users, Users] = ({}, {}, {})
        self.accounts: dict[str, Account] = {}
        self.held_marks: tuple[set[str], set[str], set[str]] = (set(), set(), set())
        """Marks past their age that an order in flight refers to."""
        self.has_held_marks = False
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

    def put_order(
        self, order_id: str, old: Order | None, before: Phase, new: Order | None, after: Phase
    ) -> None:
        """Replace an order's row; `before` and `after` are the rows' phases, UNPLACED for None."""
        if after is IN_FLIGHT:
            assert new is not None
            if before is IN_FLIGHT:
                assert old is not None
                self._stay(order_id, old, new)
            else:
                self._enter(order_id, new)
        elif before is IN_FLIGHT:
            assert old is not None
            self._leave(order_id, old)
        if before is SECURED or after is SECURED:
            self._move_secured(
                order_id, old if before is SECURED else None, new if after is SECURED else None
            )
        if new is None:
            self.orders.pop(order_id, None)
        else:
            self.orders[order_id] = new

    def put_halt(self, order_id: str, order: Order) -> None:
        """Replace a row of which only the halt has changed: no index depends on it."""
        self.orders[order_id] = order

    def pack(self, order_id: str, order: Order, value: bytes) -> None:
        """Keep a closed order as the bytes of its row: most are never looked at again."""
        if (order.standing or order.transfers) and phase_of(order) in _CLOSED:
            self.orders[order_id] = value

    # ---- the indexes of orders in flight

    def _enter(self, order_id: str, new: Order) -> None:
        assert new.placed is not None
        self._refer(order_id, new.placed.lines)
        self._enqueue(order_id, new)

    def _leave(self, order_id: str, old: Order) -> None:
        assert old.placed is not None
        self._unrefer(order_id, old.placed.lines)
        self._dequeue(order_id, old)

    def _stay(self, order_id: str, old: Order, new: Order) -> None:
        """Index an order that was in flight and still is."""
        assert old.placed is not None and new.placed is not None
        if old.placed is not new.placed:
            self._unrefer(order_id, old.placed.lines, released=False)
            self._refer(order_id, new.placed.lines)
            if self.has_held_marks:
                self._release(old.placed.lines)
        elif bool(old.transfers) == bool(new.transfers) and old.settled is new.settled:
            return
        self._dequeue(order_id, old)
        self._enqueue(order_id, new)

    def _enqueue(self, order_id: str, order: Order) -> None:
        """Let an order take part in the credit check of its account."""
        placed, halt = order.placed, order.halt
        assert placed is not None
        if not placed.cost_minor or placed.currency in order.settled:
            return
        codes = [code for code, _ in halt.reasons] if halt is not None else []
        self.account(placed.currency).enqueue(
            (not order.transfers, placed.placed_at, order_id),
            placed.cost_minor,
            missing=bool(codes) and codes[0] <= PACKAGE,
            short=CREDIT in codes,
        )

    def _dequeue(self, order_id: str, order: Order) -> None:
        assert order.placed is not None
        account = self.accounts.get(order.placed.currency)
        if account is not None:
            account.dequeue(order_id)

    def _move_secured(self, order_id: str, old: Order | None, new: Order | None) -> None:
        """Count the cost of an order that is secured now, and not as it was before."""
        was, now = _secured(old), _secured(new)
        if was == now:
            return
        if was is not None:
            currency, closed, cost = was
            self.accounts[currency].remove_secured(closed, order_id, cost)
        if now is not None:
            currency, closed, cost = now
            self.account(currency).add_secured(closed, order_id, cost)

    def _refer(self, order_id: str, lines: tuple[Line, ...]) -> None:
        products, photos, packages = self.users
        for line in lines:
            if products.setdefault(line.product_id, order_id) is not order_id:
                _add_user(products, line.product_id, order_id)
            if photos.keys().isdisjoint(line.photo_ids):
                photos.update(dict.fromkeys(line.photo_ids, order_id))
            else:
                for photo in line.photo_ids:
                    if photos.setdefault(photo, order_id) is not order_id:
                        _add_user(photos, photo, order_id)
            package = line.package_id
            if package is not None and packages.setdefault(package, order_id) is not order_id:
                _add_user(packages, package, order_id)

    def _unrefer(self, order_id: str, lines: tuple[Line, ...], *, released: bool = True) -> None:
        """Take an order's assets out of the index; an asset may stand in it several times."""
        products, photos, packages = self.users
        for line in lines:
            _remove_user(products, line.product_id, order_id)
            for photo in line.photo_ids:
                user = photos.pop(photo, order_id)
                if user != order_id:
                    # Others refer to it too, which is rare.
                    photos[photo] = user
                    _remove_user(photos, photo, order_id)
            if line.package_id is not None:
                _remove_user(packages, line.package_id, order_id)
        if released and self.has_held_marks:
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
        new = with_transfers(old, (*others, transfer) if transfer is not None else tuple(others))
        self.put_order(order_id, old, phase_of(old), new, phase_of(new))

    def hold_mark(self, table: int, asset: str) -> None:
        """Keep a mark past its age until no order in flight refers to the asset."""
        self.held_marks[table].add(asset)
        self.has_held_marks = True

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


def _add_user(users: Users, asset: str, order_id: str) -> None:
    user = users[asset]
    if isinstance(user, set):
        user.add(order_id)
    elif user != order_id:
        users[asset] = {user, order_id}


def _remove_user(users: Users, asset: str, order_id: str) -> None:
    user = users.get(asset)
    if isinstance(user, set):
        user.discard(order_id)
        if not user:
            del users[asset]
    elif user == order_id:
        del users[asset]


def _secured(order: Order | None) -> tuple[str, int, int] | None:
    """Give (currency, closing, cost) where the cost of a secured order may still count."""
    if order is None:
        return None
    placed = order.placed
    assert placed is not None
    if not placed.cost_minor or placed.currency in order.settled:
        return None
    return placed.currency, closing(order), placed.cost_minor
