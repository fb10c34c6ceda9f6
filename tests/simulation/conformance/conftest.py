"""Every test here runs in the model, and on Apache Kafka."""

from __future__ import annotations

import pytest

from tests.simulation.conformance.laboratories import Laboratory, Model, RealKafka


@pytest.fixture(
    params=["model", pytest.param("kafka", marks=pytest.mark.broker)],
)
def laboratory(request: pytest.FixtureRequest, topic_prefix: str) -> Laboratory:
    if request.param == "model":
        return Model()
    return RealKafka(request.getfixturevalue("kafka").bootstrap_servers, topic_prefix)
