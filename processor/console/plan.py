"""What each waiting order of an account waits for, and what the smallest top-ups would set free.

The credit check itself says so: a copy of the account's queue is funded with more and more. More
money does not only free orders: an earlier, dearer order may take what a later one had (contract.md
§4). So a step lists whom it halts, too.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from processor.console.funding import copy_queue
from processor.rules.inquiry import funded_account
from processor.rules.judge import CREDIT
from processor.rules.machine import Machine
from processor.rules.queue import FundingQueue
from processor.rules.rows import Order
from processor.rules.studio import Studio
from schemas.instants import format_instant
from schemas.partitioning import join_key
from schemas.reasons import PRECEDENCE, ReasonCode

#: At most so many orders and steps are listed.
LISTED_MAX: Final = 200
STEPS_MAX: Final = 20
#: The search for the next step looks at so many waiting orders, and tries so many amounts.
_LOOKED_AT_MAX: Final = 500
_TRIED_MAX: Final = 200


class Waiting(Struct, frozen=True):
    """An order that is not funded. Sums as in `order-halted`, in minor units."""

    order_id: str
    placed_at: str
    paid: bool
    cost_minor: int
    available_minor: int
    """What is left at its turn."""
    shortfall_minor: int
    top_up_minor: int
    """With so much more, this order and all before it are funded."""
    other_reasons: tuple[ReasonCode, ...]
    """What else halts it."""


class Step(Struct, frozen=True):
    """What one top-up would do."""

    top_up_minor: int
    frees_count: int
    """Orders that would go on: they wait for nothing else."""
    frees: list[str]
    """The first of them, by id (LISTED_MAX)."""
    funds_count: int
    """Orders that would be funded and stay halted for another reason."""
    halts: list[str]
    """Orders that would be halted, because an earlier one takes what they had (LISTED_MAX)."""
    waiting_count: int
    """Orders that would still not be funded."""


class Plan(Struct, frozen=True):
    """The credit of one account, as of the rows that the replica holds."""

    studio_id: str
    currency: str
    balance_minor: int | None
    """None: none is known, and nothing is checked."""
    balance_at: str | None
    credit_limit_minor: int | None
    """None beside a balance: there is no limit, and nothing is checked."""
    available_minor: int | None
    """For all orders in flight together; None where nothing is checked."""
    queue_count: int
    """Orders in flight whose cost is not settled."""
    queue_minor: int
    """What they cost."""
    waiting_count: int
    waiting: list[Waiting]
    """The first of them in the order in which money is given (LISTED_MAX)."""
    steps: list[Step]
    """Each frees more than the one before; the last funds everything, unless there are too many."""
    steps_complete: bool
    """False: with so many waiting orders, a smaller top-up than the listed ones may do the same."""


def plan(machine: Machine, studio_id: str, currency: str) -> Plan:
    """Say what the orders of an account wait for."""
    studio = machine.shard.studios.get(studio_id) or Studio(studio_id)
    account = funded_account(studio, currency)
    if account is None:
        return Plan(studio_id, currency, None, None, None, None, 0, 0, 0, [], [], True)
    balance, available = account.balance, account.available()
    turns = [account.queue.entries[x].turn for x in account.short]
    waiting = [turn[2] for turn in sorted(turns)]
    steps, complete = ([], True) if available is None else _steps(machine, studio, currency)
    return Plan(
        studio_id,
        currency,
        None if balance is None else balance.balance_minor,
        None if balance is None else format_instant(balance.occurred_at),
        None if balance is None else balance.credit_limit_minor,
        available,
        len(account.queue.entries),
        account.queue.total,
        len(waiting),
        [_waiting(machine, studio, currency, x) for x in waiting[:LISTED_MAX]],
        steps,
        complete,
    )


def _order(machine: Machine, studio: Studio, order_id: str) -> Order:
    order: Order | None = machine.row("orders", join_key(studio.id, order_id).encode())
    assert order is not None, "a queue holds orders that are there"
    return order


def _codes(machine: Machine, studio: Studio, order_id: str) -> list[int]:
    halt = _order(machine, studio, order_id).halt
    return [] if halt is None else [code for code, _ in halt.reasons]


def _waiting(machine: Machine, studio: Studio, currency: str, order_id: str) -> Waiting:
    placed = _order(machine, studio, order_id).placed
    assert placed is not None, "only placed orders are in a queue"
    sums = studio.accounts[currency].sums(order_id)
    others = [code for code in _codes(machine, studio, order_id) if code != CREDIT]
    return Waiting(
        order_id,
        format_instant(placed.placed_at),
        placed.paid,
        sums.cost_minor,
        sums.available_minor,
        sums.shortfall_minor,
        sums.top_up_minor,
        tuple([PRECEDENCE[code] for code in others]),
    )


def _steps(machine: Machine, studio: Studio, currency: str) -> tuple[list[Step], bool]:
    """Fund a copy of the queue with ever more, from one amount that decides otherwise to the next."""
    account = studio.accounts[currency]
    available = account.available()
    assert available is not None, "asked for accounts that are checked only"
    if not account.short:
        return [], True
    queue = copy_queue(account.queue)
    queue.fund(available)
    before = frozenset(queue.short)
    complete = len(before) <= _LOOKED_AT_MAX
    steps: list[Step] = []
    added = freed = 0
    for _ in range(_TRIED_MAX):
        if len(steps) == STEPS_MAX - 1:
            break
        added += _next_amount(queue)
        queue.fund(available + added)
        step = _step(machine, studio, added, before, queue)
        if step.frees_count - len(step.halts) > freed or not queue.short:
            freed = step.frees_count - len(step.halts)
            steps.append(step)
        if not queue.short:
            return steps, complete
    everything = _amount_for_all(queue) - available
    queue.fund(available + everything)
    return [*steps, _step(machine, studio, everything, before, queue)], False


def _next_amount(queue: FundingQueue) -> int:
    """Give the least that, beyond what is there, funds another order."""
    short = sorted(queue.entries[x].turn for x in queue.short)[:_LOOKED_AT_MAX]
    return min(queue.entries[x].cost - queue.sums(x).available for _, _, x in short)


def _amount_for_all(queue: FundingQueue) -> int:
    """Give what funds every order, in minor units."""
    return max(queue.sums(x).before + entry.cost for x, entry in queue.entries.items())


def _step(
    machine: Machine, studio: Studio, amount: int, before: frozenset[str], queue: FundingQueue
) -> Step:
    funded = sorted(before - queue.short)
    frees = [x for x in funded if _codes(machine, studio, x) == [CREDIT]]
    halts = [x for x in sorted(queue.short - before) if not _codes(machine, studio, x)]
    return Step(
        amount,
        len(frees),
        frees[:LISTED_MAX],
        len(funded) - len(frees),
        halts[:LISTED_MAX],
        len(queue.short),
    )
