"""§5: recovery under rules of another version emits what they change, and nothing else."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
import pytest

from processor.rules import judge
from processor.rules.judge import Finding, Phase
from processor.rules.machine import Machine
from processor.rules.rows import READS, Checkpoint, Line, Marks, Placed, Standing, Transfer
from processor.rules.shard import RULES_VERSION
from schemas.errors import Rejection, StateRefused
from tests.contract.vocabulary import (
    DAY_0_MS,
    Event,
    F,
    P,
    balance,
    cancelled,
    deleted,
    hour,
    line,
    numbered,
    placed,
    transfer,
)
from tests.engine import Engine, Rows, decoded, keep
from tests.model import partition_of
from tests.support import releases
from tests.support.releases import put_everywhere

pytestmark = [pytest.mark.rules, pytest.mark.pure]

NEW = RULES_VERSION + 1
PARTITION_TIME = "2026-01-02T00:00:00.000000Z"


def written(*events: Event) -> tuple[Rows, bytes]:
    """Give the rows and the checkpoint after some events, under the rules as they are."""
    engine, rows = Engine("acme."), Rows()
    for record in numbered(events):
        engine.apply(record._replace(topic="acme." + record.topic))
    keep(rows, engine.machine(0).drain())
    return rows, engine.machine(0).checkpoint()


def resumed(rows: Rows, checkpoint: bytes) -> tuple[list[dict[str, Any]], Machine]:
    machine = Engine("acme.").recovered(0, rows.items())
    values = [value for _, value, _ in map(decoded, machine.resume(checkpoint))]
    assert None not in values
    return [value for value in values if value is not None], machine


def without_products(
    lines: tuple[Line, ...], transfers: tuple[Transfer, ...], marks: Marks
) -> tuple[Finding, ...]:
    return tuple(x for x in ORIGINAL(lines, transfers, marks) if x.code != judge.PRODUCT)


ORIGINAL = judge.find_reasons
HALTED = (
    placed("b", line("l1", photos="f1"), paid=True),
    placed("a"),
    placed("c", line("l1", "p2")),
    deleted("product", "p1", at=2),
    deleted("photo", "f1", at=3),
)


def test_the_same_rules_under_another_number_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, checkpoint = written(*HALTED)
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    values, machine = resumed(rows, checkpoint)
    assert values == []
    assert machine.dirty == 0


def test_what_new_rules_change_is_emitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The differences alone, by order, caused by the rules, at the partition time."""
    rows, checkpoint = written(*HALTED)
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    put_everywhere(monkeypatch.setattr, "find_reasons", without_products)
    values, machine = resumed(rows, checkpoint)
    assert [(v["order_id"], v["change"], v["status"]) for v in values] == [
        ("a", "ended", "released"),
        ("b", "changed", "halted"),
    ]
    for value, sequence in zip(values, (2, 3), strict=True):
        name = f"/orderhalt/acme./s1/{value['order_id']}/{sequence}/rules:{NEW}"
        assert value["event_id"] == str(uuid5(NAMESPACE_URL, name))
        assert value["caused_by"] == {"rules": NEW}
        assert value["occurred_at"] == PARTITION_TIME
        assert value["sequence"] == sequence
        assert value["halted_since"] == hour(2)
        assert value["ended_reasons"] == [{"code": P, "since": hour(2)}]
    assert [(r["code"], r["since"]) for r in values[1]["reasons"]] == [(F, hour(3))]
    keep(rows, machine.drain())
    assert resumed(rows, machine.checkpoint())[0] == []


def test_a_reason_that_is_new_opens_at_the_partition_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as old_rules:
        put_everywhere(old_rules.setattr, "find_reasons", without_products)
        rows, checkpoint = written(*HALTED)
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    values, _ = resumed(rows, checkpoint)
    assert [(v["order_id"], v["change"], v["primary_reason"]) for v in values] == [
        ("a", "opened", P),
        ("b", "changed", P),
    ]
    assert values[0]["halted_since"] == values[0]["reasons"][0]["since"] == PARTITION_TIME


