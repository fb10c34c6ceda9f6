"""`orderhalt web` on a real Kafka: what it reads, what it survives, how it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from processor.localkafka import LocalKafka
from tests.support.deployment import Deployment, order_placed, photo_deleted
from tests.support.processes import wait_until
from tests.support.web import Web


def within(seconds: float, condition: Callable[[], bool], web: Web) -> float:
    """Wait for a condition; give how long it took."""
    started = time.monotonic()
    wait_until(condition, seconds, web.log)
    return time.monotonic() - started


def restored(photo: str) -> dict[str, object]:
    fields = photo_deleted(photo) | {"event_id": f"restored-{photo}"}
    return fields | {"occurred_at": "2026-05-01T12:00:00Z"}


def test_it_follows_what_the_workers_commit(deployment: Deployment) -> None:
    """What was there before it started, and what comes; a second one tells the same."""
    deployment.send("order-placed", order_placed("before", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 1)
    web = Web(deployment)
    web.wait_until_ready()
    assert web.halted() == ["before"]
    deployment.send("order-placed", order_placed("o2", "p2"))
    said = web.json("/api/v1/impact", studio_id="studio-1", asset_type="photo", asset_id="p2")
    deployment.send("asset-deleted", photo_deleted("p2"))
    assert within(2, lambda: "o2" in web.halted(), web) < 2
    if said["would_halt"]["count"]:  # its order may not have been read yet
        assert [x["order_id"] for x in said["would_halt"]["orders"]] == ["o2"]
    other = Web(deployment)
    other.wait_until_ready()
    assert sorted(other.halted()) == sorted(web.halted())
    order = web.json("/api/v1/order", studio_id="studio-1", order_id="o2")
    assert order["answer"]["reasons"][0]["subjects"][0]["id"] == "p2"
    wait_until(
        lambda: bool(web.json("/api/v1/order", studio_id="studio-1", order_id="o2")["history"]), 5
    )
    first = web.json("/api/v1/order", studio_id="studio-1", order_id="o2")["history"][0]
    assert first["caused_by_topic"] == deployment.prefix + "asset-deleted"
    deployment.send("asset-restored", restored("p2"))
    within(2, lambda: "o2" not in web.halted(), web)
    assert web.json("/api/v1/status")["connected"]
    assert web.end() == other.end() == 0


@pytest.mark.slow
@pytest.mark.broker
def test_it_outlives_a_broker_that_restarts(tmp_path: Path, topic_prefix: str) -> None:
    """Meanwhile it says so and shows what it has; then it goes on."""
    with LocalKafka(data_dir=tmp_path / "kafka") as kafka:
        deployment = Deployment(kafka, topic_prefix, tmp_path)
        try:
            _outlive(deployment, kafka)
        finally:
            for process in deployment.processes:
                if process.poll() is None:
                    process.kill()
                    process.wait(10)


def _outlive(deployment: Deployment, kafka: LocalKafka) -> None:
    made = deployment.run("topics", "create", "--partitions", "4", "--replication-factor", "1")
    assert made.returncode == 0, made.stderr
    worker = deployment.start("processor.cli", "worker")
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.send("asset-deleted", photo_deleted("p1"))
    deployment.read("order-halted", 1)
    web = Web(deployment)
    web.wait_until_ready()
    kafka.kill()
    within(15, lambda: not web.json("/api/v1/status")["connected"], web)
    assert web.halted() == ["o1"]
    assert "The connection to Kafka is lost" in web.client.get("/halts").text
    kafka.start()
    worker.terminate()
    worker.wait(30)
    deployment.start("processor.cli", "worker")
    within(30, lambda: web.json("/api/v1/status")["connected"], web)
    deployment.send("asset-restored", restored("p1"))
    within(60, lambda: web.halted() == [], web)
    assert web.end() == 0


def test_without_topics_it_says_what_to_do(kafka: LocalKafka) -> None:
    done = _run("--bootstrap-servers", kafka.bootstrap_servers, "--topic-prefix", "nothing-here-")
    assert done.returncode == 78, done.stderr
    assert "orderhalt topics create" in done.stderr


def test_without_kafka_it_says_what_to_do() -> None:
    done = _run("--bootstrap-servers", "127.0.0.1:1")
    assert done.returncode == 69, done.stderr
    assert "127.0.0.1:1" in done.stderr and "Traceback" not in done.stderr


def test_another_address_is_refused_without_tokens() -> None:
    done = _run("--host", "0.0.0.0")  # noqa: S104 - refused
    assert done.returncode == 2
    assert "no tokens" in done.stderr and "--tokens" in done.stderr


def test_a_port_that_is_taken_is_said(deployment: Deployment) -> None:
    web = Web(deployment)
    done = _run("--port", web.url.rpartition(":")[2])
    assert done.returncode == 2
    assert "Cannot listen" in done.stderr and "--port" in done.stderr
    assert web.end() == 0


def test_without_the_extra_it_says_how_to_install_it() -> None:
    program = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'starlette' else find(name, *a)\n"
        "from processor.cli import main\n"
        "main(['web'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'orderhalt[web]'" in done.stderr and "starlette" in done.stderr


def _run(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "processor.cli", "web", "--port", "0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
