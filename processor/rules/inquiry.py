"""What is known of one order, for people: is it halted, why, and if it is not, why not.

    inquire(machine, studio_id, order_id) ─▶ Answer

A read-only look at a shard, live or a replica. It asks the same code as the worker does (judge,
credit, records) and decides nothing by itself, so it cannot say anything else than `order-halted`.
Answers are structs that msgspec writes as JSON; instants are text as in contract.md §5.

A replica reads its changelogs one beside the other, so for a moment it may hold one half of a
transaction. What the facts show and what has been announced then differ: `Answer.unsettled` names
the codes, and is empty again when the other half has come.
"""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum
from typing import Final

from msgspec import Struct

from processor.rules.credit import Account
from processor.rules.judge import (
    CANCELLED,
    CREDIT,
    IN_FLIGHT,
    Finding,
    closing,
    find_reasons,
    standing_of,
    unsecured_lines,
)
from processor.rules.machine import Machine
from processor.rules.records import asset_subject, order_key, reason
from processor.rules.rows import FAILED, STARTED, SUCCEEDED, Line, Marks, Order, Placed, Transfer
from processor.rules.studio import Studio
from schemas.events import Money
from schemas.halted import Credit, Reason, Subject, TransferError
from schemas.instants import format_instant
from schemas.reasons import PRECEDENCE, AssetType, ReasonCode


class State(StrEnum):
    """Where an order is; of each order exactly one is true."""

    UNKNOWN = "unknown"
    """No event has named it, or all that was known has been forgotten (contract.md §7)."""
    EARLY = "early"
    """Events have named it, but its order-placed has not come."""
    IN_FLIGHT = "in_flight"
    """Placed, and nothing stops it."""
    HALTED = "halted"
    CANCELLED = "cancelled"
    TRANSFERRED = "transferred"
    """Closed: every line is secured."""
    FORGOTTEN = "forgotten"
    """Closed and forgotten but for its id, since it was halted once (contract.md §7)."""


class CreditState(StrEnum):
    """What the credit check says of an order in flight (contract.md §4)."""

    NO_COST = "no_cost"
    """Not checked: its production costs nothing."""
    SETTLED = "settled"
    """Not checked: a balance has listed it, so its cost is paid for."""
    NO_BALANCE = "no_balance"
    """Not checked: no balance of the studio in this currency is known. Unknown is not zero."""
    NO_LIMIT = "no_limit"
    """Not checked: the balance says that the studio has no limit."""
    FUNDED = "funded"
    NOT_FUNDED = "not_funded"


class CreditCheck(Struct, frozen=True):
    """The credit check of one order in flight; sums in minor units of `currency`."""

    state: CreditState
    currency: str
    cost_minor: int
    balance_minor: int | None
    """As kept; None where none is known."""
    balance_at: str | None
    """When the kept balance was so."""
    credit_limit_minor: int | None
    available_minor: int | None
    """For all orders of the queue together, before the first; None where nothing is checked."""
    sums: Credit | None
    """What `order-halted` says; only where it is not funded."""


class KeptTransfer(Struct, frozen=True):
    """The transfer as kept of one scope (contract.md §3)."""

    package_id: str | None
    """None: the whole order."""
    status: str
    """As in `lab-transfer`."""
    attempt: int
    will_retry: bool
    occurred_at: str
    transfer_id: str
    lab_id: str | None
    error: TransferError | None


class LineState(Struct, frozen=True):
    """One line of the order as kept, and what stops it."""

    line_id: str
    product_id: str
    package_id: str | None
    photo_count: int
    secured: bool
    """A transfer of it, or of the whole order, has succeeded: nothing can stop it any more."""
    codes: tuple[ReasonCode, ...]
    """The reasons but credit that this line shows, by precedence."""
    gone: tuple[Subject, ...]
    """Its assets that are gone, by type and id, all of them; none where nobody needs them any more:
    the line is secured, or the order is cancelled."""


class KeptOrder(Struct, frozen=True):
    """The order as kept."""

    version: int
    placed_at: str
    paid: bool
    production_cost: Money
    lines: tuple[LineState, ...]


class LastHalt(Struct, frozen=True):
    """What was last said of the order on `order-halted`."""

    sequence: int
    episode: int
    halted_since: str
    """Of the last episode, over or not."""


class Answer(Struct, frozen=True):
    """All that is known of one order. What is not known, or does not apply, is None or empty."""

    studio_id: str
    order_id: str
    state: State
    reasons: tuple[Reason, ...] = ()
    """Why it is halted, by precedence: as `order-halted` says it, with the sums of now."""
    credit: CreditCheck | None = None
    """Only while the order is in flight, halted or not."""
    order: KeptOrder | None = None
    transfers: tuple[KeptTransfer, ...] = ()
    cancelled_at: str | None = None
    reinstated_at: str | None = None
    closed_at: str | None = None
    """CANCELLED or TRANSFERRED: since when."""
    settled: tuple[str, ...] = ()
    """Currencies whose balance has listed the order."""
    last_halt: LastHalt | None = None
    """None: it was never halted."""
    forgotten_at: str | None = None
    """FORGOTTEN: the partition time then."""
    unsettled: tuple[ReasonCode, ...] = ()
    """Codes that the facts show and no record has announced yet, or the other way round: a replica
    has read one half of a transaction. Ask again in a moment."""


_STATUS: Final = {STARTED: "started", FAILED: "failed", SUCCEEDED: "succeeded"}
_ASSET_TYPES: Final = tuple(AssetType)
_CREDIT_FINDING: Final = Finding(CREDIT, ())


