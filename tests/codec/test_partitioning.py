"""§1: keys, and the partition in which Kafka's default partitioner puts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.partitioning import default_partition, join_key, murmur2, split_key
from tests import model

pytestmark = pytest.mark.rules

# From Kafka's UtilsTest.testMurmur2; the numbers are Java's signed ones.
VECTORS = [
    (b"21", -973932308),
    (b"foobar", -790332482),
    (b"a-little-bit-long-string", -985981536),
    (b"a-little-bit-longer-string", -1486304829),
    (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    (b"abc", 479470107),
]
ODD = [
    "a/b",
    "a b",
    "%2F",
    "%",
    "a%2Fb",
    "ß",
    "\U00010348",
    "\ufb01",
    "~-._",
    "+",
    "?",
    "a\\b",
    "é",
]


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_murmur2_as_kafka_tests_it(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected % 2**32


@given(data=st.binary(max_size=40), partitions=st.integers(1, 10_000))
def test_murmur2_is_the_model_s(data: bytes, partitions: int) -> None:
    assert murmur2(data) == model.murmur2(data)
    assert default_partition(data, partitions) == model.partition_of(data, partitions)
    assert 0 <= default_partition(data, partitions) < partitions


def test_the_sign_bit_is_cleared_not_the_number_negated() -> None:
    assert default_partition(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10


@pytest.mark.parametrize("studio", ODD)
@pytest.mark.parametrize("order", ODD)
def test_keys_of_odd_ids_are_split_into_the_same(studio: str, order: str) -> None:
    key = join_key(studio, order)
    assert key == model.order_key(studio, order)
    assert key.isascii()
    assert split_key(key) == [studio, order]


@given(parts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3))
def test_any_key_is_split_into_the_same(parts: list[str]) -> None:
    assert split_key(join_key(*parts)) == parts


def test_unreserved_characters_stay() -> None:
    assert join_key("a-Z_0.~", "ß/ %+") == "a-Z_0.~/%C3%9F%2F%20%25%2B"
    assert join_key("a/b") == "a%2Fb"
