"""What would be halted if assets were deleted now: the question to ask before a deletion.

The same code answers it that would judge the orders afterwards. An order that refers to an asset is
judged against a mark that is not there yet; where that frees money that it had reserved, the queue
of its account is funded anew, in a copy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from typing import Final

from msgspec import Struct

from processor.console.funding import copy_queue
from processor.rules.inquiry import funded_account
from processor.rules.judge import CREDIT, Finding, find_reasons, standing_of
from processor.rules.machine import Machine
from processor.rules.rows import FORMAT, Line, Mark, Marks, Order, Placed
from processor.rules.studio import Studio
from schemas.partitioning import join_key
from schemas.reasons import PRECEDENCE, AssetType, ReasonCode

#: At most so many orders are listed of each kind; their counts are true.
LISTED_MAX: Final = 1000
#: At most so many closed orders are looked through for those that are safe already.
SAFE_LOOKED_AT_MAX: Final = 20_000

_TABLES: Final = tuple(AssetType)


class Affected(Struct, frozen=True):
    """An order that the deletion concerns."""

    order_id: str
    paid: bool
    cost_minor: int
    currency: str
    reasons: tuple[ReasonCode, ...]
    """Why it is halted already; empty where it is not."""


class Group(Struct, frozen=True):
    """Orders that fare alike."""

    count: int
    paid_count: int
    cost_minor: dict[str, int]
    """Their production costs, by currency."""
    orders: list[Affected]
    """The first of them by id (LISTED_MAX)."""


class Impact(Struct, frozen=True):
    """What a deletion would do, as of the rows that the replica holds."""

    studio_id: str
    asset_type: AssetType
    asset_count: int
    """Different ids that were asked about."""
    would_halt: Group
    """They go on now, and would be halted."""
    halted_already: Group
    """They are halted, and would have one more cause."""
    safe: Group
    """They refer to the assets and would go on: what needs them has reached the lab."""
    safe_complete: bool
    """False: there are more closed orders than were looked through."""
    credit_would_halt: Group
    """They do not refer to the assets. The money that the deletion sets free would go to an earlier,
    dearer order, and no longer suffice for them."""
    credit_would_release: Group
    """They wait for money alone, and would get what the deletion sets free."""


def impact(
    machine: Machine,
    studio_id: str,
    asset_type: AssetType,
    asset_ids: Iterable[str],
    secured: Iterable[str] = (),
) -> Impact:
    """Judge the orders that refer to the assets; `secured`: ids of the studio's transferred orders."""
    ids = set(asset_ids)
    table = _TABLES.index(asset_type)
    studio = machine.shard.studios.get(studio_id) or Studio(studio_id)
    found = _Found(machine, studio)
    for order_id in sorted({user for asset in ids for user in studio.users_of(table, asset)}):
        found.judge(order_id, table, ids)
    complete = found.look_through(secured, table, ids)
    credit_halts, credit_releases = found.follow_the_money()
    return Impact(
        studio_id,
        asset_type,
        len(ids),
        found.group(found.would_halt),
        found.group(found.halted),
        found.group(found.safe),
        complete,
        found.group(credit_halts),
        found.group(credit_releases),
    )


class _Found:
    """Sorts the orders of one studio."""

    def __init__(self, machine: Machine, studio: Studio) -> None:
        self._machine = machine
        self._studio = studio
        self.would_halt: list[str] = []
        self.halted: list[str] = []
        self.safe: list[str] = []

    def order(self, order_id: str) -> tuple[Order, Placed] | None:
        key = join_key(self._studio.id, order_id).encode()
        order: Order | None = self._machine.row("orders", key)
        return None if order is None or order.placed is None else (order, order.placed)

    def judge(self, order_id: str, table: int, ids: Set[str]) -> None:
        """Put an order in flight where it belongs."""
        found = self.order(order_id)
        assert found is not None, "an index names an order that is there"
        order, _ = found
        _, unsecured = standing_of(order)
        if not _breaks(unsecured, table, ids):
            self.safe.append(order_id)
        elif order.halt is not None and order.halt.reasons:
            self.halted.append(order_id)
        else:
            self.would_halt.append(order_id)

    def look_through(self, secured: Iterable[str], table: int, ids: Set[str]) -> bool:
        """Find the transferred orders that refer to the assets; tell whether all were seen."""
        for number, order_id in enumerate(secured):
            if number == SAFE_LOOKED_AT_MAX:
                return False
            found = self.order(order_id)
            if found is not None and _breaks(found[1].lines, table, ids):
                self.safe.append(order_id)
        return True

    def follow_the_money(self) -> tuple[list[str], list[str]]:
        """Give who would be halted, and released, because broken orders reserve nothing."""
        halts: list[str] = []
        releases: list[str] = []
        broken = {*self.would_halt, *self.halted}
        for currency in sorted(self._studio.accounts):
            account = funded_account(self._studio, currency)
            available = None if account is None else account.available()
            if account is None or available is None or account.queue.total <= available:
                continue
            if broken.isdisjoint(account.queue.entries):
                continue
            queue = copy_queue(account.queue, missing=broken)
            queue.fund(available)
            before, after = account.short, queue.short
            halts += [x for x in sorted(after - before) if x not in broken and not self._codes(x)]
            releases += [
                x for x in sorted(before - after) if x not in broken and self._codes(x) == (CREDIT,)
            ]
        return halts, releases

    def _codes(self, order_id: str) -> tuple[int, ...]:
        found = self.order(order_id)
        if found is None or found[0].halt is None:
            return ()
        return tuple([code for code, _ in found[0].halt.reasons])

    def group(self, order_ids: list[str]) -> Group:
        """Sum up orders that fare alike."""
        paid_count = 0
        costs: Counter[str] = Counter()
        listed: list[Affected] = []
        for order_id in order_ids:
            found = self.order(order_id)
            assert found is not None, "it was there a moment ago"
            placed = found[1]
            paid_count += placed.paid
            costs[placed.currency] += placed.cost_minor
            if len(listed) < LISTED_MAX:
                codes = tuple([PRECEDENCE[code] for code in self._codes(order_id)])
                listed.append(
                    Affected(order_id, placed.paid, placed.cost_minor, placed.currency, codes)
                )
        return Group(len(order_ids), paid_count, dict(sorted(costs.items())), listed)


_GONE: Final = Mark(FORMAT, 0, 0, True, "", None, None)


def _breaks(lines: tuple[Line, ...], table: int, ids: Set[str]) -> tuple[Finding, ...]:
    """Judge lines as if these assets, and no others, were gone."""
    marks: Marks = ({}, {}, {})
    for line in lines:
        named = ((line.product_id,), line.photo_ids, (line.package_id,))[table]
        marks[table].update((x, _GONE) for x in named if x is not None and x in ids)
    return find_reasons(lines, (), marks)