def inquire(machine: Machine, studio_id: str, order_id: str) -> Answer:
    """Tell what `machine`, which holds the studio's partition, knows of an order."""
    order: Order | None = machine.row("orders", order_key(studio_id, order_id).encode())
    if order is None:
        return Answer(studio_id, order_id, State.UNKNOWN)
    if order.forgotten_ms is not None:
        at = format_instant(order.forgotten_ms * 1000)
        return Answer(studio_id, order_id, State.FORGOTTEN, forgotten_at=at)
    if order.placed is None:
        return _answer(studio_id, order_id, order, State.EARLY)
    return _placed(machine.shard.studios[studio_id], order_id, order, order.placed)


def _placed(studio: Studio, order_id: str, order: Order, placed: Placed) -> Answer:
    phase, unsecured = standing_of(order)
    lines = _lines(placed, unsecured, order.transfers, studio.marks)
    kept = KeptOrder(
        placed.version,
        format_instant(placed.placed_at),
        placed.paid,
        Money(placed.cost_minor, placed.currency),
        lines,
    )
    announced = dict(order.halt.reasons) if order.halt is not None else {}
    if phase is not IN_FLIGHT:
        state = State.CANCELLED if phase is CANCELLED else State.TRANSFERRED
        return _answer(studio.id, order_id, order, state, kept, unsettled=_codes(announced))
    account = funded_account(studio, placed.currency)
    check = _credit(order_id, order, placed, account)
    findings = find_reasons(unsecured, order.transfers, studio.marks)
    if check.state is CreditState.NOT_FUNDED:
        findings = tuple(sorted((*findings, _CREDIT_FINDING)))
    reasons = tuple(
        reason(order_id, placed, finding, announced[finding.code], account)
        for finding in findings
        if finding.code in announced
    )
    unsettled = announced.keys() ^ {finding.code for finding in findings}
    state = State.HALTED if reasons else State.IN_FLIGHT
    return _answer(
        studio.id, order_id, order, state, kept, reasons, check, unsettled=_codes(unsettled)
    )


def _answer(
    studio_id: str,
    order_id: str,
    order: Order,
    state: State,
    kept: KeptOrder | None = None,
    reasons: tuple[Reason, ...] = (),
    check: CreditCheck | None = None,
    *,
    unsettled: tuple[ReasonCode, ...] = (),
) -> Answer:
    standing, halt = order.standing, order.halt
    named_at = None if standing is None else format_instant(standing.occurred_at)
    was_cancelled = standing is not None and standing.cancelled
    closed_at = named_at if state is State.CANCELLED else None
    if state is State.TRANSFERRED:
        closed_at = format_instant(closing(order))
    return Answer(
        studio_id,
        order_id,
        state,
        reasons,
        check,
        kept,
        tuple([_transfer(x) for x in order.transfers]),
        named_at if was_cancelled else None,
        None if was_cancelled else named_at,
        closed_at,
        order.settled,
        None
        if halt is None
        else LastHalt(halt.sequence, halt.episode, format_instant(halt.halted_since)),
        unsettled=unsettled,
    )


def _lines(
    placed: Placed, judged: tuple[Line, ...], transfers: tuple[Transfer, ...], marks: Marks
) -> tuple[LineState, ...]:
    """Judge each of the `judged` lines as if it were the only one: none while nothing is in flight."""
    judged_ids = {line.line_id for line in judged}
    unsecured_ids = {line.line_id for line in unsecured_lines(placed, transfers)}
    states = []
    for line in placed.lines:
        findings = find_reasons((line,), transfers, marks) if line.line_id in judged_ids else ()
        gone = [
            asset_subject(_ASSET_TYPES[finding.code], asset, mark)
            for finding in findings
            for asset, mark in finding.assets
        ]
        states.append(
            LineState(
                line.line_id,
                line.product_id,
                line.package_id,
                len(line.photo_ids),
                line.line_id not in unsecured_ids,
                _codes({finding.code for finding in findings}),
                tuple(gone),
            )
        )
    return tuple(states)


def funded_account(studio: Studio, currency: str) -> Account | None:
    """Give the account, its queue funded: in a replica nobody has done so since rows came in."""
    account = studio.accounts.get(currency)
    if account is not None and account.changed:
        account.fund()
    return account


def _credit(order_id: str, order: Order, placed: Placed, account: Account | None) -> CreditCheck:
    balance = None if account is None else account.balance
    is_short = account is not None and order_id in account.short
    return CreditCheck(
        _credit_state(order, placed, account, is_short=is_short),
        placed.currency,
        placed.cost_minor,
        None if balance is None else balance.balance_minor,
        None if balance is None else format_instant(balance.occurred_at),
        None if balance is None else balance.credit_limit_minor,
        None if account is None else account.available(),
        account.sums(order_id) if account is not None and is_short else None,
    )


def _credit_state(
    order: Order, placed: Placed, account: Account | None, *, is_short: bool
) -> CreditState:
    if is_short:
        return CreditState.NOT_FUNDED
    if not placed.cost_minor:
        return CreditState.NO_COST
    if placed.currency in order.settled:
        return CreditState.SETTLED
    if account is None or account.balance is None:
        return CreditState.NO_BALANCE
    return CreditState.FUNDED if account.checked else CreditState.NO_LIMIT


def _codes(codes: Container[int]) -> tuple[ReasonCode, ...]:
    return tuple(code for at, code in enumerate(PRECEDENCE) if at in codes)


def _transfer(kept: Transfer) -> KeptTransfer:
    error = kept.error
    return KeptTransfer(
        kept.package_id,
        _STATUS[kept.status],
        kept.attempt,
        kept.will_retry,
        format_instant(kept.occurred_at),
        kept.transfer_id,
        kept.lab_id,
        None if error is None else TransferError(*error),
    )
