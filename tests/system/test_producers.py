"""Strangers land every studio in its partition, and who does not is told so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from schemas.topics import ORDER_PLACED, REJECTED
from tests.broker.evidence import Evidence, Message
from tests.model import partition_of
from tests.system import producers
from tests.system.conftest import PARTITIONS, Deployment
from tests.system.producers import Pairs, Send

PAGE = Path(__file__).parents[2] / "docs" / "producing.md"
#: Each studio is new: a partition is checked when a shard meets a studio for the first time.
NAMES = ("studio-{}", "Müller & Söhne {}", "写真館-{}", "\U0001f4f7{}", "{}%/ß")


def orders(sender: str) -> Pairs:
    """Give an order of each of some studios that nobody has named before."""
    pairs = []
    for number in range(10):
        for name in NAMES:
            studio = f"{sender} {name.format(number)}"
            event = {
                "event_id": f"placed by {studio}",
                "occurred_at": "2026-01-01T12:00:00Z",
                "studio_id": studio,
                "order_id": "o1",
                "placed_at": "2026-01-01T12:00:00Z",
                "lines": [{"line_id": "1", "product_id": "p", "photo_ids": []}],
                "production_cost": {"amount_minor": 1, "currency": "EUR"},
                "paid": False,
            }
            pairs.append((studio, json.dumps(event, ensure_ascii=False)))
    return pairs


def after(send: Send, pairs: Pairs, deployment: Deployment) -> Evidence:
    """Send, let it be applied, and look."""
    topic = deployment.fleet.view.name(ORDER_PLACED)
    send(deployment.servers, topic, pairs)
    deployment.fleet.wait_until_applied()
    return deployment.fleet.view.gather()


def those_of(pairs: Pairs, messages: list[Message]) -> list[Message]:
    keys = {key.encode() for key, _ in pairs}
    return [message for message in messages if message.key in keys]


def placed(pairs: Pairs, evidence: Evidence) -> list[Message]:
    topic = evidence.prefix + ORDER_PLACED.name
    found = [x for p in range(PARTITIONS) for x in evidence.inputs.get((topic, p), [])]
    return those_of(pairs, found)


def rejected(pairs: Pairs, evidence: Evidence) -> list[Message]:
    return those_of(pairs, [x for p in range(PARTITIONS) for x in evidence.rejected[p]])


@pytest.mark.parametrize(
    "send", [producers.java_console, producers.librdkafka, producers.kcat, producers.kafkajs]
)
def test_a_studio_lands_in_its_partition(send: Send, deployment: Deployment) -> None:
    pairs = orders(send.__name__)
    evidence = after(send, pairs, deployment)
    landed = placed(pairs, evidence)
    sent = sorted((key.encode(), value.encode()) for key, value in pairs)
    assert sorted((m.key or b"", m.value or b"") for m in landed) == sent
    for message in landed:
        assert message.partition == partition_of(message.key or b"", PARTITIONS), message.key
    assert {message.partition for message in landed} == set(range(PARTITIONS))
    assert rejected(pairs, evidence) == []


def test_a_wrong_partitioner_is_rejected_loudly(deployment: Deployment) -> None:
    """Every record that it has misplaced, and none that it has placed well by chance."""
    pairs = orders("librdkafka as it is")
    evidence = after(producers.librdkafka_as_it_is, pairs, deployment)
    landed = placed(pairs, evidence)
    assert len(landed) == len(pairs)
    misplaced = [m for m in landed if m.partition != partition_of(m.key or b"", PARTITIONS)]
    assert len(misplaced) > len(pairs) / 2, "three in four, with four partitions"
    found = rejected(pairs, evidence)
    assert sorted(m.key or b"" for m in found) == sorted(m.key or b"" for m in misplaced)
    by_key = {message.key: message for message in misplaced}
    for message in found:
        original, headers = by_key[message.key], dict(message.headers)
        assert message.value == original.value
        assert message.partition == original.partition
        assert headers["orderhalt_error_code"] == b"wrong_partition"
        assert headers["orderhalt_topic"] == original.topic.encode()
        assert headers["orderhalt_offset"] == str(original.offset).encode()
        assert b"partition" in (headers["orderhalt_error"] or b"")


def test_the_page_names_what_was_tried() -> None:
    page = PAGE.read_text("utf-8")
    assert f"`partitioner={producers.DOCUMENTED}`" in page
    assert re.search(r"\| Java \| none", page)
    assert re.search(r"\| KafkaJS 2 \| none", page)
    assert REJECTED.name in page
