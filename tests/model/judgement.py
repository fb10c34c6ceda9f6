"""Judging every order of a studio from its facts alone, by contract §4; no state, no index."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from .events import BalanceChanged, LabTransfer, Line, OrderPlaced
from .facts import Asset, Order, Studio, placed_orders

PRECEDENCE = (
    "product_missing",
    "photos_missing",
    "package_missing",
    "credit_limit_reached",
    "transfer_failed",
)
ASSET_CODES = {
    "product": "product_missing",
    "photo": "photos_missing",
    "package": "package_missing",
}


class Subject(NamedTuple):
    """What a reason is about; the last three only for an asset that is gone."""

    type: str
    id: str
    deleted_at: datetime | None = None
    deleted_by: str | None = None
    restorable_until: datetime | None = None


class Credit(NamedTuple):
    """The sums of a credit check that does not fund an order, in minor units."""

    currency: str
    cost_minor: int
    balance_minor: int
    credit_limit_minor: int
    available_minor: int
    shortfall_minor: int
    top_up_minor: int


@dataclass(frozen=True)
class Cause:
    """One active reason with everything that shows it, not truncated, sorted as in contract §5."""

    code: str
    line_ids: tuple[str, ...] = ()
    subjects: tuple[Subject, ...] = ()
    transfers: tuple[LabTransfer, ...] = ()
    credit: Credit | None = None


# Securing and closing


def line_secured_at(order: Order, line: Line) -> datetime | None:
    """Find the earliest success that secures a line, None if none does."""
    if not order.transfers:
        return None
    # A line without package is covered by the whole order's transfer alone: both scopes are None.
    covering = (order.transfers.get(None), order.transfers.get(line.package_id))
    successes = [t.occurred_at for t in covering if t and t.status == "succeeded"]
    return min(successes) if successes else None


def closing(order: Order, placed: OrderPlaced) -> datetime | None:
    """Say when the last line was secured; None while a line is not."""
    secured_at = [line_secured_at(order, line) for line in placed.lines]
    known = [instant for instant in secured_at if instant is not None]
    return max(known) if len(known) == len(secured_at) else None


def is_cancelled(order: Order) -> bool:
    """Say whether the kept fact says cancelled."""
    return order.cancelled is not None and order.cancelled.cancelled


def is_in_flight(order: Order, placed: OrderPlaced) -> bool:
    """Say whether it is placed, not cancelled, and has at least one line not secured."""
    return not is_cancelled(order) and closing(order, placed) is None


def unsecured_lines(order: Order, placed: OrderPlaced) -> list[Line]:
    """List the lines that no success secures."""
    return [line for line in placed.lines if line_secured_at(order, line) is None]


# Assets


def assets_of(line: Line) -> set[Asset]:
    """Collect the assets that a line refers to."""
    assets = {("product", line.product_id)} | {("photo", photo) for photo in line.photo_ids}
    return assets if line.package_id is None else assets | {("package", line.package_id)}


def gone_assets(studio: Studio) -> set[Asset]:
    """Collect the assets that are deleted and not restored."""
    return {asset for asset, mark in studio.marks.items() if mark.kept.deleted}


def asset_causes(studio: Studio, gone: set[Asset], lines: list[Line]) -> list[Cause]:
    """Find product_missing, photos_missing and package_missing of unsecured lines."""
    if not gone:
        return []
    hits = [(line.line_id, *asset) for line in lines for asset in assets_of(line) & gone]
    causes = []
    for asset_type, code in ASSET_CODES.items():
        line_ids = {line_id for line_id, kind, _ in hits if kind == asset_type}
        ids = {asset_id for _, kind, asset_id in hits if kind == asset_type}
        if ids:
            subjects = tuple(_asset_subject(studio, (asset_type, i)) for i in sorted(ids))
            causes.append(Cause(code, tuple(sorted(line_ids)), subjects))
    return causes


def _asset_subject(studio: Studio, asset: Asset) -> Subject:
    kept = studio.marks[asset].kept
    return Subject(*asset, kept.occurred_at, kept.deleted_by, kept.restorable_until)


# Transfers


def deciding_transfer(order: Order, line: Line) -> LabTransfer | None:
    """Pick of the transfers that cover a line the higher attempt, at a tie the package's."""
    covering = [order.transfers.get(None)]
    if line.package_id is not None:
        covering.insert(0, order.transfers.get(line.package_id))
    known = [transfer for transfer in covering if transfer is not None]
    # Of equal attempts `max` takes the first, which is the package's.
    return max(known, key=lambda transfer: transfer.attempt, default=None)