def test_new_rules_of_assets_pass_through_the_credit_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be produced under the new rules reserves its cost again."""
    rows, checkpoint = written(
        placed("a", cost=100),
        placed("b", line("l1", "p2"), cost=100, placed_at=1),
        deleted("product", "p1"),
        balance(100),
    )
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    put_everywhere(monkeypatch.setattr, "find_reasons", without_products)
    values, _ = resumed(rows, checkpoint)
    assert [(v["order_id"], v["change"], v["primary_reason"]) for v in values] == [
        ("a", "ended", None),
        ("b", "opened", "credit_limit_reached"),
    ]


def test_an_order_that_new_rules_close_is_not_left_halted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = judge.standing_by

    def closes_what_is_paid(
        placed: Placed | None, standing: Standing | None, transfers: tuple[Transfer, ...]
    ) -> tuple[Phase, tuple[Line, ...]]:
        paid = placed is not None and placed.paid
        return (Phase.CANCELLED, ()) if paid else original(placed, standing, transfers)

    rows, checkpoint = written(*HALTED)
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    put_everywhere(monkeypatch.setattr, "standing_by", closes_what_is_paid)
    values, _ = resumed(rows, checkpoint)
    assert [(v["order_id"], v["change"], v["status"]) for v in values] == [
        ("b", "ended", "cancelled")
    ]


def test_closed_orders_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, checkpoint = written(*HALTED, cancelled("a", at=4), transfer("succeeded", "b", at=4))
    put_everywhere(monkeypatch.setattr, "RULES_VERSION", NEW)
    put_everywhere(monkeypatch.setattr, "find_reasons", without_products)
    assert resumed(rows, checkpoint)[0] == []


def test_rows_that_a_release_cannot_read_are_refused_with_the_remedy() -> None:
    made_with = Checkpoint(READS + 1, RULES_VERSION, None)
    with pytest.raises(StateRefused, match="Start the newer release, or the one between"):
        Machine(0).resume(msgspec.msgpack.encode(made_with))


def test_an_upgrade_that_is_taken_back_is_judged_by_the_old_rules_again() -> None:
    """As long as the old release can read the rows, whatever format they are in."""
    rows, checkpoint = written(*HALTED)
    with pytest.MonkeyPatch.context() as patch:
        releases.after(patch.setattr)
        values, machine = resumed(rows, checkpoint)
        assert [(v["order_id"], v["ended_reasons"][0]["code"]) for v in values] == [("b", F)]
        keep(rows, machine.drain())
        checkpoint = machine.checkpoint()
    with pytest.raises(StateRefused):
        resumed(rows, checkpoint)
    with pytest.MonkeyPatch.context() as patch:
        releases.before(patch.setattr)
        values, machine = resumed(rows, checkpoint)
        assert [(v["order_id"], v["change"], v["sequence"]) for v in values] == [
            ("b", "changed", 4)
        ]
        assert [r["code"] for r in values[0]["reasons"]] == [P, F]
        assert values[0]["caused_by"] == {"rules": RULES_VERSION}
        keep(rows, machine.drain())
        assert resumed(rows, machine.checkpoint())[0] == []


def test_a_checkpoint_carries_the_partition_time() -> None:
    """§7 holds over a restart: without the time nothing would be forgotten until an order comes."""
    rows, checkpoint = written(*HALTED)
    _, machine = resumed(rows, checkpoint)
    assert machine.shard.partition_time == DAY_0_MS


def test_a_state_that_was_made_with_other_partitions_is_refused() -> None:
    """Studios would go elsewhere than where what is known of them lies."""
    checkpoint = Machine(0, partitions=4).checkpoint()
    with pytest.raises(StateRefused, match=r"have 6 partitions.* made with 4"):
        Machine(0, partitions=6).resume(checkpoint)
    with pytest.raises(StateRefused):
        Machine(0, partitions=6, any_partitioner=True).resume(checkpoint)
    assert Machine(0, partitions=4).resume(checkpoint) == []
    assert Machine(0).resume(checkpoint) == [], "nobody says how many there are"
    assert Machine(0, partitions=4).resume(Machine(0).checkpoint()) == []


@pytest.mark.parametrize("any_partitioner", [False, True])
def test_any_partitioner_turns_the_check_of_partitions_off(any_partitioner: bool) -> None:
    (record,) = numbered([placed()])
    elsewhere = (partition_of(b"s1", 4) + 1) % 4
    machine = Machine(elsewhere, partitions=4, any_partitioner=any_partitioner)
    if any_partitioner:
        assert machine.apply(*record._replace(partition=elsewhere)) == []
    else:
        with pytest.raises(Rejection):
            machine.apply(*record._replace(partition=elsewhere))
