"""`orderhalt explain` on a real Kafka: what it says, in both languages, for people and scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.deployment import PARTITIONS, STUDIO, Deployment, order_placed, photo_deleted
from tests.support.processes import wait_until


def explained(deployment: Deployment, order_id: str, *options: str) -> dict[str, Any]:
    done = deployment.run("explain", STUDIO, order_id, "--json", *options)
    assert done.returncode in (0, 3), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def cancelled(order_id: str) -> dict[str, Any]:
    return {
        "event_id": f"cancelled-{order_id}",
        "occurred_at": "2026-05-02T10:00:00Z",
        "studio_id": STUDIO,
        "order_id": order_id,
    }


def test_a_halted_order_its_event_and_what_can_be_done(deployment: Deployment) -> None:
    deployment.send("order-placed", order_placed("o1", "p1"))
    worker = deployment.start("processor.cli", "worker")
    deployment.read("orderhalt-positions", 1)
    deployment.send("asset-deleted", photo_deleted("p1"))
    [halt] = deployment.read("order-halted", 1)
    found = explained(deployment, "o1")
    said = json.loads(halt.value())
    assert found["answer"]["state"] == "halted"
    assert found["answer"]["reasons"] == said["reasons"]
    assert found["answer"]["unsettled"] == []
    assert found["answer"]["credit"]["state"] == "no_balance"
    assert found["partition"] == halt.partition()
    announcement = found["announcement"]
    assert (announcement["partition"], announcement["offset"]) == (halt.partition(), halt.offset())
    assert announcement["caused_by"] == said["caused_by"]
    assert announcement["caused_by"]["event_id"] == "deleted-p1"

    told = deployment.run("explain", STUDIO, "o1").stdout
    assert "studio-1 / o1: Halted since 2026-05-01 11:00:00 UTC" in told
    assert "Photos missing" in told
    assert "photo p1 deleted" in told
    assert "Cancel the order and create a new one with your customer." in told
    topic, place = f"{deployment.prefix}asset-deleted", halt.partition()
    assert f"{topic}, partition {place}, offset 0 (event deleted-p1)" in told
    assert "no balance is known for this studio in EUR" in told

    german = deployment.run("explain", STUDIO, "o1", "--lang", "de").stdout
    assert "Angehalten seit" in german
    assert "Fotos fehlen" in german

    deployment.send("order-cancelled", cancelled("o1"))
    deployment.read("order-halted", 2)
    found = explained(deployment, "o1")
    assert (found["answer"]["state"], found["announcement"]["change"]) == ("cancelled", "ended")
    assert "The order is cancelled. (2026-05-02 10:00:00 UTC)" in (
        deployment.run("explain", STUDIO, "o1").stdout
    )
    assert worker.poll() is None, "whoever explains takes nothing from the workers"


def test_an_order_that_is_not_halted_says_why(deployment: Deployment) -> None:
    deployment.send("order-placed", order_placed("fine", "p1"))
    deployment.send("order-cancelled", cancelled("early"))
    deployment.start("processor.cli", "worker")
    wait_until(lambda: explained(deployment, "early")["answer"]["state"] == "early", 30)
    wait_until(lambda: explained(deployment, "fine")["answer"]["state"] == "in_flight", 30)
    assert explained(deployment, "fine")["announcement"] is None
    assert "nothing stands against it" in deployment.run("explain", STUDIO, "fine").stdout
    assert "has not been placed yet" in deployment.run("explain", STUDIO, "early").stdout


def test_an_unknown_order_has_an_exit_code_of_its_own(deployment: Deployment) -> None:
    done = deployment.run("explain", STUDIO, "nobody")
    assert done.returncode == 3
    assert "No order with this id is known" in done.stdout
    assert explained(deployment, "nobody")["answer"]["state"] == "unknown"


def test_what_stands_in_the_way_has_a_hint_and_a_code(deployment: Deployment) -> None:
    away = deployment.run("explain", STUDIO, "o1", "--bootstrap-servers", "127.0.0.1:1")
    assert away.returncode == 69
    assert "Start Kafka, or set --bootstrap-servers" in away.stderr
    missing = deployment.run("explain", STUDIO, "o1", "--topic-prefix", "nobody-")
    assert missing.returncode == 78
    assert "Is --topic-prefix that of the deployment?" in missing.stderr
    wrong = deployment.run("explain", STUDIO, "o1", "--bootstrap-servers", "nonsense")
    assert wrong.returncode == 2
    assert "--bootstrap-servers: 'nonsense' is not host:port" in wrong.stderr


def test_a_studio_in_any_partition_is_found(deployment: Deployment) -> None:
    """Where the producers have a partitioner of their own, all partitions are looked at."""
    home = explained(deployment, "o1")["partition"]
    elsewhere = (home + 1) % PARTITIONS
    deployment.environment["ORDERHALT_ANY_PARTITIONER"] = "true"
    deployment.send("order-placed", order_placed("o1", "p1"), elsewhere)
    deployment.send("asset-deleted", photo_deleted("p1"), elsewhere)
    deployment.start("processor.cli", "worker")
    deployment.read("order-halted", 1)
    found = explained(deployment, "o1")
    assert (found["answer"]["state"], found["partition"]) == ("halted", elsewhere)
    assert found["announcement"]["partition"] == elsewhere


@pytest.mark.parametrize("colour", [{}, {"NO_COLOR": "1"}])
def test_a_pipe_gets_no_colour(deployment: Deployment, colour: dict[str, str]) -> None:
    done = deployment.run("explain", STUDIO, "nobody", environment=colour)
    assert "\x1b[" not in done.stdout


def test_what_was_known_at_a_time(deployment: Deployment) -> None:
    """The inputs are replayed up to the last commit by then, and what was said is found again."""
    deployment.start("processor.cli", "worker")

    def now() -> str:
        return datetime.now(UTC).isoformat()

    before = now()
    deployment.send("order-placed", order_placed("o1", "p1"))
    deployment.read("orderhalt-orders-changelog", 1)
    placed = now()
    deployment.send("asset-deleted", photo_deleted("p1"))
    [halt] = deployment.read("order-halted", 1)
    halted = now()
    deployment.send("order-cancelled", cancelled("o1"))
    deployment.read("order-halted", 2)

    unknown = deployment.run("explain", STUDIO, "o1", "--as-of", before)
    assert unknown.returncode == 3
    assert "nothing had been applied" in unknown.stdout
    then = explained(deployment, "o1", "--as-of", placed)
    assert then["answer"]["state"] == "in_flight"
    assert then["as_of"]["transaction"] >= 1
    assert then["announcement"] is None
    then = explained(deployment, "o1", "--as-of", halted)
    assert then["answer"]["state"] == "halted"
    assert then["answer"]["reasons"] == json.loads(halt.value())["reasons"]
    said = then["announcement"]
    assert (said["partition"], said["offset"]) == (halt.partition(), halt.offset())
    assert (said["status"], said["sequence"]) == ("halted", 1)
    told = deployment.run("explain", STUDIO, "o1", "--as-of", "0s").stdout
    assert told.startswith("As of 20")
    assert "The order is cancelled." in told
