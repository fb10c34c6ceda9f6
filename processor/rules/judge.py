"""What the facts of one order mean (contract.md §4), but for credit, which orders share.

An order's phase:

    (placed) ──▶ IN_FLIGHT ──cancelled──▶ CANCELLED
                     │  ▲                    │
                     │  └────reinstated──────┘
                     └──every line secured──▶ SECURED

Only orders in flight are halted; CANCELLED and SECURED are both closed, and cancelled goes first.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from processor.rules.rows import (
    FAILED,
    SUCCEEDED,
    Line,
    Mark,
    Marks,
    PackedMark,
    Placed,
    Standing,
    Transfer,
    unpacked,
)
from schemas.reasons import PRECEDENCE, ReasonCode

PRODUCT, PHOTO, PACKAGE = 0, 1, 2
"""Positions of the asset types, which are those of their codes and of their tables."""
CREDIT = PRECEDENCE.index(ReasonCode.CREDIT_LIMIT_REACHED)
TRANSFER = PRECEDENCE.index(ReasonCode.TRANSFER_FAILED)


class Phase(IntEnum):
    """Where an order is in its life."""

    UNPLACED = 0
    IN_FLIGHT = 1
    CANCELLED = 2
    SECURED = 3


# An enum's member is looked up slowly, and these are asked for at every event.
UNPLACED: Final = Phase.UNPLACED
IN_FLIGHT: Final = Phase.IN_FLIGHT
CANCELLED: Final = Phase.CANCELLED
SECURED: Final = Phase.SECURED


class Facts(Protocol):
    """The facts of one order: its row, or the order in memory."""

    @property
    def placed(self) -> Placed | None:
        """The order as kept."""

    @property
    def standing(self) -> Standing | None:
        """Whether it was last cancelled or reinstated."""

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """The transfers as kept."""


class Finding(NamedTuple):
    """One active reason of an order in flight: its code's position, and what shows it."""

    code: int
    line_ids: tuple[str, ...]
    """All unsecured lines that show the cause, sorted."""
    assets: tuple[tuple[str, Mark], ...] = ()
    """The gone assets, sorted by id."""
    transfers: tuple[Transfer, ...] = ()
    """The deciding failed transfers: the whole order's first, then by package id."""


def phase_of(order: Facts) -> Phase:
    """Tell where the order is."""
    return standing_of(order)[0]


def standing_of(order: Facts) -> tuple[Phase, tuple[Line, ...]]:
    """Tell where the order is, and which of its lines are not secured while it is in flight."""
    return standing_by(order.placed, order.standing, order.transfers)


def standing_by(
    placed: Placed | None, standing: Standing | None, transfers: tuple[Transfer, ...]
) -> tuple[Phase, tuple[Line, ...]]:
    """Tell the same from the facts one by one, which compiled code passes on faster."""
    if placed is None:
        return UNPLACED, ()
    if standing is not None and standing.cancelled:
        return CANCELLED, ()
    if not transfers:
        return IN_FLIGHT, placed.lines
    lines = unsecured_lines(placed, transfers)
    return (IN_FLIGHT, lines) if lines else (SECURED, ())


def unsecured_lines(placed: Placed, transfers: tuple[Transfer, ...]) -> tuple[Line, ...]:
    """Give the lines that no successful transfer carries, neither their package's nor the whole."""
    if len(transfers) == 1:
        only = transfers[0]
        if only.status != SUCCEEDED:
            return placed.lines
        if only.package_id is None:
            return ()
    secured = {x.package_id for x in transfers if x.status == SUCCEEDED}
    if not secured:
        return placed.lines
    if None in secured:
        return ()
    return tuple([line for line in placed.lines if line.package_id not in secured])


def closing(order: Facts) -> int:
    """Give when a SECURED order closed, in microseconds.

    That is the latest, over its lines, of the earliest success that secures the line.
    """
    assert order.placed is not None
    return closing_by(order.placed, order.transfers)


def closing_by(placed: Placed, transfers: tuple[Transfer, ...]) -> int:
    """Give the same from the facts one by one."""
    if len(transfers) == 1:
        return transfers[0].occurred_at
    successes = {x.package_id: x.occurred_at for x in transfers if x.status == SUCCEEDED}
    never = 1 << 63
    whole = successes.pop(None, never)
    latest = max([min(whole, successes.get(x.package_id or "", never)) for x in placed.lines])
    assert latest != never, "the order is secured"
    return latest


def find_reasons(
    lines: tuple[Line, ...], transfers: tuple[Transfer, ...], marks: Marks
) -> tuple[Finding, ...]:
    """Give all reasons of an order in flight but credit, by precedence, from its unsecured lines."""
    found = _find_missing(lines, marks)
    for transfer in transfers:
        if transfer.status == FAILED and not transfer.will_retry:
            failed = _find_failed(lines, transfers)
            return found if failed is None else (*found, failed)
    return found


def _find_missing(lines: tuple[Line, ...], marks: Marks) -> tuple[Finding, ...]:
    """Find the gone assets; nearly always there are none, and nothing is built."""
    products, photos, packages = marks
    for line in lines if photos or products or packages else ():
        if line.product_id in products or line.package_id in packages:
            break
        if photos and _any_marked(line.photo_ids, photos):
            break
    else:
        return ()
    return _list_missing(lines, marks)


def _any_marked(assets: tuple[str, ...], marks: dict[str, PackedMark]) -> bool:
    """Tell whether one of the assets has a mark."""
    for asset in assets:  # noqa: SIM110 - a generator costs more than it looks at
        if asset in marks:
            return True
    return False


def _list_missing(lines: tuple[Line, ...], marks: Marks) -> tuple[Finding, ...]:
    products, photos, packages = marks
    gone: list[tuple[int, str, str, Mark]] = []
    for line in lines:
        named = [(PRODUCT, line.product_id, products.get(line.product_id))]
        named += [(PHOTO, photo, photos.get(photo)) for photo in line.photo_ids]
        if line.package_id is not None:
            named.append((PACKAGE, line.package_id, packages.get(line.package_id)))
        for kind, asset, packed in named:
            if packed is not None and (mark := unpacked(packed)).gone:
                gone.append((kind, asset, line.line_id, mark))
    if not gone:
        return ()
    findings = []
    for code in (PRODUCT, PHOTO, PACKAGE):
        assets = {asset: mark for kind, asset, _, mark in gone if kind == code}
        if assets:
            line_ids = tuple(sorted({line_id for kind, _, line_id, _ in gone if kind == code}))
            findings.append(Finding(code, line_ids, tuple(sorted(assets.items(), key=_first))))
    return tuple(findings)


def _first(item: tuple[str, Mark]) -> str:
    return item[0]


def _find_failed(lines: tuple[Line, ...], transfers: tuple[Transfer, ...]) -> Finding | None:
    """Find the transfers that failed for good and decide about an unsecured line."""
    by_scope = {x.package_id: x for x in transfers}
    whole = by_scope.get(None)
    deciding: dict[str | None, Transfer] = {}
    line_ids = []
    for line in lines:
        own = by_scope.get(line.package_id) if line.package_id is not None else None
        if own is None or (whole is not None and whole.attempt > own.attempt):
            own = whole
        if own is not None and own.status == FAILED and not own.will_retry:
            deciding[own.package_id] = own
            line_ids.append(line.line_id)
    if not deciding:
        return None
    # The type `order` comes before `package` (contract.md §5, subjects).
    ordered = sorted(deciding.values(), key=lambda x: (x.package_id is not None, x.package_id))
    return Finding(TRANSFER, tuple(sorted(line_ids)), (), tuple(ordered))
