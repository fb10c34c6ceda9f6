"""A fresh toy deployment per test, on the session's Kafka (fixture `kafka`, tests/conftest.py)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.harness import Deployment

_numbers = itertools.count(1)


@pytest.fixture
def deploy(kafka: Any, tmp_path: Path) -> Iterator[Callable[..., Deployment]]:
    """Make deployments; their workers end with the test."""
    made: list[Deployment] = []

    def make(partitions: int = 4) -> Deployment:
        prefix = f"rt{next(_numbers)}-"
        made.append(Deployment(kafka.bootstrap_servers, prefix, tmp_path, partitions))
        return made[-1]

    yield make
    for deployment in made:
        deployment.stop_all()
