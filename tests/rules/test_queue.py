"""The funding queue decides as the plain walk of contract.md §4 does, after any change."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.rules import queue as queue_module
from processor.rules.queue import FundingQueue, Turn

pytestmark = pytest.mark.rules


@dataclass
class Plain:
    """One order, as the contract has it."""

    turn: Turn
    cost: int
    missing: bool


def walk(orders: dict[str, Plain], available: int | None) -> dict[str, tuple[int, int]]:
    """Give, for every short order, what is left at its turn and what was wanted before it."""
    if available is None:
        return {}
    short, left, before = {}, available, 0
    for order in sorted(orders.values(), key=lambda x: x.turn):
        if order.cost > left:
            short[order.turn[2]] = (left, before)
        elif not order.missing:
            left -= order.cost
        if not order.missing:
            before += order.cost
    return short


ADD = st.tuples(
    st.just("add"),
    st.integers(0, 60),
    st.booleans(),
    st.integers(0, 9),
    st.integers(1, 40),
    st.booleans(),
)
REMOVE = st.tuples(st.just("remove"), st.integers(0, 60))
MARK = st.tuples(st.just("missing"), st.integers(0, 60), st.booleans())
FUND = st.tuples(st.just("fund"), st.one_of(st.none(), st.integers(-50, 400)))
STEPS = st.lists(st.one_of(ADD, ADD, ADD, REMOVE, MARK, FUND, FUND), max_size=150)


@pytest.mark.parametrize("block_max", [2, 5, 128])
@given(steps=STEPS, last=st.integers(-50, 400))
def test_queue_decides_as_the_plain_walk(
    steps: list[tuple[object, ...]], last: int, block_max: int
) -> None:
    """Blocks, shifts and edges change nothing: who is short, who has flipped, and the sums."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_module, "BLOCK_MAX", block_max)
        queue, plain = FundingQueue(), dict[str, Plain]()
        said: set[str] = set()
        for step in [*steps, ("fund", last)]:
            match step:
                case ("add", int(number), bool(later), int(at), int(cost), bool(missing)):
                    name = f"o{number:02}"
                    queue.remove(name)
                    said.discard(name)
                    plain[name] = Plain((later, at, name), cost, missing)
                    queue.add((later, at, name), cost, missing=missing, short=False)
                case ("remove", int(number)):
                    name = f"o{number:02}"
                    assert queue.remove(name) == (plain.pop(name, None) is not None)
                    said.discard(name)
                case ("missing", int(number), bool(missing)):
                    name = f"o{number:02}"
                    queue.set_missing(name, missing)
                    if name in plain:
                        plain[name].missing = missing
                case ("fund", available):
                    assert available is None or isinstance(available, int)
                    demanded = walk(plain, available)
                    assert queue.fund(available) == said ^ set(demanded)
                    said = set(demanded)
                    assert queue.short == said
                    assert {name: tuple(queue.sums(name)) for name in said} == demanded
        assert queue.total == sum(x.cost for x in plain.values())


def test_a_long_queue_at_its_limit_is_not_walked_for_one_order() -> None:
    """10,000 orders, the money short by a few: one more order at the end walks one block."""
    queue = FundingQueue()
    for number in range(10_000):
        queue.add((True, number, f"o{number:05}"), 10, missing=False, short=False)
    queue.fund(99_955)
    walked = []
    plain_walk = queue_module._Block.walk

    def counting(block: queue_module._Block, left: int) -> None:
        walked.append(block)
        plain_walk(block, left)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue_module._Block, "walk", counting)
        queue.add((True, 10_000, "o10000"), 10, missing=False, short=False)
        assert queue.fund(99_955) == {"o10000"}
        queue.remove("o00007")
        assert queue.fund(99_955) == {"o09995"}
    assert len(walked) <= 4
