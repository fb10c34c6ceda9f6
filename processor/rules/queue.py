"""Who in a queue of orders is funded, at a cost that does not grow with the queue (contract.md §4).

The rule itself is a walk: in order of their turns, an order is short if it costs more than what is
left, and else takes its cost from it. One change early in the queue shifts what is left for all that
follow, but rarely so far that anything is decided otherwise. So the queue is cut into blocks, and a
block remembers, for what was left when it was entered,

    falls   how much less could have been left before the first funded order becomes short
    rises   how much more, before the first short order is funded

As long as a shift stays within these, the block's decisions stand and the shift passes through it in
one step. Only blocks that were changed, or that a shift has carried over such an edge, are walked.

As long as all orders fit, which is the rule, nobody needs their order: the blocks are made when the
first order does not, and let go when all have fitted for as many changes as there are orders, so that
making them again costs little a change.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Final, NamedTuple

#: A block with more orders is cut in two.
BLOCK_MAX: Final = 64
_FAR: Final = 1 << 62

Turn = tuple[bool, int, str]
"""Place of an order in the queue: (no transfer known, placed_at, order_id)."""


class Sums(NamedTuple):
    """What the check says to one order that is short, in minor units."""

    available: int
    """What is left at its turn."""
    before: int
    """Costs of all before it that have no asset missing, funded or not."""


class Entry:
    """One order of the queue. Its turn is kept in pieces: as a tuple it takes as much as the rest."""

    __slots__ = ("_order_id", "_placed_at", "_unknown", "cost", "reserves")

    def __init__(self, turn: Turn, cost: int, reserves: int) -> None:
        self._unknown, self._placed_at, self._order_id = turn
        self.cost = cost
        self.reserves = reserves
        """Its cost; 0 where a product, photo or package is gone: then it cannot be produced."""

    @property
    def turn(self) -> Turn:
        """Its place."""
        return self._unknown, self._placed_at, self._order_id

    @turn.setter
    def turn(self, turn: Turn) -> None:
        self._unknown, self._placed_at, self._order_id = turn


class _Block:
    """Consecutive orders, and what was decided about them."""

    __slots__ = (
        "changed",
        "entered",
        "entries",
        "falls",
        "left",
        "rises",
        "short",
        "turns",
        "wants",
    )

    def __init__(self, turns: list[Turn], entries: list[Entry]) -> None:
        self.turns = turns
        self.entries = entries
        """By the same positions as `turns`."""
        self.changed = True
        self.short = set[str]()
        self.entered = 0
        """What was left at its first order."""
        self.left = 0
        """And after its last."""
        self.falls = self.rises = _FAR
        self.wants = sum([entry.reserves for entry in entries])
        """What its orders would reserve if all were funded."""

    def walk(self, left: int) -> None:
        self.entered = left
        self.changed = False
        falls, misses = _FAR, -_FAR
        short = set()
        for entry in self.entries:
            rest = left - entry.cost
            if rest < 0:
                short.add(entry.turn[2])
                if rest > misses:
                    misses = rest
            else:
                if rest < falls:
                    falls = rest
                left -= entry.reserves
        self.short, self.left, self.falls, self.rises = short, left, falls, -misses

    def shift(self, by: int) -> bool:
        """Let more or less be left at the first order; tell whether all decisions stand."""
        if not -self.falls <= by < self.rises:
            return False
        self.entered += by
        self.left += by
        self.falls += by
        self.rises -= by
        return True


class FundingQueue:
    """The orders that share what is available, in order of their turns."""

    __slots__ = ("_before", "_blocks", "_rested", "entries", "short", "total")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.total = 0
        """Costs of all orders."""
        self.short: set[str] = set()
        """The orders that are not funded, as of the last `fund`."""
        self._blocks: list[_Block] = []
        self._rested = 0
        """Changes since an order was last short."""
        self._before: list[int] = []
        """What is wanted before each block, as of the last `fund`; empty until somebody asks."""

    def add(self, turn: Turn, cost: int, *, missing: bool, short: bool) -> None:
        """Put an order into the queue; `short`: it was not funded when the state was written."""
        order_id = turn[2]
        entry = self.entries[order_id] = Entry(turn, cost, 0 if missing else cost)
        self.total += cost
        if short:
            self.short.add(order_id)
        if self._blocks:
            self._put(entry)

    def remove(self, order_id: str) -> bool:
        """Take an order out; tell whether it was there."""
        entry = self.entries.pop(order_id, None)
        if entry is None:
            return False
        self.total -= entry.cost
        if self._blocks:
            self._take(entry)
        self.short.discard(order_id)
        return True

    def move(self, order_id: str, turn: Turn) -> bool:
        """Give an order another turn; tell whether that may change a decision."""
        entry = self.entries.get(order_id)
        if entry is None or entry.turn == turn:
            return False
        if self._blocks:
            self._take(entry)
        entry.turn = turn
        if self._blocks:
            self._put(entry)
        return True

    def set_missing(self, order_id: str, missing: bool) -> bool:
        """Note whether an asset of an order is missing; tell whether that is new."""
        entry = self.entries.get(order_id)
        if entry is None or (entry.reserves == 0) == missing:
            return False
        before, entry.reserves = entry.reserves, 0 if missing else entry.cost
        if self._blocks:
            block = self._blocks[self._block_of(entry.turn)]
            block.wants += entry.reserves - before
            block.changed = True
        return True

    def fund(self, available: int | None) -> set[str]:
        """Fund the orders with what is available; give those that are decided otherwise now.

        None: nobody checks, and nobody is short.
        """
        if available is None or self.total <= available:
            # All of them fit: no order needs to be looked at.
            if not self.short:
                return set()
            flipped, self.short = self.short, set()
            for block in self._blocks:
                block.changed = True
                block.short = set()
            return flipped
        self._before = []
        self._rested = 0
        if not self._blocks:
            self._make_blocks()
        flipped = set()
        left = available
        for block in self._blocks:
            by = left - block.entered
            if block.changed or (by and not block.shift(by)):
                before = block.short
                block.walk(left)
                if block.short != before:
                    flipped |= before ^ block.short
            left = block.left
        self.short ^= flipped
        return flipped

    @property
    def is_ordered(self) -> bool:
        """Whether there are blocks."""
        return bool(self._blocks)

    def rest(self) -> None:
        """Note a change after which all orders still fit."""
        self._rested += 1
        if self._rested > len(self.entries):
            self._blocks = []

    def sums(self, order_id: str) -> Sums:
        """Give the sums of a short order, as of the last `fund`."""
        turn = self.entries[order_id].turn
        at = self._block_of(turn)
        if not self._before:
            self._before = list(accumulate([x.wants for x in self._blocks], initial=0))
        left, before = self._blocks[at].entered, self._before[at]
        for entry in self._blocks[at].entries:
            if entry.turn == turn:
                break
            before += entry.reserves
            if entry.cost <= left:
                left -= entry.reserves
        return Sums(left, before)

    def _make_blocks(self) -> None:
        entries = sorted(self.entries.values(), key=_turn_of)
        for first in range(0, len(entries), BLOCK_MAX):
            some = entries[first : first + BLOCK_MAX]
            block = _Block([entry.turn for entry in some], some)
            block.short = {turn[2] for turn in block.turns if turn[2] in self.short}
            self._blocks.append(block)

    def _put(self, entry: Entry) -> None:
        """Put an entry into its block."""
        at = self._block_of(entry.turn)
        block = self._blocks[at]
        index = bisect_left(block.turns, entry.turn)
        block.turns.insert(index, entry.turn)
        block.entries.insert(index, entry)
        block.wants += entry.reserves
        block.changed = True
        if entry.turn[2] in self.short:
            block.short.add(entry.turn[2])
        if len(block.turns) > BLOCK_MAX:
            self._cut(at)

    def _take(self, entry: Entry) -> None:
        """Take an entry out of its block."""
        at = self._block_of(entry.turn)
        block = self._blocks[at]
        index = bisect_left(block.turns, entry.turn)
        assert block.entries[index] is entry, "the blocks hold what the entries say"
        del block.turns[index]
        del block.entries[index]
        block.wants -= entry.reserves
        block.changed = True
        block.short.discard(entry.turn[2])
        if not block.turns:
            del self._blocks[at]

    def _block_of(self, turn: Turn) -> int:
        """Give the block that holds a turn, or into which it belongs."""
        blocks = self._blocks
        high = len(blocks) - 1
        if high < 1:
            return 0
        low = 0
        while low < high:
            middle = (low + high) // 2
            if blocks[middle].turns[-1] < turn:
                low = middle + 1
            else:
                high = middle
        return low

    def _cut(self, at: int) -> None:
        block = self._blocks[at]
        half = len(block.turns) // 2
        second = _Block(block.turns[half:], block.entries[half:])
        del block.turns[half:]
        del block.entries[half:]
        block.wants -= second.wants
        second.short = {turn[2] for turn in second.turns if turn[2] in block.short}
        block.short -= second.short
        self._blocks.insert(at + 1, second)


def _turn_of(entry: Entry) -> Turn:
    return entry.turn
