"""What is said before a deletion or a top-up is what happens after it, whatever came before."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processor.console.plan import Step, plan
from processor.console.whatif import impact
from schemas.errors import Rejection
from schemas.instants import format_instant
from schemas.partitioning import join_key
from schemas.reasons import AssetType
from tests.console.shop import NOW_MS, Shop, ended, opened
from tests.contract.vocabulary import (
    balance,
    deleted,
    line,
    placed,
    record,
    restored,
    transfer,
)
from tests.model import ASSET_DELETED, BALANCE_CHANGED, Record
from tests.strategies import Shape, logs
from tests.strategies.event_logs import PACKAGES, PHOTOS, PRODUCTS, STUDIOS

IDS = {AssetType.PRODUCT: PRODUCTS, AssetType.PHOTO: PHOTOS, AssetType.PACKAGE: PACKAGES}
SHAPE = Shape(studios=1, orders=5, jumps=False)


def shop_after(log: list[Record]) -> Shop:
    """Let a log happen."""
    shop = Shop()
    for item in log:
        try:
            shop.apply(item)
        except Rejection:
            continue
    shop.settle()
    return shop


def send(shop: Shop, topic: str, **fields: Any) -> list[dict[str, Any]]:
    """Let one more thing happen, later than all before it."""
    value = {
        "event_id": "last",
        "occurred_at": "2026-01-01T23:00:00Z",
        "studio_id": STUDIOS[0],
        **fields,
    }
    key = STUDIOS[0].encode()
    said = shop.apply(Record(topic, 0, 999, NOW_MS, key, json.dumps(value).encode()))
    shop.settle()
    return said


#: Balances and costs, in the order of placing, in which what one order gives up another takes; the
#: first needs a photo that may go.
SQUEEZED = (
    (100, (60, 90, 20)),  # without the first, the second gets it, and nothing is left for the third
    (100, (60, 50)),  # without the first, the second gets it
    (60, (100, 60, 50)),  # 90 more fund the first and the third, and halt the second
    (60, (100, 80)),  # 20 more free the second; 40 more fund the first, too
)


def squeezed(number: int, scale: int = 1) -> list[Any]:
    """Give the events of one of them."""
    amount, costs = SQUEEZED[number]
    orders = [
        placed(
            f"s{at}",
            line("l1", "p2", PHOTOS[0] if at == 0 else ""),
            cost=cost * scale,
            placed_at=at,
        )
        for at, cost in enumerate(costs)
    ]
    return [balance(amount * scale, 0, settled=""), *orders]


def of_studio(events: list[Any]) -> list[Record]:
    """Make records of events, all of one studio."""
    numbered = [(topic, {**fields, "studio_id": STUDIOS[0]}) for topic, fields in events]
    return [record(event, number) for number, event in enumerate(numbered)]


@st.composite
def tight_logs(draw: st.DrawFn) -> list[Record]:
    """Make a studio whose money does not suffice: orders of all sizes, some of them broken already."""
    which = draw(st.integers(0, len(SQUEEZED)))
    if which < len(SQUEEZED):
        events = squeezed(which, draw(st.integers(1, 3)))
    else:
        events = [balance(draw(st.integers(0, 40)) * 10, 0, settled="")]
    begun = len(events) > 1
    for number in range(draw(st.integers(0 if begun else 2, 6))):
        photos = " ".join(sorted(draw(st.sets(st.sampled_from(PHOTOS), max_size=2))))
        cost = draw(st.integers(1, 20)) * 10
        placed_at = draw(st.integers(2 if begun else 0, 5))
        only = line("l1", "p2", photos)
        events.append(placed(f"o{number}", only, cost=cost, placed_at=placed_at))
        fate = draw(st.integers(0, 5))
        if fate < 2:
            events.append(transfer(("started", "succeeded")[fate], f"o{number}"))
    if draw(st.integers(0, 3)) == 0:
        events.append(deleted("photo", draw(st.sampled_from(PHOTOS)), at=2))
    return of_studio(events)


ASKED = (st.just(AssetType.PHOTO) | st.sampled_from(AssetType)).flatmap(
    lambda kind: st.tuples(
        st.just(kind), st.lists(st.sampled_from(IDS[kind]), min_size=1, max_size=2)
    )
)
LOGS = st.one_of(logs(40, SHAPE), tight_logs(), tight_logs())


def test_impact_is_what_then_happens() -> None:
    """Predicted = halts emitted after the deletion: opened and ended, over all that credit moves."""
    seen: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(LOGS, ASKED)
    @example(of_studio(squeezed(0)), (AssetType.PHOTO, [PHOTOS[0]]))
    def check(log: list[Record], asked: tuple[AssetType, list[str]]) -> None:
        seen.update(_delete(shop_after(log), *asked))

    check()
    assert seen.keys() == set(GROUPS), "each was seen"


GROUPS = ("would_halt", "halted_already", "safe", "credit_would_halt", "credit_would_release")


def _delete(shop: Shop, kind: AssetType, ids: list[str]) -> list[str]:
    """Ask, delete, compare; gives the groups in which there were any orders."""
    said = impact(shop.replica, STUDIOS[0], kind, ids, shop.console.secured(STUDIOS[0]))
    before = {key: x.reasons for key, x in shop.console.index.entries.items()}
    emitted = send(shop, ASSET_DELETED, asset_type=kind, asset_ids=list(ids))
    would_halt = [x.order_id for x in (*said.would_halt.orders, *said.credit_would_halt.orders)]
    assert sorted(would_halt) == opened(emitted)
    assert [x.order_id for x in said.credit_would_release.orders] == ended(emitted)
    for group in (said.would_halt, said.halted_already, said.safe):
        assert group.count == len(group.orders)
        assert group.paid_count == sum(x.paid for x in group.orders)
    for affected in said.halted_already.orders:
        assert affected.reasons == before[join_key(STUDIOS[0], affected.order_id)]
    halted = {x["order_id"] for x in emitted if x["change"] != "ended"}
    assert not halted & {x.order_id for x in said.safe.orders if not x.reasons}
    return [name for name in GROUPS if getattr(said, name).count]


def test_top_ups_free_the_orders_that_the_plan_says() -> None:
    """Top-ups applied = orders freed, and halted; the last step leaves nobody short."""
    seen: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(LOGS, st.sampled_from(("EUR", "EUR", "USD")), st.integers(0, 19))
    @example(of_studio(squeezed(2)), "EUR", 0)
    @example(of_studio([*squeezed(3), deleted("photo", PHOTOS[0], at=2)]), "EUR", 1)
    def check(log: list[Record], currency: str, number: int) -> None:
        shop = shop_after(log)
        said = plan(shop.replica, STUDIOS[0], currency)
        if not said.steps:
            assert not said.waiting_count
            return
        assert said.steps[-1].waiting_count == 0
        amounts = [step.top_up_minor for step in said.steps]
        assert amounts == sorted(set(amounts)) and amounts[0] > 0
        seen.update(_top_up(shop, currency, said.steps[number % len(said.steps)]))

    check()
    assert seen.keys() == {"frees", "halts", "funds_count", "waiting_count"}, "each was seen"


def _top_up(shop: Shop, currency: str, step: Step) -> list[str]:
    """Top up and compare; gives what there was to compare."""
    account = shop.worker.shard.studios[STUDIOS[0]].accounts[currency]
    kept = account.balance
    assert kept is not None
    fields = {
        "balance": {"amount_minor": kept.balance_minor + step.top_up_minor, "currency": currency},
        "credit_limit_minor": kept.credit_limit_minor,
        "version": kept.version + 1,
        # The same costs are in the balance as before: money alone is what changes.
        "occurred_at": format_instant(kept.occurred_at),
    }
    emitted = send(
        shop, BALANCE_CHANGED, **fields, **({"settled_order_ids": []} if kept.lists else {})
    )
    assert (sorted(step.frees), sorted(step.halts)) == (ended(emitted), opened(emitted))
    assert step.waiting_count == len(account.short)
    return [x for x in ("frees", "halts", "funds_count", "waiting_count") if getattr(step, x)]


def test_the_first_amount_that_frees_an_order_is_the_smallest() -> None:
    """A minor unit less frees nothing."""
    shop = Shop()
    shop.send(
        balance(100, 0, settled=""),
        placed("o1", cost=90, placed_at=1),
        placed("o2", cost=50, placed_at=2),
        placed("o3", cost=70, placed_at=3),
    )
    said = plan(shop.replica, "s1", "EUR")
    assert [(x.order_id, x.available_minor, x.shortfall_minor) for x in said.waiting] == [
        ("o2", 10, 40),
        ("o3", 10, 60),
    ]
    assert [(x.top_up_minor, x.frees, x.waiting_count) for x in said.steps] == [
        (40, ["o2"], 1),
        (110, ["o2", "o3"], 0),
    ]
    assert said.queue_minor == 210


def test_a_step_says_whom_it_halts() -> None:
    """Money for an earlier, dearer order is taken from a later one."""
    shop = Shop()
    shop.send(
        balance(60, 0, settled=""),
        placed("dear", cost=100, placed_at=1),
        placed("cheap", cost=60, placed_at=2),
    )
    said = plan(shop.replica, "s1", "EUR")
    assert [x.order_id for x in said.waiting] == ["dear"]
    # 40 would free one and halt another: no gain, so it is no step.
    assert [(x.top_up_minor, x.frees, x.halts) for x in said.steps] == [(100, ["dear"], [])]


@pytest.mark.parametrize(
    ("limit", "known"),
    [(None, "no limit: nothing is checked"), (0, "a limit")],
)
def test_an_account_without_a_limit_has_no_plan(limit: int | None, known: str) -> None:
    shop = Shop()
    shop.send(placed("o1", cost=100), balance(0, limit))
    said = plan(shop.replica, "s1", "EUR")
    assert bool(said.steps) == (limit is not None), known
    assert plan(shop.replica, "s1", "USD").balance_minor is None


def test_impact_sorts_orders_by_how_they_fare() -> None:
    shop = Shop()
    shop.send(
        placed("free", line("l1", photos="f1"), cost=100, paid=True),
        placed("halted", line("l1", photos="f1 f2"), cost=200),
        placed("at-the-lab", line("l1", photos="f1"), cost=400),
        placed("half", line("l1", photos="f1", package="k1"), line("l2", package="k2")),
        placed("other", line("l1", photos="f9")),
        deleted("photo", "f2"),
        deleted("photo", "f3"),
        restored("photo", "f3", at=2),
        transfer("succeeded", "at-the-lab"),
        transfer("succeeded", "half", "k1"),
    )
    said = impact(
        shop.replica, "s1", AssetType.PHOTO, ["f1", "f1", "nix"], shop.console.secured("s1")
    )
    assert said.asset_count == 2
    assert [x.order_id for x in said.would_halt.orders] == ["free"]
    assert (said.would_halt.paid_count, said.would_halt.cost_minor) == (1, {"EUR": 100})
    assert [x.order_id for x in said.halted_already.orders] == ["halted"]
    assert sorted(x.order_id for x in said.safe.orders) == ["at-the-lab", "half"]
    assert said.safe_complete
    assert impact(shop.replica, "nobody", AssetType.PHOTO, ["f1"]).would_halt.count == 0


def test_money_that_a_deletion_sets_free_goes_on() -> None:
    """An order that cannot be produced reserves nothing: who waits for money alone gets it."""
    shop = Shop()
    shop.send(
        balance(100, 0, settled=""),
        placed("first", line("l1", photos="f1"), cost=100, placed_at=1),
        placed("waits", cost=50, placed_at=2),
    )
    said = impact(shop.replica, "s1", AssetType.PHOTO, ["f1"])
    assert [x.order_id for x in said.credit_would_release.orders] == ["waits"]
    shop = Shop()
    shop.send(
        balance(100, 0, settled=""),
        placed("first", line("l1", photos="f1"), cost=60, placed_at=1),
        placed("dear", cost=90, placed_at=2),
        placed("small", cost=20, placed_at=3),
    )
    said = impact(shop.replica, "s1", AssetType.PHOTO, ["f1"])
    assert [x.order_id for x in said.credit_would_halt.orders] == ["small"]
    assert [x.order_id for x in said.credit_would_release.orders] == ["dear"]
