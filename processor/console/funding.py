"""Accounts of a replica: their queues funded as of now, and copies to try something out on."""

from __future__ import annotations

from collections.abc import Set

from processor.rules.credit import Account
from processor.rules.queue import FundingQueue
from processor.rules.studio import Studio


def funded_account(studio: Studio, currency: str) -> Account | None:
    """Give an account, its queue funded: in a replica nobody has done so since rows came in."""
    account = studio.accounts.get(currency)
    if account is not None and account.changed:
        account.fund()
    return account


def copy_queue(queue: FundingQueue, missing: Set[str] = frozenset()) -> FundingQueue:
    """Make a queue of the same orders, of which `missing` ones reserve nothing; not funded yet."""
    copy = FundingQueue()
    for entry in sorted(queue.entries.values(), key=lambda x: x.turn):
        without_asset = not entry.reserves or entry.turn[2] in missing
        copy.add(entry.turn, entry.cost, missing=without_asset, short=False)
    return copy
