"""Create the topics of a deployment, and check that they are as the contract wants them.

The check runs at every start of a worker as well: a topic that loses rows or refuses large records
would otherwise show weeks later, as lost state or as a worker that stops again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from statistics import mode
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from processor.config import Settings
from processor.connection import connected
from processor.deployment import runtime_config
from processor.runtime import clients
from schemas import topics
from schemas.errors import StateRefused

DEFAULT_PARTITIONS: Final = 4

_CHECKED: Final = ("cleanup.policy", "max.message.bytes", "message.timestamp.type")
_VISIBLE_WITHIN_SECONDS: Final = 20.0
_COORDINATOR_WITHIN_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be."""

    topic: str
    what: str
    remedy: str


class TopicsMissing(StateRefused):
    """Topics that are needed are not there; says what to do."""


def listing(faults: Sequence[Fault]) -> str:
    """List faults for a reader; what has the same remedy stands together."""
    by_remedy: dict[str, list[Fault]] = {}
    for fault in faults:
        by_remedy.setdefault(fault.remedy, []).append(fault)
    lines = []
    for remedy, alike in by_remedy.items():
        lines += [f"  - {fault.topic}: {fault.what}" for fault in alike]
        lines.append(f"    → {remedy}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Found:
    """The topics as they are."""

    faults: tuple[Fault, ...]
    partitions: int
    """Of the inputs; 0 where they are missing or differ."""
    rejected_limit_bytes: int
    """What one record of the rejected topic may take."""


@dataclass(frozen=True, slots=True)
class Created:
    """What `create` did."""

    created: tuple[str, ...]
    existing: tuple[str, ...]
    partitions: int


async def preflight(settings: Settings) -> Found:
    """Check before a worker starts; raises StateRefused with every fault, or KafkaUnavailable."""
    found = await check(settings)
    if found.faults:
        raise StateRefused(f"the topics are not as they must be.\n\n{listing(found.faults)}")
    return found


async def check(settings: Settings) -> Found:
    """Compare the topics on the broker with what the contract wants; raises KafkaUnavailable."""
    async with _admin(settings) as admin:
        counts = await _partition_counts(admin)
        names = [name for name in _names(settings) if name in counts]
        configs, transactions = await asyncio.gather(
            _topic_configs(admin, dict.fromkeys(names, _CHECKED)),
            _transactions_fault(admin, settings),
        )
    ours = {name: counts[name] for name in names}
    return judge(settings, ours, configs, transactions)


def judge(
    settings: Settings,
    counts: Mapping[str, int],
    configs: Mapping[str, Mapping[str, str]],
    transactions: Fault | None = None,
) -> Found:
    """Find the faults, given every existing topic's number of partitions and settings."""
    by_name = _names(settings)
    servers = settings.bootstrap_servers
    inputs = [name for name, topic in by_name.items() if topic.direction == "in"]
    # The one that differs is named, and not the many that do not.
    partitions = mode([counts[name] for name in inputs if name in counts] or [0])
    largest_input = max(
        (int(configs[name]["max.message.bytes"]) for name in inputs if name in configs), default=0
    )
    faults = []
    for name, topic in by_name.items():
        if name not in counts:
            faults.append(Fault(name, "does not exist", _create_command(settings, partitions)))
            continue
        if counts[name] != partitions:
            what = f"has {counts[name]} partitions, the inputs have {partitions}"
            faults.append(Fault(name, what, _PARTITIONS_REMEDY))
        faults += _config_faults(name, topic, configs[name], largest_input, servers, settings)
    if transactions is not None:
        faults.append(transactions)
    rejected = topics.prefixed(topics.REJECTED, settings.topic_prefix)
    limit = int(configs[rejected]["max.message.bytes"]) if rejected in configs else 0
    return Found(tuple(faults), partitions, limit)


async def partition_count(settings: Settings, *wanted: topics.Topic) -> int:
    """Tell how many partitions the topics of a deployment have, of which `wanted` must be there.

    Raises TopicsMissing, which says what to do, or KafkaUnavailable.
    """
    async with _admin(settings) as admin:
        counts = await _partition_counts(admin)
    names = [topics.prefixed(topic, settings.topic_prefix) for topic in wanted]
    missing = [name for name in names if name not in counts]
    if missing:
        raise TopicsMissing(
            f"There is no {', '.join(missing)} at {settings.bootstrap_servers}.\n"
            "Is --topic-prefix that of the deployment? A new one is made by: "
            f"{_create_command(settings, 0)}"
        )
    return min(counts[name] for name in names)


async def topic_settings(
    settings: Settings, wanted: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, str]]:
    """Give the `wanted` settings of existing topics; raises KafkaUnavailable, KafkaError."""
    async with _admin(settings) as admin:
        return await _topic_configs(admin, wanted)


async def create(
    settings: Settings, partitions: int | None = None, replication_factor: int | None = None
) -> Created:
    """Create what is missing; leave what is there alone. Raises KafkaUnavailable, KafkaError.

    Without `partitions`: as many as the existing ones have, or DEFAULT_PARTITIONS. Without
    `replication_factor`: the broker's default.
    """
    by_name = _names(settings)
    async with _admin(settings) as admin:
        counts = await _partition_counts(admin)
        existing = tuple(name for name in by_name if name in counts)
        number = partitions or next((counts[name] for name in existing), DEFAULT_PARTITIONS)
        missing = [
            NewTopic(
                name,
                number,
                -1 if replication_factor is None else replication_factor,
                replica_assignments={} if replication_factor is None else None,
                topic_configs={"cleanup.policy": topic.cleanup, **topic.config},
            )
            for name, topic in by_name.items()
            if name not in counts
        ]
        if missing:
            await _create(admin, missing)
    return Created(tuple(topic.name for topic in missing), existing, number)


