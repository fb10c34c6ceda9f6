"""Whatever happens to the workers, every record counts once: outputs, rows, offsets, journal."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka import Producer

from processor.runtime.failpoints import POINTS
from tests.runtime.harness import Deployment
from tests.support.processes import wait_until

Deploy = Callable[..., Deployment]


def expect_all_well(deployment: Deployment) -> None:
    verdict = deployment.verdict()
    logs = "\n".join(worker.log()[-2000:] for worker in deployment.workers[-3:])
    assert verdict.problems == [], logs
    assert verdict.outputs == len(deployment.sent)


@contextmanager
def load(deployment: Deployment, per_second: int = 1_500) -> Iterator[None]:
    """Send records steadily, in a thread, for as long as the block lasts."""
    ended = threading.Event()

    def send() -> None:
        number = 1_000_000
        while not ended.wait(0.02):
            deployment.send_many(per_second // 50, first=number)
            number += per_second // 50

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_records_before_and_after_the_start(deploy: Deploy) -> None:
    deployment = deploy()
    deployment.send_many(3_000)
    worker = deployment.start()
    deployment.wait_until_applied()
    deployment.send_many(300, first=3_000)
    deployment.wait_until_applied()
    assert worker.terminate() == 0
    expect_all_well(deployment)


def test_kill_9_in_turn_under_load(deploy: Deploy) -> None:
    deployment, chance = deploy(), random.Random(1)
    names = ["w0", "w1"]
    workers = [deployment.start(name, TOY_INSTANCE_ID=name) for name in names]
    with load(deployment):
        wait_until(lambda: bool(deployment.committed()), 20)
        for round_number in range(6):
            time.sleep(chance.uniform(0.3, 2.0))  # the moment of the kill is what is drawn
            at = round_number % 2
            workers[at].kill()
            workers[at] = deployment.start(names[at], TOY_INSTANCE_ID=names[at])
    deployment.wait_until_applied()
    expect_all_well(deployment)


def test_kill_at_every_named_point(deploy: Deploy) -> None:
    """The moments that matter are inside a commit and inside a recovery; chance rarely hits them."""
    deployment = deploy(2)
    deployment.send_many(200)
    for number, point in enumerate(POINTS):
        deployment.send_many(200, first=1_000 * (number + 1))
        worker = deployment.start(
            f"w{number}", TOY_INSTANCE_ID="one", ORDERHALT_FAILPOINTS=f"{point}@1"
        )
        if point.endswith("revoke"):
            worker.wait_for("Ready")
            worker.send(signal.SIGTERM)
        assert worker.wait() == -signal.SIGKILL, worker.log()[-2000:]
        assert f"fail point {point}" in worker.log()
    deployment.start("last", TOY_INSTANCE_ID="one")
    deployment.wait_until_applied()
    expect_all_well(deployment)


def test_a_zombie_commits_nothing(deploy: Deploy) -> None:
    """A worker that wakes up after its partitions went elsewhere is fenced and says so."""
    deployment = deploy()
    zombie = deployment.start("zombie")
    zombie.wait_for("Ready")
    with load(deployment):
        wait_until(lambda: bool(deployment.committed()), 20)
        zombie.send(signal.SIGSTOP)
        heir = deployment.start("heir")
        heir.wait_for("Ready with partitions [0, 1, 2, 3]")
        zombie.send(signal.SIGCONT)
        assert zombie.wait() == 70
    assert "Another worker owns this partition now" in zombie.log()
    deployment.wait_until_applied()
    assert heir.running
    expect_all_well(deployment)


def test_workers_come_and_go(deploy: Deploy) -> None:
    """A rebalance keeps what it can; SIGTERM commits, leaves the group at once and ends with 0."""
    deployment = deploy()
    first = deployment.start("first")
    with load(deployment):
        first.wait_for("Ready with partitions [0, 1, 2, 3]")
        second = deployment.start("second")
        second.wait_for("Ready with partitions")
        first.wait_for("(kept [")
        third = deployment.start("third")
        third.wait_for("Ready with partitions")
        started = time.monotonic()
        assert second.terminate() == 0
        ended = time.monotonic()
        assert first.terminate() == 0
        third.wait_for("Ready with partitions [0, 1, 2, 3]")
    assert ended - started < 5
    # Without leaving, the group would wait for the session time-out of 6 s, twice.
    assert time.monotonic() - ended < 5
    deployment.wait_until_applied()
    expect_all_well(deployment)


@pytest.mark.parametrize("gone", ["aborted", "committed"])
def test_transactional_producers_of_the_inputs(deploy: Deploy, gone: str) -> None:
    """Control records and aborted records take offsets: no false hole, no lag that stays."""
    deployment = deploy(1)
    producer = Producer(
        {
            "bootstrap.servers": deployment.servers,
            "transactional.id": f"{deployment.prefix}shop",
        }
    )
    producer.init_transactions(20)
    deployment.start()
    for number in range(30):
        deployment.send(f"plain{number}")
        deployment.flush()
        producer.begin_transaction()
        sent = deployment.send(f"{number}")
        for part in range(3):
            producer.produce(sent.topic, b"%d-%d" % (number, part), sent.key, sent.partition)
        if gone == "aborted" and number % 2:
            producer.abort_transaction(20)
        else:
            producer.commit_transaction(20)
            for part in range(3):
                deployment.sent[f"{number}-{part}"] = sent
    deployment.flush()
    deployment.wait_until_applied()
    expect_all_well(deployment)


def test_a_full_window_commits_and_goes_on(deploy: Deploy) -> None:
    """One record may change more rows than a window should hold; others wait and lose nothing."""
    deployment = deploy(2)
    limits = {"TOY_WINDOW_SOFT_ENTRIES": "50", "TOY_WINDOW_HARD_ENTRIES": "200"}
    for number in range(40):
        deployment.send(f"wide{number}", key=b"k%d" % number, command="fan:500")
    deployment.send_many(2_000)
    deployment.start(**limits)
    deployment.wait_until_applied()
    expect_all_well(deployment)
