"""Strangers read keys, headers and values of `order-halted` as the contract says.

The brute-force model says what must be there, and a verifier compares with what librdkafka reads;
every other client must read the very same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema_rs
import pytest
from cloudevents.core.bindings import kafka as cloudevents_kafka
from cloudevents.v1 import kafka as cloudevents_v1

from schemas.jsonschemas import json_schema
from schemas.partitioning import split_key
from schemas.reasons import Change, ReasonCode, Status
from schemas.topics import ORDER_HALTED
from tests.broker.verifier import verify
from tests.model import partition_of
from tests.system import readers
from tests.system.conftest import PARTITIONS, STUDIOS, Deployment
from tests.system.readers import Read


def wanted(deployment: Deployment) -> list[Read]:
    return [Read(m.partition, m.offset, m.key, m.value, m.headers) for m in deployment.halted]


def test_librdkafka_reads_what_the_contract_demands(deployment: Deployment) -> None:
    """confluent-kafka for Python; the verdict covers keys, values, headers and partitions."""
    verdict = verify(deployment.evidence)
    assert verdict.problems == []
    assert verdict.halts["tombstone"] >= len(STUDIOS)


def test_there_is_something_of_everything(deployment: Deployment) -> None:
    values = [json.loads(m.value) for m in deployment.halted if m.value is not None]
    assert {value["change"] for value in values} == set(Change)
    assert {reason["code"] for value in values for reason in value["reasons"]} == set(ReasonCode)
    assert {value["status"] for value in values} == set(Status)
    assert {value["studio_id"] for value in values} == set(STUDIOS)
    validator = jsonschema_rs.validator_for(json_schema(ORDER_HALTED))
    for value in values:
        validator.validate(value)


@pytest.mark.parametrize("read", [readers.kcat, readers.java_console, readers.kafkajs])
def test_another_client_reads_the_same(
    read: Callable[[str, str, int], list[Read]], deployment: Deployment
) -> None:
    """Keys, headers in their order, values, tombstones; none of the transaction that never was."""
    expected = wanted(deployment)
    found = read(deployment.servers, deployment.halted_topic, len(expected))
    assert sorted(found, key=lambda one: (one.partition, one.offset)) == expected


def test_read_uncommitted_shows_what_never_was(deployment: Deployment) -> None:
    """Otherwise the tests above would prove nothing of read_committed."""
    found = readers.kcat(deployment.servers, deployment.halted_topic, isolation="read_uncommitted")
    assert len(found) > len(deployment.halted)


def test_a_key_is_the_order_and_lies_with_its_studio(deployment: Deployment) -> None:
    for message in deployment.halted:
        assert message.key is not None
        studio, order = split_key(message.key.decode("ascii"))
        assert message.partition == partition_of(studio.encode(), PARTITIONS)
        if message.value is not None:
            value = json.loads(message.value)
            assert (value["studio_id"], value["order_id"]) == (studio, order)


def test_the_cloudevents_sdk_reads_events(deployment: Deployment) -> None:
    """Both of its interfaces, in binary mode; a tombstone is no event and never gets there."""
    for message in deployment.halted:
        if message.value is None:
            assert message.headers == ()
            continue
        assert message.key is not None
        value, key = json.loads(message.value), message.key.decode("ascii")
        headers = {name: text for name, text in message.headers if text is not None}
        assert len(headers) == len(message.headers)
        event = cloudevents_kafka.from_binary_event(
            cloudevents_kafka.KafkaMessage(headers=headers, key=message.key, value=message.value)
        )
        assert event.get_data() == value
        assert event.get_id() == value["event_id"]
        assert event.get_type() == f"orderhalt.halt.{value['change']}.v1"
        assert event.get_source() == "/orderhalt/sys-"
        assert event.get_subject() == key
        time = event.get_time()
        assert time is not None
        assert time.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == value["occurred_at"]
        assert event.get_dataschema() == json_schema(ORDER_HALTED)["$id"]
        assert event.get_datacontenttype() == "application/json"
        older = cloudevents_v1.from_binary(
            cloudevents_v1.KafkaMessage(headers=headers, key=message.key, value=message.value)
        )
        assert older.data == value
        assert (older["id"], older["subject"]) == (value["event_id"], key)
