"""§2, §5: instants in and out. The fast paths of `parse_instant` know nothing that the slow has not."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import instants
from schemas.instants import EARLIEST_US, LATEST_US, format_instant, parse_instant
from tests.model.decoding import parse_instant as parse_as_the_model

pytestmark = pytest.mark.rules

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON_US = 1_767_268_800_000_000
"""2026-01-01T12:00:00Z"""


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    instants._SEEN.clear()
    yield
    instants._SEEN.clear()


def micros(text: str) -> int | None:
    try:
        return parse_instant(text)
    except ValueError:
        return None


def micros_of_model(text: str) -> int | None:
    found = parse_as_the_model(text)
    return None if found is None else (found - EPOCH) // timedelta(microseconds=1)


ROWS = [
    ("UTC", "2026-01-01T12:00:00Z", NOON_US),
    ("small letters", "2026-01-01t12:00:00z", NOON_US),
    ("east", "2026-01-01T13:30:00+01:30", NOON_US),
    ("west", "2026-01-01T10:30:00-01:30", NOON_US),
    ("unknown offset", "2026-01-01T12:00:00-00:00", NOON_US),
    ("one digit", "2026-01-01T12:00:00.5Z", NOON_US + 500_000),
    ("milliseconds", "2026-01-01T12:00:00.012Z", NOON_US + 12_000),
    ("microseconds", "2026-01-01T12:00:00.012345Z", NOON_US + 12_345),
    ("nanoseconds are cut off", "2026-01-01T12:00:00.012345999Z", NOON_US + 12_345),
    ("cut off, never rounded up", "2026-01-01T11:59:59.9999999Z", NOON_US - 1),
    ("four digits", "2026-01-01T12:00:00.0123Z", NOON_US + 12_300),
    ("first", "2000-01-01T00:00:00Z", EARLIEST_US),
    ("before the first", "1999-12-31T23:59:59.999999Z", None),
    ("last", "2199-12-31T23:59:59.999999Z", LATEST_US - 1),
    ("after the last", "2200-01-01T00:00:00Z", None),
    ("the last, in the east", "2200-01-01T23:58:59+23:59", LATEST_US - 1_000_000),
    ("the seconds of another", "2026-01-01T12:00:00Z123Z", None),
    ("a point too late", "2026-01-01T12:00:000.123Z", None),
    ("no offset", "2026-01-01T12:00:00.123456", None),
    ("half an offset", "2026-01-01T12:00:00.123+01:0", None),
    ("seconds 60", "2026-01-01T12:00:60Z", None),
    ("no colon", "2026-01-01T12:00.00Z", None),
]


@pytest.mark.parametrize(
    ("text", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_one_text(text: str, expected: int | None) -> None:
    """Before and after its minute is remembered."""
    assert micros(text) == expected
    parse_instant("2026-01-01T12:00:00Z")
    assert micros(text) == expected


def texts_near(rng: random.Random) -> str:
    """An instant as producers write it, and often one that is not quite one."""
    minute = rng.choice(("2026-01-01T12:00:", "2026-01-01T12:01:", "2026-02-30T12:00:"))
    seconds = rng.choice(
        (*("00", "07", "59") * 6, "60", "0", "000", "1\u0661", " 1", "-1", "+1", "1_")
    )
    fraction = rng.choice(("", ".", ".1", ".12", ".123", ".1234", ".12345", ".123456", ".1234567"))
    fraction = rng.choice(
        (fraction, fraction, fraction, ",123", ".12Z", ".1\u0662", ". 23", "Z123")
    )
    offset = rng.choice((*("Z",) * 12, "z", "", "+00:00", "-00:00", "+01:00", "ZZ", "Z\n", " Z"))
    text = minute + seconds + fraction + offset
    if rng.random() < 0.2:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice("0159Z.:T+- \u0669") + text[at + 1 :]
    return text


def test_fast_and_slow_agree_on_texts_that_are_nearly_instants() -> None:
    """With its minute remembered, cold, and by the model: thrice the same."""
    rng = random.Random(1)
    lawful = 0
    for _ in range(20_000):
        text = texts_near(rng)
        expected = micros_of_model(text)
        found = micros(text)
        assert found == expected, text
        instants._SEEN.clear()
        assert micros(text) == expected, text
        parse_instant("2026-01-01T12:00:00Z")
        lawful += found is not None
    assert lawful > 2_000


@settings(max_examples=300)
@given(
    at_us=st.integers(EARLIEST_US, LATEST_US - 1),
    digits=st.sampled_from((0, 3, 6, 9)),
    offset=st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_what_is_written_is_read_the_same(at_us: int, digits: int, offset: int) -> None:
    """Whatever the offset and the number of digits that are not zero."""
    at_us -= at_us % 10 ** max(0, 6 - digits)
    written = format_instant(at_us)
    assert written == (EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert parse_instant(written) == at_us
    local = EPOCH + timedelta(microseconds=at_us, minutes=offset)
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    text = local.replace(tzinfo=None).isoformat(timespec="microseconds") + zone
    assert parse_instant(text) == at_us


@settings(max_examples=200)
@given(text=st.text(st.sampled_from("0123456789-:TZtz.+ \u0660"), max_size=30))
def test_any_text(text: str) -> None:
    assert micros(text) == micros_of_model(text)


def test_remembered_minutes_do_not_pile_up() -> None:
    """An adversary cannot make a worker remember every minute of two centuries."""
    for minute in range(3 * instants._KEPT):
        text = format_instant(NOON_US + minute * 60_000_000)
        assert parse_instant(text) == NOON_US + minute * 60_000_000
    assert len(instants._SEEN) <= instants._KEPT
