"""§6: what `decode` refuses, with which code, and what it says of it."""

from __future__ import annotations

import json
import random
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.door import decode
from schemas.errors import Rejection
from schemas.topics import INPUTS
from tests.engine import Engine
from tests.model import INPUT_TOPICS, Model, Record
from tests.strategies import PARTITIONS, borderline_records, malformed_records
from tests.strategies.malformed import record, text_of
from tests.strategies.rows import LAWFUL

pytestmark = pytest.mark.rules

KINDS = {topic.name: topic.value for topic in INPUTS if topic.value is not None}
TOPICS = st.sampled_from(INPUT_TOPICS)
ANOTHER_PLACE = "wrong_partition"
PRIVATE = "Zq9-private-Zq9"


def rejection_of(item: Record) -> Rejection | None:
    """Decode a record; anything that is raised but a Rejection fails the test."""
    try:
        decode(KINDS[item.topic], item.key, item.value, item.timestamp)
    except Rejection as rejection:
        return rejection
    return None


def check_message(rejection: Rejection) -> None:
    """One sentence, short, without control characters; the field it names stands in it."""
    message = rejection.message
    assert message == str(rejection)
    assert 0 < len(message) < 1000
    assert message.endswith(".")
    assert not any(unicodedata.category(c) == "Cc" for c in message)
    assert message.encode()
    if rejection.field is not None:
        assert rejection.field in message


CASES = malformed_records()


def test_what_is_no_event_is_told_with_its_code() -> None:
    """Which codes are right has a test of its own for every case: tests/contract."""
    for name, item, code in CASES:
        rejection = rejection_of(item)
        if code == ANOTHER_PLACE:
            assert rejection is None, "where a record stands is the shard's business"
            with pytest.raises(Rejection) as raised:
                Engine(partitions=PARTITIONS).apply(item)
            rejection = raised.value
        assert rejection is not None, name
        assert rejection.code == code, name
        check_message(rejection)


def place_of(path: str) -> str:
    """Write a path of the tables of rows as messages write it."""
    first, *others = path.split(".")
    return first + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in others)


FIELD_CASES = [
    (item, place_of(name.split(": ", 1)[1].split(" ")[0]))
    for name, item, code in CASES
    if code == "invalid_event" and ": " in name and name.split(": ", 1)[1][0].isalpha()
    if name.split(": ", 1)[1].split(" ")[0] not in ("null", "true", "will_retry")
]


def test_the_message_names_the_field() -> None:
    """The field at fault, or one within it; an object as a whole where its own fields are missing."""
    assert len(FIELD_CASES) > 500
    for item, field in FIELD_CASES:
        rejection = rejection_of(item)
        assert rejection is not None
        assert rejection.field is not None, rejection.message
        assert rejection.field.startswith(field), rejection.message
        assert rejection.message.startswith(f"{rejection.field}: ")


def test_what_looks_odd_but_is_lawful_is_decoded() -> None:
    for name, item in borderline_records():
        assert rejection_of(item) is None, name


def private_texts_everywhere() -> list[tuple[str, bytes]]:
    """Lawful events in which a text that nobody may see stands in place of one value."""
    found: list[tuple[str, bytes]] = []
    values = (PRIVATE * 40, [PRIVATE], {PRIVATE: PRIVATE}, PRIVATE + "\x7f")
    tails = (f',"note":"{PRIVATE}', f',"{PRIVATE}"', f",{PRIVATE}}}", f'}}"{PRIVATE}"')
    for topic, event in LAWFUL.items():
        texts = [json.dumps({**event, name: value}) for name in event for value in values]
        texts += [json.dumps(event)[:-1] + tail for tail in tails]
        found += [(topic, text.encode()) for text in texts]
    return found


def test_a_message_never_repeats_what_the_record_holds() -> None:
    refused = 0
    for topic, value in private_texts_everywhere():
        for key in (b"s1", PRIVATE.encode(), None):
            rejection = rejection_of(record(topic, value, key))
            if rejection is not None:
                refused += 1
                assert PRIVATE[:6] not in rejection.message, (value, rejection.message)
                check_message(rejection)
    assert refused > 200


# ---- anything at all


def check_both(item: Record) -> None:
    """Engine and model agree whether it is an event, and which fault is the first."""
    rejection = rejection_of(item)
    expected = Model().feed(item).rejected
    found = None if rejection is None else str(rejection.code)
    assert found == expected, (item.value, rejection)
    if rejection is not None:
        check_message(rejection)


@settings(max_examples=150)
@given(topic=TOPICS, value=st.binary(max_size=200), key=st.one_of(st.none(), st.binary(max_size=9)))
def test_any_bytes(topic: str, value: bytes, key: bytes | None) -> None:
    check_both(record(topic, value, key))


JSON_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.sampled_from([0, 1, -1, 2**53 - 1, 2**53, 1.0, 0.5, 1e300]),
        JSON_TEXTS,
        st.sampled_from(["s1", "EUR", "failed", "photo", "2026-01-01T12:00:00Z", "x" * 257, ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(JSON_TEXTS, inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """List (container, index or name) of every place in a JSON value."""
    if isinstance(value, dict):
        return [p for name in value for p in ((value, name), *places(value[name]))]
    if isinstance(value, list):
        return [p for i in range(len(value)) for p in ((value, i), *places(value[i]))]
    return []


@settings(max_examples=300)
@given(topic=TOPICS, data=st.data())
def test_lawful_events_with_other_values_in_places(topic: str, data: st.DataObject) -> None:
    event = json.loads(text_of(LAWFUL[topic]))
    for _ in range(data.draw(st.integers(1, 2))):
        container, place = data.draw(st.sampled_from(places(event)))
        if isinstance(container, dict) and data.draw(st.integers(0, 4)) == 0:
            del container[place]
        else:
            container[place] = data.draw(ANY_JSON)
    check_both(record(topic, json.dumps(event, ensure_ascii=data.draw(st.booleans())).encode()))


MENDINGS = (b'"', b"\\", b"{", b"]", b"\xff", b"\x00", b"\x7f", b"\\u0000", b"\\ud800", b"1", b"e9")


@pytest.mark.parametrize("topic", INPUT_TOPICS)
def test_lawful_events_with_damaged_bytes(topic: str) -> None:
    rng = random.Random(topic)
    body = text_of(LAWFUL[topic]).encode()
    for _ in range(700):
        at = rng.randrange(len(body))
        length = rng.choice((0, 1, 1, 3))
        damaged = body[:at] + rng.choice((b"", *MENDINGS)) + body[at + length :]
        check_both(record(topic, damaged))


def test_a_key_that_repeats_itself_in_other_bytes_is_none() -> None:
    """The key is compared as bytes: no normal form of Unicode is taken for another."""
    value = json.dumps({**LAWFUL["order-cancelled"], "studio_id": "é"}).encode()
    assert rejection_of(record("order-cancelled", value, "é".encode())) is None
    rejection = rejection_of(record("order-cancelled", value, "e\u0301".encode()))
    assert rejection is not None
    assert rejection.code == "key_mismatch"


def test_what_the_decoder_gives_is_encoded_again_to_the_same() -> None:
    """No field is dropped or swapped on the way in."""
    for topic, event in LAWFUL.items():
        item = record(topic, text_of(event).encode())
        found = msgspec.to_builtins(decode(KINDS[topic], item.key, item.value, item.timestamp))
        for name, value in event.items():
            if name not in ("occurred_at", "placed_at", "restorable_until", "lines"):
                decoded = list(found[name]) if isinstance(value, list) else found[name]
                assert decoded == value, name