def transfer_cause(order_id: str, order: Order, lines: list[Line]) -> list[Cause]:
    """Find transfer_failed of unsecured lines."""
    line_ids = []
    failed: dict[Subject, LabTransfer] = {}
    for line in lines:
        transfer = deciding_transfer(order, line)
        if transfer is not None and transfer.status == "failed" and not transfer.will_retry:
            line_ids.append(line.line_id)
            scope = transfer.package_id
            subject = Subject("order", order_id) if scope is None else Subject("package", scope)
            failed[subject] = transfer
    if not failed:
        return []
    subjects = sorted(failed, key=lambda subject: (subject.type, subject.id))
    transfers = tuple(failed[subject] for subject in subjects)
    return [Cause("transfer_failed", tuple(sorted(line_ids)), tuple(subjects), transfers)]


# Credit


def is_settled(order: Order, placed: OrderPlaced, balance: BalanceChanged | None) -> bool:
    """Say whether an order is settled; `balance` is the kept one of its cost's currency."""
    if placed.production_cost.currency in order.settled:
        return True
    closed_at = closing(order, placed)
    if closed_at is None or balance is None or balance.settled_order_ids is not None:
        return False
    return balance.occurred_at >= closed_at


def cost_counts(studio: Studio, order: Order, placed: OrderPlaced) -> bool:
    """Say whether a secured order's cost still lowers what is available (contract §4 and §7)."""
    balance = studio.balances.get(placed.production_cost.currency)
    return (
        balance is not None
        and balance.credit_limit_minor is not None
        and not is_cancelled(order)
        and closing(order, placed) is not None
        and not is_settled(order, placed, balance)
        and placed.production_cost.amount_minor > 0
    )


def credit_check(
    studio: Studio, balance: BalanceChanged, asset_missing: set[str]
) -> dict[str, Credit]:
    """Find the orders that an account does not fund; those in `asset_missing` reserve nothing."""
    currency = balance.balance.currency
    limit = balance.credit_limit_minor
    if limit is None:
        return {}
    orders = [o for o in placed_orders(studio) if o[2].production_cost.currency == currency]
    first_available = (
        balance.balance.amount_minor
        + limit
        - sum(p.production_cost.amount_minor for _, o, p in orders if cost_counts(studio, o, p))
    )
    queue = [
        (not order.transfers, placed.placed_at, order_id, placed.production_cost.amount_minor)
        for order_id, order, placed in orders
        if is_in_flight(order, placed)
        and not is_settled(order, placed, balance)
        and placed.production_cost.amount_minor > 0
    ]
    short: dict[str, Credit] = {}
    available = first_available
    before = 0
    for _, _, order_id, cost in sorted(queue):
        if cost > available:
            short[order_id] = Credit(
                currency,
                cost_minor=cost,
                balance_minor=balance.balance.amount_minor,
                credit_limit_minor=limit,
                available_minor=available,
                shortfall_minor=cost - available,
                top_up_minor=max(0, before + cost - first_available),
            )
        elif order_id not in asset_missing:
            available -= cost
        if order_id not in asset_missing:
            before += cost
    return short


# All together


def judge(studio: Studio, without: frozenset[str] = frozenset()) -> dict[str, list[Cause]]:
    """Find the causes of every order in flight of a studio, by precedence; empty for the others.

    `without`: codes that the rules in force do not know.
    """
    gone = gone_assets(studio)
    assets: dict[str, list[Cause]] = {}
    transfers: dict[str, list[Cause]] = {}
    for order_id, order, placed in placed_orders(studio):
        # Not cancelled and a line not secured: in flight. Of a closed order no line is left here.
        lines = [] if is_cancelled(order) else unsecured_lines(order, placed)
        assets[order_id] = [x for x in asset_causes(studio, gone, lines) if x.code not in without]
        failed = transfer_cause(order_id, order, lines)
        transfers[order_id] = [x for x in failed if x.code not in without]
    asset_missing = {order_id for order_id, causes in assets.items() if causes}
    short: dict[str, Credit] = {}
    for balance in studio.balances.values():
        short |= credit_check(studio, balance, asset_missing)
    judged = {}
    for order_id in assets:
        credit = short.get(order_id)
        funding = [] if credit is None else [Cause("credit_limit_reached", credit=credit)]
        judged[order_id] = assets[order_id] + funding + transfers[order_id]
    return judged
