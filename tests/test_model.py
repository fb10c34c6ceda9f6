"""The model's own tests: what concerns it alone, or checks the generators with it."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings

from tests.contract.vocabulary import feed_all, rows
from tests.model import Model, Record, murmur2, order_key, partition_of
from tests.model.decoding import free_text, parse_instant
from tests.model.output import instant
from tests.strategies import Shape, logs, random_log, shuffled_and_duplicated

pytestmark = pytest.mark.rules

# §1, §2, §6

HASHES = [
    ("21", b"21", -973932308),
    ("foobar", b"foobar", -790332482),
    ("even", b"a-little-bit-long-string", -985981536),
    ("odd", b"a-little-bit-longer-string", -1486304829),
    ("long", b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
    ("abc", b"abc", 479470107),
]


@rows("data, expected", HASHES)
def test_murmur2_as_kafka_tests_it(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected % 2**32


def test_the_sign_bit_is_cleared_before_the_partition_is_chosen() -> None:
    assert partition_of(b"21", 10) == (-973932308 & 0x7FFFFFFF) % 10


def test_order_keys_keep_unreserved_characters_only() -> None:
    assert order_key("a-Z_0.~", "ß/ %+\U00010348") == "a-Z_0.~/%C3%9F%2F%20%25%2B%F0%90%8D%88"


INSTANTS = [
    ("UTC", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00.000000Z"),
    ("east", "2026-01-01T00:30:00+01:30", "2025-12-31T23:00:00.000000Z"),
    ("west", "2026-01-01T23:30:00.5-01:30", "2026-01-02T01:00:00.500000Z"),
    ("cut off", "2026-01-01T12:00:00.9999999Z", "2026-01-01T12:00:00.999999Z"),
    ("first", "1999-12-31T23:00:00-01:00", "2000-01-01T00:00:00.000000Z"),
    ("last", "2200-01-01T00:59:59.9999999+01:00", "2199-12-31T23:59:59.999999Z"),
]


@rows("text, expected", INSTANTS)
def test_instants_are_written_in_utc_with_microseconds(text: str, expected: str) -> None:
    parsed = parse_instant(text)
    assert parsed is not None
    assert instant(parsed) == expected


def test_free_text_is_cut_and_cleaned() -> None:
    assert free_text("\0a\x9fb\u2028" + "\U0001f4f7" * 500) == " a b\u2028" + "\U0001f4f7" * 495


# §3 Laws


@pytest.mark.parametrize("seed", range(60))
def test_judgements_converge(seed: int) -> None:
    log = random_log(seed, 50, Shape(jumps=False), partitions=3)
    model = Model(partitions=3)
    feed_all(log, model)
    other = Model(partitions=3)
    feed_all(shuffled_and_duplicated(log, seed), other)
    assert model.judgements() == other.judgements()


def check_records_tell_the_judgements(log: Sequence[Record], partitions: int) -> None:
    """Whoever folds the records knows the judgements: none is missed, forgetting changes none."""
    model = Model(partitions=partitions)
    told: dict[str, dict[str, Any]] = {}
    for item in log:
        outcome = model.feed(item)
        assert outcome.rejected is None
        for key, value, _ in outcome.emitted:
            if value is None:
                assert told.pop(key)["reasons"] == []
            else:
                assert value["sequence"] == told.get(key, {"sequence": 0})["sequence"] + 1
                told[key] = value
        for key, judgement in model.judgements().items():
            codes = [reason["code"] for reason in told.get(key, {"reasons": []})["reasons"]]
            assert codes == judgement["codes"]
            assert (
                key not in told
                or not codes
                or (told[key]["order_version"] == judgement["order_version"])
            )


@pytest.mark.parametrize("seed", range(40))
def test_records_tell_the_judgements(seed: int) -> None:
    check_records_tell_the_judgements(random_log(seed, 60, partitions=2), 2)


@settings(max_examples=40, deadline=None)
@given(log=logs())
def test_records_tell_the_judgements_of_any_log(log: list[Record]) -> None:
    check_records_tell_the_judgements(log, 1)


def test_a_seed_gives_the_same_log_every_time() -> None:
    assert random_log(7, prefix="a.") == random_log(7, prefix="a.")
