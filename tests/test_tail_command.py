"""`orderhalt tail` on a real Kafka: lines for people, values for scripts, filters, broker restarts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from processor.cli.tail import readable
from processor.haltstream import Halt, Halted, Wanted
from processor.localkafka import LocalKafka, free_port
from schemas.partitioning import default_partition, join_key
from tests.support.deployment import PARTITIONS, STUDIO, Deployment, order_placed, photo_deleted
from tests.support.processes import wait_until
from tests.support.terminal import run_on_terminal


def tailed(deployment: Deployment, *options: str) -> list[dict[str, Any]]:
    done = deployment.run("tail", "--from-beginning", "--to-end", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def halted(deployment: Deployment) -> Deployment:
    """A deployment with two halted orders of a studio, one of which was cancelled since."""
    for order, photo in (("o1", "p1"), ("o2", "p2")):
        deployment.send("order-placed", order_placed(order, photo))
        deployment.send("asset-deleted", photo_deleted(photo))
    deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 2)
    ended = {"event_id": "c1", "occurred_at": "2026-05-02T10:00:00Z", "order_id": "o1"}
    deployment.send("order-cancelled", {**ended, "studio_id": STUDIO})
    deployment.read("order-halted", 3)
    return deployment


def test_a_script_gets_the_values_as_they_are(halted: Deployment) -> None:
    messages = halted.read("order-halted", 3)
    done = halted.run("tail", "--from-beginning", "--to-end")
    assert sorted(done.stdout.encode().splitlines()) == sorted(x.value() for x in messages)
    assert done.stderr == ""


def test_filters(halted: Deployment) -> None:
    assert {x["status"] for x in tailed(halted)} == {"halted", "cancelled"}
    assert [x["order_id"] for x in tailed(halted, "--status", "cancelled")] == ["o1"]
    assert {x["order_id"] for x in tailed(halted, "--order", "o2")} == {"o2"}
    assert len(tailed(halted, "--studio", STUDIO, "--reason", "photos_missing")) == 3
    assert tailed(halted, "--reason", "transfer_failed") == []
    assert tailed(halted, "--studio", "another") == []
    assert tailed(halted, "--studio", "another", "--studio", STUDIO) == tailed(halted)


def test_a_mistyped_code_is_mentioned(halted: Deployment) -> None:
    """It is no error: the sets are open, and a newer release may write it."""
    done = halted.run("tail", "--to-end", "--reason", "photo_missing", "--status", "paused")
    assert done.returncode == 0
    assert "photo_missing is no reason that this release knows; did you mean photos_missing?" in (
        done.stderr
    )
    assert "paused is no status that this release knows." in done.stderr


def test_people_get_lines_in_colour(halted: Deployment) -> None:
    options = ("tail", "--from-beginning", "--to-end", "--order", "o1")
    shown = run_on_terminal(halted.environment, *options)
    first, second = shown.splitlines()
    assert "2026-05-01 11:00:00 UTC" in first or "2026-05-01 10:00:00 UTC" in first
    assert "\x1b[1;31mHalted" in first
    assert "studio-1 / o1" in first
    assert "photo p1 deleted → cancel the order or create a new one" in first
    assert "Cancelled" in second
    german = run_on_terminal(halted.environment, *options, "--lang", "de")
    assert "Angehalten" in german
    plain = run_on_terminal({**halted.environment, "NO_COLOR": "1"}, *options)
    assert "\x1b[31m" not in plain
    assert "\x1b[1;31m" not in plain
    assert "Halted" in plain
    as_json = run_on_terminal(halted.environment, *options, "--json")
    assert json.loads(as_json.splitlines()[0])["order_id"] == "o1"


def test_a_reader_that_has_enough_ends_it(halted: Deployment) -> None:
    """`… | head -1`: no traceback, exit code 0."""
    tail = subprocess.Popen(
        [sys.executable, "-m", "processor.cli", "tail", "--from-beginning", "--to-end"],
        env=halted.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert tail.stdout is not None
    tail.stdout.close()
    _, said = tail.communicate(timeout=30)
    assert (tail.returncode, said) == (0, b"")


RECORD = {
    "studio_id": "s",
    "order_id": "o",
    "occurred_at": "2026-05-01T11:00:00.000000Z",
    "change": "opened",
}


def test_codes_of_a_newer_release_are_shown() -> None:
    """The sets are open (contract.md §5): a line comes all the same, and names the code."""
    fields = {
        **RECORD,
        "status": "paused",
        "primary_reason": "weather",
        "reasons": [{"code": "weather"}],
    }
    value = json.dumps(fields).encode()
    halted = Halted("s", "o", "paused", RECORD["occurred_at"], "weather")
    line = readable(Halt(value, halted), "en").plain
    assert "s / o" in line
    assert "Halted for another reason: weather" in line
    assert "Other" in line


def test_what_is_wanted_is_any_of_each_kind() -> None:
    halted = Halted("s", "o", "halted", "", "a", (), ())
    assert Wanted().matches(halted)
    assert Wanted(studios=frozenset({"s", "t"}), statuses=frozenset({"halted"})).matches(halted)
    assert not Wanted(studios=frozenset({"s"}), statuses=frozenset({"released"})).matches(halted)
    assert not Wanted(reasons=frozenset({"a"})).matches(halted)


class Tail:
    """A running tail whose lines go to a file."""

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._path, self._errors = directory / "tail.out", directory / "tail.err"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "processor.cli", "tail"],
            env=environment,
            stdout=self._path.open("wb"),
            stderr=self._errors.open("wb"),
        )

    def orders(self) -> list[str]:
        return [json.loads(line)["order_id"] for line in self._path.read_text().splitlines()]

    def said(self) -> str:
        return self._errors.read_text()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker that this test may stop and start; it keeps port and data."""
    with LocalKafka(port=free_port(), data_dir=tmp_path / "kafka") as broker:
        yield broker


