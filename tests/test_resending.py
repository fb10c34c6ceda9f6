"""Which partition, and which check, a record gets before it goes again."""

from __future__ import annotations

import json

import pytest

from processor.config import load
from processor.rejected import NotSent, Rejected, Wanted, as_it_is, prepare, repaired
from schemas.partitioning import default_partition
from tests.support.deployment import STUDIO, order_placed

NOW_MS = 1_800_000_000_000
VALUE = json.dumps(order_placed("o1", "p1")).encode()
NOTES = {"error_code": "wrong_partition", "topic": "shop-order-placed", "partition": "5"}
SHOP = load(topic_prefix="shop-")


def record(
    value: bytes | None = VALUE, key: bytes | None = STUDIO.encode(), **notes: str
) -> Rejected:
    return Rejected(0, 7, NOW_MS, key, value, (("trace", b"1"),), NOTES | notes)


def test_it_goes_to_the_partition_of_its_key() -> None:
    sending = prepare(SHOP, record(), 12, NOW_MS)
    assert sending.partition == default_partition(STUDIO.encode(), 12)
    assert (sending.topic, sending.key, sending.value, sending.headers) == (
        "shop-order-placed",
        STUDIO.encode(),
        VALUE,
        (("trace", b"1"),),
    )


def test_with_a_partitioner_of_the_producers_it_goes_where_it_was() -> None:
    anywhere = load(topic_prefix="shop-", any_partitioner=True)
    assert prepare(anywhere, record(), 12, NOW_MS).partition == 5


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (record(value=b"{"), "as malformed_json"),
        (record(value=None), "as empty_record"),
        (record(key=None), "as key_mismatch"),
        (record(topic="order-placed"), "no input of this deployment"),
        (record(topic="shop-order-halted"), "no input of this deployment"),
        (record(value=None, omitted="value of 9 bytes"), "is not whole: value of 9 bytes"),
    ],
)
def test_what_is_not_sent(refused: Rejected, words: str) -> None:
    with pytest.raises(NotSent, match=words):
        prepare(SHOP, refused, 12, NOW_MS)


def test_what_was_left_out_can_be_given() -> None:
    whole = repaired(record(value=None, omitted="value of 9 bytes"), VALUE, None)
    assert prepare(SHOP, whole, 12, NOW_MS).value == VALUE


def test_without_a_key_it_goes_where_it_was() -> None:
    assert as_it_is(SHOP, record(key=None), 12).partition == 5


def test_wanted() -> None:
    assert Wanted().matches(record(), "shop-")
    assert Wanted(topics=frozenset({"order-placed"})).matches(record(), "shop-")
    assert Wanted(topics=frozenset({"shop-order-placed"})).matches(record(), "shop-")
    assert not Wanted(topics=frozenset({"lab-transfer"})).matches(record(), "shop-")
    assert not Wanted(codes=frozenset({"too_large"})).matches(record(), "shop-")
    assert not Wanted(until_ms=NOW_MS).matches(record(), "shop-")
    assert Wanted(since_ms=NOW_MS).matches(record(), "shop-")
