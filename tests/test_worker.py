"""The whole worker as its users start it: real rules, real Kafka, both commands."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import orjson
import pytest

from processor.localkafka import LocalKafka
from schemas.partitioning import default_partition
from tests.support.deployment import (
    PARTITIONS,
    STUDIO,
    Deployment,
    order_placed,
    photo_deleted,
)
from tests.support.processes import wait_until

LOOPBACK = "0100007F"


def listening_at(pid: int) -> list[str]:
    """Find the addresses, hexadecimal, at which a process listens."""
    listening = {}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A":
                listening[f"socket:[{columns[9]}]"] = columns[1].partition(":")[0]
    files = [str(x.readlink()) for x in Path(f"/proc/{pid}/fd").iterdir() if x.is_symlink()]
    return [listening[file] for file in files if file in listening]


def cpu_seconds(pid: int) -> float:
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def _is_ready(deployment: Deployment, number: int) -> bool:
    return "Ready" in deployment.log(number)


@pytest.mark.parametrize(
    "command",
    [
        ["processor.cli", "worker"],
        ["faust", "-A", "processor.app", "worker", "-l", "info"],
    ],
    ids=["orderhalt", "faust"],
)
def test_a_deleted_photo_halts_its_order(deployment: Deployment, command: list[str]) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.send("lab-transfer", b"{not json")
    first = deployment.start(*command)
    second = deployment.start(*command)
    [halt] = deployment.read("order-halted", 1)
    value = orjson.loads(halt.value())
    assert halt.key() == b"studio-1/o1"
    assert value["primary_reason"] == "photos_missing"
    # Whichever the worker read last; the halt is the same.
    assert value["caused_by"]["event_id"] in {"placed-o1", "deleted-p1"}
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert rejected.value() == b"{not json"
    assert dict(rejected.headers())["orderhalt_error_code"] == b"malformed_json"
    # One may have done all of it before the other was up.
    for number in (0, 1):
        wait_until(partial(_is_ready, deployment, number), 20, partial(deployment.log, number))
    for process in (first, second):
        assert listening_at(process.pid) == [LOOPBACK], "the admin port, and no other"
        process.terminate()
    assert [first.wait(10), second.wait(10)] == [0, 0], deployment.log()[-3000:]


def test_the_partitioner_is_checked(deployment: Deployment) -> None:
    wrong = (default_partition(STUDIO.encode(), PARTITIONS) + 1) % PARTITIONS
    deployment.send("order-placed", order_placed("o1", "p1"), wrong)
    deployment.start("processor.cli", "worker")
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert dict(rejected.headers())["orderhalt_error_code"] == b"wrong_partition"


def test_a_worker_processes_within_seconds_of_its_start_and_idles_cheaply(
    deployment: Deployment,
) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    started = time.monotonic()
    worker = deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 1)
    assert time.monotonic() - started < 5
    before = cpu_seconds(worker.pid)
    time.sleep(5)  # idleness can only be measured by letting time pass
    used = cpu_seconds(worker.pid) - before
    assert used / 5 < 0.02, "an idle worker should use under 1 % of a core; 2 % allows for noise"


def test_a_worker_without_topics_refuses_and_says_what_to_run(
    kafka: LocalKafka, topic_prefix: str, tmp_path: Path
) -> None:
    refused = Deployment(kafka, topic_prefix, tmp_path).run("worker")
    assert refused.returncode == 78
    assert "orderhalt topics create" in refused.stderr


def test_a_worker_without_kafka_says_so(deployment: Deployment) -> None:
    failed = deployment.run("worker", "--bootstrap-servers", "127.0.0.1:1")
    assert failed.returncode == 69
    assert "Kafka cannot be reached at 127.0.0.1:1" in failed.stderr


def test_skip_refuses_what_it_should_not_touch(deployment: Deployment) -> None:
    topic = f"{deployment.prefix}order-placed"
    assert "is not an input topic" in deployment.run("skip", "order-halted", "0", "0").stderr
    nothing = deployment.run("skip", topic, "0", "5")
    assert nothing.returncode == 1
    assert "There is no record" in nothing.stderr
    assert "0 to 3" in deployment.run("skip", topic, "9", "5").stderr


def test_skip_sets_a_record_aside(deployment: Deployment) -> None:
    partition = default_partition(STUDIO.encode(), PARTITIONS)
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("order-placed", order_placed("o2", "p1"))
    done = deployment.run("skip", f"{deployment.prefix}order-placed", str(partition), "0")
    assert done.returncode == 0, done.stderr
    [rejected] = deployment.read("orderhalt-rejected", 1)
    assert dict(rejected.headers())["orderhalt_error_code"] == b"quarantined"
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.start("processor.cli", "worker")
    [halt] = deployment.read("order-halted", 1)
    assert halt.key() == b"studio-1/o2"
    wait_until(lambda: "Ready" in deployment.log(), 10)