@pytest.mark.broker
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_it_survives_broker_restarts(
    own_kafka: LocalKafka, topic_prefix: str, tmp_path: Path, how: str
) -> None:
    """Everything comes once and in order, whatever was committed before, between and after."""
    deployment = Deployment(own_kafka, topic_prefix, tmp_path)
    created = deployment.run("topics", "create", "--partitions", str(PARTITIONS))
    assert created.returncode == 0, created.stderr
    produce(own_kafka, topic_prefix, "before tail")
    tail = Tail(deployment.environment, tmp_path)
    try:
        # It begins at the end of when it has started: the first that it shows says that it has.
        count = 0

        def begun() -> bool:
            nonlocal count
            count += 1
            produce(own_kafka, topic_prefix, f"hello {count}")
            return bool(tail.orders())

        wait_until(begun, 30, tail.said, every=0.2)
        produce(own_kafka, topic_prefix, "before")
        wait_until(lambda: "before" in tail.orders(), 30, tail.said)
        own_kafka.kill() if how == "kill" else own_kafka.stop()
        wait_until(lambda: "Kafka does not answer" in tail.said(), 90, tail.said)
        own_kafka.start()
        produce(own_kafka, topic_prefix, "after")
        wait_until(lambda: "after" in tail.orders(), 60, tail.said)
        shown = tail.orders()
        assert "before tail" not in shown
        assert len(shown) == len(set(shown)), "nothing comes twice"
        assert shown[-2:] == ["before", "after"]
        wait_until(lambda: "Kafka answers again" in tail.said(), 30, tail.said)
        assert tail.said().count("does not answer") == 1
        assert "Traceback" not in tail.said()
        tail.process.send_signal(signal.SIGTERM)
        assert tail.process.wait(10) == 0
    finally:
        tail.process.kill()
        tail.process.wait()


def produce(kafka: LocalKafka, prefix: str, order_id: str) -> None:
    """Write a record as a worker would; what it says besides is not looked at."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    value = {**RECORD, "studio_id": STUDIO, "order_id": order_id, "status": "halted"}
    producer.produce(
        f"{prefix}order-halted",
        json.dumps({**value, "primary_reason": None, "reasons": []}).encode(),
        join_key(STUDIO, order_id).encode(),
        default_partition(STUDIO.encode(), PARTITIONS),
    )
    assert producer.flush(30) == 0
