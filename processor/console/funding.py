"""Copies of an account's queue, to try something out on."""

from __future__ import annotations

from collections.abc import Set

from processor.rules.queue import FundingQueue


def copy_queue(queue: FundingQueue, missing: Set[str] = frozenset()) -> FundingQueue:
    """Make a queue of the same orders, of which `missing` ones reserve nothing; not funded yet."""
    copy = FundingQueue()
    for entry in sorted(queue.entries.values(), key=lambda x: x.turn):
        without_asset = not entry.reserves or entry.turn[2] in missing
        copy.add(entry.turn, entry.cost, missing=without_asset, short=False)
    return copy
