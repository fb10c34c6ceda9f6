"""Poison stops a worker and can be set aside; a state that does not fit together is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from processor.runtime.skip import NotSkipped, Request, skip
from tests.runtime.harness import Deployment
from tests.runtime.test_exactly_once import expect_all_well

Deploy = Callable[..., Deployment]


def skip_record(deployment: Deployment, offset: int, *, lost: bool = False) -> str:
    topic = deployment.config.inputs[0]
    return asyncio.run(skip(deployment.config, Request(topic, 0, offset, lost), 1 << 20))


def rejected(deployment: Deployment) -> list[dict[str, Any]]:
    return [
        {**dict(message.headers()), "value": message.value(), "key": message.key()}
        for message in deployment.read(deployment.config.rejected)
    ]


def run_a_little(deployment: Deployment, records: int = 20) -> None:
    """Give the deployment some state, and stop."""
    deployment.send_many(records)
    worker = deployment.start("before")
    deployment.wait_until_applied()
    assert worker.terminate() == 0


def expect_refusal(deployment: Deployment, *words: str) -> None:
    worker = deployment.start("refused")
    assert worker.wait() == 78, worker.log()[-2000:]
    for word in (*words, "what to do:"):
        assert word in worker.log(), worker.log()[-2000:]


# -- poison


def test_poison_far_into_a_window_is_noted_and_then_set_aside(deploy: Deploy) -> None:
    deployment = deploy(1)
    for number in range(5):
        deployment.send(f"before{number}")
    deployment.send("bad", command="poison", expected=False)
    deployment.send("after")
    deployment.flush()
    worker = deployment.start(TOY_INSTANCE_ID="one")
    assert worker.wait() == 70
    assert f"orderhalt skip {deployment.config.inputs[0]} 0 5" in worker.log()
    assert "is noted" in skip_record(deployment, 5)
    with pytest.raises(NotSkipped, match="noted already"):
        skip_record(deployment, 5)
    deployment.start("again", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    [record] = rejected(deployment)
    assert record["orderhalt_error_code"] == b"quarantined"
    assert record["value"] == b"poison bad"
    assert record["orderhalt_offset"] == b"5"
    assert [at for r in deployment.journal()[0] for at in r.quarantined] == [
        (deployment.config.inputs[0], 5)
    ]
    expect_all_well(deployment)


def test_the_next_record_is_set_aside_at_once(deploy: Deploy) -> None:
    deployment = deploy(1)
    deployment.send("bad", command="poison", expected=False)
    deployment.send("after")
    deployment.flush()
    assert deployment.start(TOY_INSTANCE_ID="one").wait() == 70
    with pytest.raises(NotSkipped, match="no record at"):
        skip_record(deployment, 7)
    assert "is on the rejected topic" in skip_record(deployment, 0)
    assert len(rejected(deployment)) == 1
    with pytest.raises(NotSkipped, match="behind"):
        skip_record(deployment, 0)
    deployment.start("again", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    assert len(rejected(deployment)) == 1
    expect_all_well(deployment)


def test_skipping_fences_a_worker_that_still_runs(deploy: Deploy) -> None:
    deployment = deploy(1)
    worker = deployment.start(TOY_INSTANCE_ID="one")
    worker.wait_for("Ready")
    deployment.send("slow", command="sleep:1500", expected=True)
    deployment.send("bad", command="poison", expected=False)
    deployment.flush()
    assert "offset 1 is noted" in skip_record(deployment, 1)
    assert worker.wait() == 70
    deployment.start("again", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    expect_all_well(deployment)


# -- rejected and large records


def test_what_is_no_event_is_kept_byte_for_byte(deploy: Deploy) -> None:
    deployment = deploy(1)
    topic = deployment.config.inputs[1]
    headers = [("trace", b"\x00\xff"), ("trace", b"2")]
    deployment.send_raw(topic, 0, b"k", b"reject \xff\x00", headers)
    deployment.send_raw(topic, 0, None, None)
    deployment.send_raw(topic, 0, None, b"x" * 1_000_000)
    deployment.send("good")
    deployment.flush()
    deployment.start()
    deployment.wait_until_applied()
    messages = list(deployment.read(deployment.config.rejected))
    first, second, third = messages
    assert (first.key(), first.value()) == (b"k", b"reject \xff\x00")
    assert first.headers()[:2] == headers
    assert [name for name, _ in first.headers()[2:]] == [
        "orderhalt_error_code",
        "orderhalt_error",
        "orderhalt_topic",
        "orderhalt_partition",
        "orderhalt_offset",
        "orderhalt_timestamp",
    ]
    assert dict(first.headers())["orderhalt_topic"] == topic.encode()
    assert (second.key(), second.value()) == (None, None)
    assert dict(second.headers())["orderhalt_offset"] == b"1"
    assert third.value() == b"x" * 1_000_000
    expect_all_well(deployment)


def test_large_rows_and_records_commit_and_too_large_ones_name_the_record(deploy: Deploy) -> None:
    deployment = deploy(1)
    deployment.send("row", command=f"row:{4_000_000}")
    deployment.send("record", key=b"k1", command=f"emit:{4_000_000}")
    deployment.flush()
    deployment.start(TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    assert max(len(m.value()) for m in deployment.read(deployment.config.output)) > 4_000_000
    deployment.workers[0].terminate()

    deployment.send("fine")
    deployment.send("bad", command=f"row:{5_000_000}", expected=False)
    deployment.flush()
    worker = deployment.start("stops", TOY_INSTANCE_ID="one")
    assert worker.wait() == 70
    assert "--one-by-one" in worker.log()
    worker = deployment.start("finds", TOY_INSTANCE_ID="one", TOY_ONE_BY_ONE="1")
    assert worker.wait() == 70
    assert f"orderhalt skip {deployment.config.inputs[0]} 0 3" in worker.log()
    skip_record(deployment, 3)
    deployment.start("again", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    expect_all_well(deployment)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_inputs(deploy: Deploy, codec: str) -> None:
    """A small batch can hold a record far above every limit: its bytes are left out, it counts."""
    deployment = deploy(1)
    producer = Producer(
        {
            "bootstrap.servers": deployment.servers,
            "compression.type": codec,
            "message.max.bytes": 16 << 20,
        }
    )
    producer.produce(deployment.config.inputs[0], b"reject " + b"0" * (6 << 20), b"k0", 0)
    producer.flush(10)
    sent = deployment.send("packed", expected=False)
    producer.produce(sent.topic, b"packed2", sent.key, 0)
    producer.flush(10)
    deployment.sent |= {"packed": sent, "packed2": sent}
    deployment.flush()
    deployment.start()
    deployment.wait_until_applied()
    [record] = rejected(deployment)
    assert record["value"] is None
    assert b"value of 6291463 bytes" in record["orderhalt_omitted"]
    expect_all_well(deployment)


def test_a_record_that_the_client_cannot_decode_can_be_set_aside(deploy: Deploy) -> None:
    deployment = deploy(1)
    deployment.send_many(30)
    asyncio.run(produce_with_bad_header_name(deployment.servers, deployment.config.inputs[0]))
    deployment.send("after")
    deployment.flush()
    worker = deployment.start()
    assert worker.wait() == 70
    assert "is not UTF-8" in worker.log()
    assert f"orderhalt skip {deployment.config.inputs[0]} 0 10" in worker.log()
    assert "is on the rejected topic" in skip_record(deployment, 10)
    [record] = rejected(deployment)
    assert record["orderhalt_offset"] == b"10"
    deployment.start("again")
    deployment.wait_until_applied()
    expect_all_well(deployment)


async def produce_with_bad_header_name(servers: str, topic: str) -> None:
    """Produce one record as no Java client can: librdkafka takes any bytes as a header's name."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    batch = producer.create_batch()
    batch.append(key=b"k0", value=b"bad", timestamp=None, headers=[("name", b"x")])
    raw = bytearray(batch._build())
    raw = raw.replace(b"name", b"\xff\xfe\xfd\xfc")
    raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4, "big")
    batch._buffer = raw
    await (await producer.send_batch(batch, topic, partition=0))
    await producer.stop()