async def _create(admin: Any, missing: Sequence[NewTopic]) -> None:
    response = await admin.create_topics(list(missing))
    for name, code, message in response.topic_errors:
        error = for_code(code)
        # Somebody else may be creating them too; what matters is that they are there.
        if code and error is not TopicAlreadyExistsError:
            raise error(f"Cannot create {name}: {message}")
    names = {topic.name for topic in missing}
    deadline = time.monotonic() + _VISIBLE_WITHIN_SECONDS
    while not names <= (await _partition_counts(admin)).keys():
        if time.monotonic() > deadline:
            raise KafkaError(f"The topics were created and do not show up: {sorted(names)}")
        await asyncio.sleep(0.05)


_PARTITIONS_REMEDY: Final = (
    "All inputs, outputs and private topics need the same number, and it cannot change while there "
    "is state: partitions are never added to. Without state, delete the topic and run `orderhalt "
    "topics create`; with state, start a deployment under a new --topic-prefix."
)


_OF_WORKERS: Final = (
    "a worker whose clock is an hour ahead could write nothing, and what one writes whose clock is "
    "weeks behind would be deleted too early"
)
#: What a wrong clock does where the broker's own does not stamp the records.
_CLOCKS: Final[Mapping[topics.Direction, str]] = {
    "in": "one producer with a wrong clock could age everything (contract.md §7); who trusts the "
    "producers' clocks sets ORDERHALT_ALLOW_CREATE_TIME=true",
    "out": _OF_WORKERS,
    "private": _OF_WORKERS,
}


def _config_faults(
    name: str,
    topic: topics.Topic,
    config: Mapping[str, str],
    largest_input: int,
    servers: str,
    settings: Settings,
) -> list[Fault]:
    wanted: dict[str, tuple[str, str]] = {}
    if config["cleanup.policy"] != topic.cleanup:
        why = f"cleanup.policy is {config['cleanup.policy']}"
        wanted["cleanup.policy"] = topic.cleanup, why
    least = topic.min_message_bytes or 0
    if topic is topics.REJECTED:
        least = max(least, largest_input + topics.REJECTED_HEADROOM_BYTES)
    if int(config["max.message.bytes"]) < least:
        why = f"max.message.bytes is {config['max.message.bytes']}, below {least}"
        wanted["max.message.bytes"] = str(least), why
    kind = config["message.timestamp.type"]
    if kind != "LogAppendTime" and not (topic.direction == "in" and settings.allow_create_time):
        why = f"message.timestamp.type is {kind}: {_CLOCKS[topic.direction]}"
        wanted["message.timestamp.type"] = "LogAppendTime", why
    return [
        Fault(
            name,
            why,
            f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics "
            f"--entity-name {name} --add-config {key}={value}",
        )
        for key, (value, why) in wanted.items()
    ]


def _create_command(settings: Settings, partitions: int) -> str:
    prefix = f" --topic-prefix {settings.topic_prefix}" if settings.topic_prefix else ""
    number = partitions or DEFAULT_PARTITIONS
    return (
        f"orderhalt topics create --bootstrap-servers {settings.bootstrap_servers}{prefix} "
        f"--partitions {number}"
    )


def _names(settings: Settings) -> dict[str, topics.Topic]:
    return {topics.prefixed(topic, settings.topic_prefix): topic for topic in topics.ALL}


def _admin(settings: Settings) -> AbstractAsyncContextManager[Any]:
    return connected(settings, clients.admin(runtime_config(settings)))


async def _partition_counts(admin: Any) -> dict[str, int]:
    # Of all topics: asked for single ones, a broker may create them on the spot.
    described = await admin.describe_topics()
    return {
        topic["topic"]: len(topic["partitions"])
        for topic in described
        if topic["error_code"] == 0 and topic["partitions"]
    }


async def _topic_configs(
    admin: Any, wanted: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, str]]:
    if not wanted:
        return {}
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(settings, ""))
        for name, settings in wanted.items()
    ]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _kind, name, entries, *_ in response.resources:
            if code:
                raise for_code(code)(f"Cannot read the settings of {name}: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def _transactions_fault(admin: Any, settings: Settings) -> Fault | None:
    """Ask for a transaction coordinator; the first question ever makes the broker's own topic."""
    deadline = time.monotonic() + _COORDINATOR_WITHIN_SECONDS
    while True:
        try:
            await admin.find_coordinator(f"{settings.group}-0", 1)
        except KafkaError as error:
            if time.monotonic() > deadline or not error.retriable:
                return Fault(
                    "__transaction_state",
                    f"no transaction coordinator: {type(error).__name__}",
                    "Exactly-once needs transactions. With fewer than three brokers set "
                    "transaction.state.log.replication.factor and transaction.state.log.min.isr; "
                    "with ACLs allow Describe and Write on the transactional ids "
                    f"{settings.group}-*.",
                )
            await asyncio.sleep(0.1)
        else:
            return None
