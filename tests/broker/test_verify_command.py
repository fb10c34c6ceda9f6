"""`orderhalt verify` on a real Kafka: while workers run and die, after them, and when it must say no."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from processor.simulator import Settings, simulate
from schemas.topics import ORDER_HALTED, ORDER_PLACED, REJECTED
from tests.broker.fleet import Fleet, Item, items_of
from tests.runtime.test_stops_and_refusals import produce_with_bad_header_name
from tests.support.deployment import Deployment
from tests.support.processes import ROOT, wait_until

PARTITIONS = 4
EVENTS = 1_500
#: A virtual week goes by, all of it long past, and closed orders are forgotten after a day.
SHOPS = Settings(
    seed=5,
    studios=30,
    events_per_second=0.0025,
    orders_in_flight=100,
    start_us=1_577_865_600_000_000,
    trouble=4,
    malformed_share=0.02,
)
RETENTION = {"ORDERHALT_CLOSED_RETENTION_DAYS": "1"}


def items() -> list[Item]:
    """Give a virtual week of shops: halts of every kind, tombstones, and records that are no events."""
    found = items_of(islice(simulate(SHOPS), EVENTS), PARTITIONS)
    found[::3] = [item._replace(headers=(("trace", b"\x00\xff"),)) for item in found[::3]]
    return found


class Verifier:
    """Runs the command as an operator does."""

    def __init__(self, fleet: Fleet, prefix: str) -> None:
        self._environment = {
            **os.environ,
            "ORDERHALT_BOOTSTRAP_SERVERS": fleet.view.servers,
            "ORDERHALT_TOPIC_PREFIX": prefix,
            **RETENTION,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "processor.cli", *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        done = self.run("verify", "--json", *arguments)
        assert done.returncode == code, (done.stdout[-3000:], done.stderr[-3000:])
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["clean"] is (code == 0)
        return found


@pytest.fixture
def fleet(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(partitions=PARTITIONS, create_time=True, environment=RETENTION)


def send_in_transactions(fleet: Fleet, records: list[Item], prefix: str) -> None:
    """Send every record twice: in a transaction that is aborted, and in one that counts."""
    producer = Producer(
        {"bootstrap.servers": fleet.view.servers, "transactional.id": f"{prefix}shop"}
    )
    producer.init_transactions(20)
    for start in range(0, len(records), 50):
        for end in (producer.abort_transaction, producer.commit_transaction):
            producer.begin_transaction()
            for item in records[start : start + 50]:
                producer.produce(
                    prefix + item.topic,
                    item.value,
                    item.key,
                    item.partition,
                    timestamp=item.timestamp,
                )
            producer.flush(20)
            end(20)


def poison(fleet: Fleet, verifier: Verifier, records: list[Item]) -> None:
    """Set one record aside before any worker runs."""
    first = next(item for item in records if item.topic == ORDER_PLACED.name)
    producer = Producer({"bootstrap.servers": fleet.view.servers})
    topic = fleet.view.name(ORDER_PLACED)
    producer.produce(topic, first.value, first.key, first.partition, timestamp=first.timestamp)
    assert producer.flush(20) == 0
    done = verifier.run("skip", topic, str(first.partition), "0", "--allow-create-time")
    assert done.returncode == 0, done.stderr


def test_verify_on_a_real_kafka(fleet: Fleet, topic_prefix: str, tmp_path: Path) -> None:
    verifier = Verifier(fleet, topic_prefix)
    records = items()
    poison(fleet, verifier, records)
    for name in ("one", "two"):
        fleet.start(name)
    with fleet.load(records[: EVENTS * 2 // 3], per_second=500) as load:
        wait_until(lambda: load.sent > EVENTS // 6 and fleet.view.applied() > 100, 60)
        fleet.kill("one")
        # Live: some of it is applied, more is coming, one of the workers is coming back.
        monday = tmp_path / "monday.snapshot"
        live = verifier.json("--write-snapshot", str(monday))
        assert live["snapshot"] == str(monday)
        fleet.kill("two")
    send_in_transactions(fleet, records[EVENTS * 2 // 3 :], topic_prefix)
    wait_for_all(fleet)
    let_a_month_go_by(fleet, records)
    fleet.stop()

    whole = verifier.json()["partitions"]
    assert sum(x["quarantined"] for x in whole) == 1
    assert sum(x["without_record"] for x in whole) > 0
    assert sum(x["waiting"] for x in whole) == 0
    assert sum(x["rejected"] for x in whole) > 10
    evidence = fleet.view.gather()
    halts = [x for p in range(PARTITIONS) for x in evidence.halted[p]]
    assert sum(x["halts"] for x in whole) == len(halts)
    assert any(x.value is None for x in halts), "nothing that was halted was forgotten"
    rest = verifier.json("--snapshot", str(monday))["partitions"]
    assert sum(x["transactions"] for x in rest) < sum(x["transactions"] for x in whole)
    tampered_with(fleet, verifier, topic_prefix)


def wait_for_all(fleet: Fleet) -> None:
    """Wait until nothing is left: control records too, past which the workers go by themselves."""
    wait_until(lambda: not fleet.view.lag(), 60, fleet.log_tails)


def let_a_month_go_by(fleet: Fleet, records: list[Item]) -> None:
    """Whatever is closed is forgotten when a later order comes."""
    producer = Producer({"bootstrap.servers": fleet.view.servers})
    placed = {x.partition: x for x in records if x.topic == ORDER_PLACED.name}
    for item in placed.values():
        at_ms = records[-1].timestamp + 30 * 86_400_000
        topic = fleet.view.name(ORDER_PLACED)
        producer.produce(topic, item.value, item.key, item.partition, timestamp=at_ms)
    assert producer.flush(20) == 0
    wait_for_all(fleet)


def tampered_with(fleet: Fleet, verifier: Verifier, prefix: str) -> None:
    """One foreign record in an output, and an offset that somebody has set."""
    producer = Producer({"bootstrap.servers": fleet.view.servers})
    places = []
    for topic in (ORDER_HALTED, REJECTED):
        producer.produce(
            fleet.view.name(topic),
            b"{}",
            b"studio/o1",
            2,
            on_delivery=lambda error, at: places.append((at.topic(), at.partition(), at.offset())),
        )
    assert producer.flush(20) == 0
    placed = fleet.view.name(ORDER_PLACED), 1
    before = fleet.view.committed()[placed]
    set_group_offset(fleet, f"{prefix}orderhalt", placed, before - 1)
    told = verifier.run("verify")
    assert told.returncode == 4, told.stdout
    for name, partition, offset in (*places, (*placed, before - 1)):
        assert f"{name} partition {partition} offset {offset}" in told.stdout
    assert [line.split(";")[0] for line in told.stdout.splitlines() if line[:9] == "Partition"] == [
        "Partition 0: as it must be",
        "Partition 1: 1 difference",
        "Partition 2: 2 differences",
        "Partition 3: as it must be",
    ]


def set_group_offset(fleet: Fleet, group: str, place: tuple[str, int], offset: int) -> None:
    """Set it as an operator would: refused until the broker has given up the static members."""
    admin = AdminClient({"bootstrap.servers": fleet.view.servers})
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(*place, offset)])

    def is_set() -> bool:
        for future in admin.alter_consumer_group_offsets([request]).values():
            with suppress(KafkaException):
                future.result(20)
        return fleet.view.committed()[place] == offset

    wait_until(is_set, 60, every=0.5)


def test_what_cannot_be_judged_has_a_remedy(fleet: Fleet, topic_prefix: str) -> None:
    verifier = Verifier(fleet, topic_prefix)
    assert "0 to 3" in verifier.run("verify", "--partition", "9").stderr
    missing = verifier.run("verify", "--snapshot", "nowhere")
    assert missing.returncode == 78
    assert "cannot be used" in missing.stderr
    nothing = verifier.run("verify")
    assert nothing.returncode == 0
    assert "4 partitions, 0 transactions" in nothing.stdout
    assert "everything is as it must be" in nothing.stdout


def test_a_record_that_the_client_cannot_decode_is_verified_too(deployment: Deployment) -> None:
    """It was set aside without its bytes, and that is what must be there."""
    topic = f"{deployment.prefix}order-placed"
    servers = deployment.environment["ORDERHALT_BOOTSTRAP_SERVERS"]
    deployment.send("order-placed", b"{}", 0)
    asyncio.run(produce_with_bad_header_name(servers, topic))
    deployment.send("order-placed", b"[]", 0)
    for offset in range(3):
        skipped = deployment.run("skip", topic, "0", str(offset))
        assert skipped.returncode == 0, skipped.stderr
    done = deployment.run("verify", "--json", "--partition", "0")
    assert done.returncode == 0, done.stdout
    [found] = json.loads(done.stdout)["partitions"]
    assert (found["quarantined"], found["rejected"]) == (3, 3)