# -- refusals


def test_a_changelog_made_anew_is_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    topic = deployment.config.changelogs["counts"]
    deployment.recreate(topic)
    expect_refusal(deployment, f"{topic} ends at offset 0", "rows are lost")


def test_a_cut_changelog_is_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    topic = deployment.config.changelogs["counts"]
    # Kafka deletes from compacted topics only where `delete` was allowed once.
    deployment.set_config(topic, "cleanup.policy", "compact,delete")
    deployment.delete_before(topic, 0, 3)
    expect_refusal(deployment, f"{topic} starts at offset 3")


def test_lost_positions_are_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    deployment.recreate(deployment.config.positions)
    expect_refusal(deployment, "no row that says up to where")


def test_group_offsets_without_any_state_are_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    deployment.send_many(5)
    deployment.set_group_offset(deployment.config.inputs[0], 0, 1)
    expect_refusal(deployment, "the state is gone, or the offsets were set by hand")


def test_group_offsets_that_differ_are_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    deployment.set_group_offset(deployment.config.inputs[0], 0, 1)
    expect_refusal(deployment, f"{deployment.config.inputs[0]}: group 1, state 7")


def test_expired_group_offsets_do_not_matter(deploy: Deploy) -> None:
    """The state has the positions; the group has them for lag tools."""
    deployment = deploy(1)
    run_a_little(deployment)
    group = deployment.config.group_id
    deployment.admin.delete_consumer_groups([group])[group].result(10)
    assert deployment.committed() == {}
    deployment.send_many(30, first=100)
    deployment.start("after")
    deployment.wait_until_applied()
    expect_all_well(deployment)


