"""What many tests share: a real Kafka per session, names that do not meet, hypothesis profiles."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from processor.localkafka import LocalKafka
from tests.support.deployment import PARTITIONS, Deployment

# No deadline anywhere: two shared cores make a single slow example mean nothing.
settings.register_profile("default", deadline=None)
settings.register_profile(
    "ci", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the broker, so that `-m "not broker"` leaves it out."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "kafka" in fixtures or "own_kafka" in fixtures:
            item.add_marker(pytest.mark.broker)


@pytest.fixture(scope="session")
def kafka() -> Iterator[LocalKafka]:
    """A real Apache Kafka for all tests of the session; each takes a `topic_prefix` of its own."""
    with LocalKafka() as broker:
        yield broker


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test has, for topics, groups and transactional ids."""
    return f"t{uuid.uuid4().hex[:12]}-"


@pytest.fixture
def deployment(kafka: LocalKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, topic_prefix, tmp_path)
    created = made.run("topics", "create", "--partitions", str(PARTITIONS))
    assert created.returncode == 0, created.stderr
    yield made
    for process in made.processes:
        if process.poll() is None:
            process.kill()
            process.wait(10)
