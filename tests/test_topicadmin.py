"""The topics as the contract wants them: made so, found so, and every fault with its remedy."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from processor import topicadmin
from processor.config import Settings
from processor.localkafka import LocalKafka
from processor.runtime.failstop import KafkaUnavailable
from schemas import topics
from schemas.errors import StateRefused

SETTINGS = Settings(topic_prefix="p-")


def as_it_should_be() -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    counts, configs = {}, {}
    for topic in topics.ALL:
        name = topics.prefixed(topic, "p-")
        counts[name] = 4
        defaults = {"max.message.bytes": "1048588", "message.timestamp.type": "CreateTime"}
        configs[name] = {**defaults, **topic.config, "cleanup.policy": topic.cleanup}
    return counts, configs


def test_what_is_created_has_no_fault() -> None:
    found = topicadmin.judge(SETTINGS, *as_it_should_be())
    assert found.faults == ()
    assert found.partitions == 4
    assert found.rejected_limit_bytes >= topics.INPUT_VALUE_MAX_BYTES


@pytest.mark.parametrize(
    ("name", "key", "value", "words"),
    [
        ("p-order-placed", "cleanup.policy", "compact", "cleanup.policy is compact"),
        ("p-order-halted", "cleanup.policy", "delete", "cleanup.policy=compact"),
        ("p-orderhalt-orders-changelog", "cleanup.policy", "compact,delete", "=compact"),
        ("p-orderhalt-orders-changelog", "max.message.bytes", "1000000", "below 4194304"),
        ("p-order-halted", "max.message.bytes", "1000000", "below 4194304"),
        ("p-orderhalt-rejected", "max.message.bytes", "1000000", "below 1114124"),
        ("p-order-placed", "max.message.bytes", "9000000", "below 9065536"),
        ("p-lab-transfer", "message.timestamp.type", "CreateTime", "ORDERHALT_ALLOW_CREATE_TIME"),
        ("p-order-halted", "message.timestamp.type", "CreateTime", "an hour ahead"),
        ("p-orderhalt-journal", "message.timestamp.type", "CreateTime", "deleted too early"),
    ],
)
def test_each_setting_that_is_wrong_is_named(name: str, key: str, value: str, words: str) -> None:
    counts, configs = as_it_should_be()
    configs[name][key] = value
    [fault] = topicadmin.judge(SETTINGS, counts, configs).faults
    assert words in fault.what + fault.remedy
    assert "kafka-configs.sh" in fault.remedy


def test_create_time_can_be_allowed() -> None:
    counts, configs = as_it_should_be()
    configs["p-lab-transfer"]["message.timestamp.type"] = "CreateTime"
    allowing = Settings(topic_prefix="p-", allow_create_time=True)
    assert topicadmin.judge(allowing, counts, configs).faults == ()


def test_workers_clocks_are_never_trusted() -> None:
    counts, configs = as_it_should_be()
    configs["p-orderhalt-positions"]["message.timestamp.type"] = "CreateTime"
    allowing = Settings(topic_prefix="p-", allow_create_time=True)
    [fault] = topicadmin.judge(allowing, counts, configs).faults
    assert "message.timestamp.type=LogAppendTime" in fault.remedy


def test_the_one_input_that_got_partitions_is_named_and_not_the_others() -> None:
    counts, configs = as_it_should_be()
    counts["p-order-placed"] = 8
    [fault] = topicadmin.judge(SETTINGS, counts, configs).faults
    assert (fault.topic, fault.what) == ("p-order-placed", "has 8 partitions, the inputs have 4")


def test_partition_counts_must_be_equal() -> None:
    counts, configs = as_it_should_be()
    counts["p-orderhalt-journal"] = 3
    [fault] = topicadmin.judge(SETTINGS, counts, configs).faults
    assert fault.topic == "p-orderhalt-journal"
    assert "has 3 partitions, the inputs have 4" in fault.what


def test_missing_topics_have_one_remedy_together() -> None:
    counts, configs = as_it_should_be()
    for name in ("p-order-placed", "p-orderhalt-journal"):
        del counts[name], configs[name]
    found = topicadmin.judge(SETTINGS, counts, configs)
    assert topicadmin.listing(found.faults).count("orderhalt topics create") == 1
    assert "--topic-prefix p- --partitions 4" in found.faults[0].remedy


# -- on a real broker


def settings_for(kafka: LocalKafka, prefix: str) -> Settings:
    return Settings(bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix)


def test_create_and_check(kafka: LocalKafka, topic_prefix: str) -> None:
    settings = settings_for(kafka, topic_prefix)
    with pytest.raises(StateRefused, match="does not exist"):
        asyncio.run(topicadmin.preflight(settings))
    done = asyncio.run(topicadmin.create(settings, partitions=3))
    assert len(done.created) == len(topics.ALL)
    found = asyncio.run(topicadmin.preflight(settings))
    assert found.partitions == 3
    again = asyncio.run(topicadmin.create(settings))
    assert (again.created, again.partitions) == ((), 3)


def test_no_kafka_is_said_so() -> None:
    settings = Settings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1"):
        asyncio.run(topicadmin.check(settings))


def run_topics(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "processor.cli", "topics", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_commands(kafka: LocalKafka, topic_prefix: str) -> None:
    where = ["--bootstrap-servers", kafka.bootstrap_servers, "--topic-prefix", topic_prefix]
    before = run_topics("check", *where, "--json")
    assert before.returncode == 1
    report: dict[str, Any] = json.loads(before.stdout)
    assert len(report["faults"]) == len(topics.ALL)
    made = run_topics("create", *where, "--partitions", "2", "--replication-factor", "1")
    assert made.returncode == 0, made.stderr
    assert f"created  {topic_prefix}order-placed  (2 partitions)" in made.stdout
    after = run_topics("check", *where)
    assert (after.returncode, after.stderr) == (0, "")
    assert "2 partitions" in after.stdout