def test_unread_records_that_the_broker_deleted_are_refused_until_accepted(deploy: Deploy) -> None:
    deployment = deploy(1)
    topic = deployment.config.inputs[0]
    run_a_little(deployment)
    for number in range(4):
        deployment.send(f"late{number}", expected=number >= 2)
    deployment.flush()
    deployment.delete_before(topic, 0, 9)
    expect_refusal(deployment, f"orderhalt skip --lost {topic} 0 7")
    with pytest.raises(NotSkipped, match="--lost"):
        skip_record(deployment, 9)
    assert "offsets 7 to 8 are accepted as lost" in skip_record(deployment, 7, lost=True)
    deployment.start("after")
    deployment.wait_until_applied()
    expect_all_well(deployment)


def test_an_input_made_anew_is_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    deployment.recreate(deployment.config.inputs[2])
    expect_refusal(deployment, "the topic was cut or made anew")


def a_strangers_transaction(deployment: Deployment) -> Producer:
    """Open a transaction in a changelog, and leave it so."""
    stranger = Producer(
        {"bootstrap.servers": deployment.servers, "transactional.id": f"{deployment.prefix}no"}
    )
    stranger.init_transactions(20)
    stranger.begin_transaction()
    stranger.produce(deployment.config.changelogs["counts"], b"1", b"k", 0)
    stranger.flush(10)
    return stranger


def test_a_hanging_transaction_in_a_changelog_is_refused(deploy: Deploy) -> None:
    deployment = deploy(1)
    run_a_little(deployment)
    stranger = a_strangers_transaction(deployment)
    expect_refusal(deployment, "is open since offset", "kafka-transactions.sh")
    stranger.abort_transaction(20)


def test_a_transaction_that_ends_late_is_waited_for(deploy: Deploy) -> None:
    """A broker under load takes seconds to write what ends an aborted one."""
    deployment = deploy(1)
    run_a_little(deployment)
    stranger = a_strangers_transaction(deployment)
    deployment.send_many(20, first=100)
    worker = deployment.start("waits")
    time.sleep(5)  # so long the transaction is open
    stranger.abort_transaction(20)
    deployment.wait_until_applied()
    assert worker.running, worker.log()[-2000:]


def test_a_first_transaction_that_was_aborted_leaves_a_fresh_start(deploy: Deploy) -> None:
    """Aborted rows take offsets in every changelog, and are no state."""
    deployment = deploy(1)
    deployment.send_many(20)
    worker = deployment.start(TOY_INSTANCE_ID="one", ORDERHALT_FAILPOINTS="before_end@1")
    worker.wait()
    deployment.start("again", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    expect_all_well(deployment)
    value = next(iter(deployment.read(deployment.config.output))).value()
    assert orjson.loads(value)["n"] == 1
