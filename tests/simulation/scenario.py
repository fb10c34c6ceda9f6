"""What a seed means: settings, input records with their times, faults with theirs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from random import Random
from typing import Any, NamedTuple

from processor.runtime.config import RuntimeConfig
from schemas import topics
from tests.runtime.toyapp import toy_config
from tests.strategies.event_logs import Shape, random_log, shuffled_and_duplicated

#: One seed in so many simulates the real rules, the others a machine that counts.
RULES_EVERY = 6
#: One in so many has requests of transactions go astray all the time.
FIRE_EVERY, FIRE_AT = 10, 3
#: From the first record to the last fault, in seconds of virtual time.
LONGEST = 6.0


class Sending(NamedTuple):
    """One input record, and when it is sent."""

    at: float
    topic: str
    partition: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class Fault(NamedTuple):
    """Something that happens to a worker, or to the logs."""

    at: float
    kind: str
    slot: int
    amount: float


@dataclass
class Scenario:
    """Everything that happens from outside."""

    seed: int
    rules: bool
    partitions: int
    workers: int
    config: RuntimeConfig
    static: list[bool]
    sendings: list[Sending]
    faults: list[Fault]
    fault_share: float
    """Of requests that meet a fault of the network."""
    transaction_fault_share: float
    """Of the questions to coordinators about transactions."""
    latest: float
    point_share: float
    """The probability to die at each passing of a named point."""
    transactional_share: float
    """Of input records that come in a transaction of their producer."""
    batch_bytes: int
    """A small one splits what a window writes to one topic into several produce requests."""
    most_in_a_fetch: int
    marker_delay: float
    delay: float
    """The typical way of a request, or of an answer, in seconds."""
    callback_cost: float
    """What a step of a worker takes at most, in seconds."""
    apply_cost: float
    """What applying a record takes, in seconds."""
    ends_at: float


def make(seed: int) -> Scenario:
    """Draw a scenario from its seed."""
    scenario = _make(seed)
    return _under_fire(scenario) if seed % FIRE_EVERY == FIRE_AT else scenario


def _under_fire(scenario: Scenario) -> Scenario:
    """Let one partition commit without a pause, while questions to coordinators go astray."""
    random = Random(f"fire {scenario.seed}")
    changes = {
        "commit_interval_seconds": 0.02,
        "transaction_timeout_ms": 10_000,
        "one_by_one": False,
        "window_soft_entries": 5_000,
        "window_hard_entries": 20_000,
    }
    return replace(
        scenario,
        rules=False,
        partitions=1,
        config=toy_config("", "simulated:1", **changes),
        sendings=_toy_records(random, toy_config("", "simulated:1"), 1, 30, 2.0),
        transaction_fault_share=0.15,
        latest=random.choice((0.3, 1.0)),
        point_share=0.01,
        transactional_share=0.0,
        delay=0.01,
        batch_bytes=150,
        ends_at=2.0,
    )


def _make(seed: int) -> Scenario:
    random = Random(f"scenario {seed}")
    rules = seed % RULES_EVERY == 0
    partitions = random.choice((1, 2, 2, 2, 3) if not rules else (1, 1, 2))
    config = _config(random, rules)
    lasts = random.uniform(1.5, LONGEST)
    events = random.randint(10, 30) if not rules else random.randint(10, 24)
    sendings = (
        _halting_records(random, seed, config, partitions, events, lasts)
        if rules
        else _toy_records(random, config, partitions, events, lasts)
    )
    workers = random.choice((1, 2, 2, 2, 3))
    calm = random.random() < 0.2
    return Scenario(
        seed=seed,
        rules=rules,
        partitions=partitions,
        workers=workers,
        config=config,
        static=[random.random() < 0.3 for _ in range(workers)],
        sendings=sendings,
        faults=[] if calm else _faults(random, workers, config, lasts),
        fault_share=0.0 if calm else random.choice((0.0, 0.0, 0.002, 0.01, 0.03)),
        transaction_fault_share=0.0 if calm else random.choice((0.0, 0.0, 0.0, 0.1, 0.3)),
        latest=random.choice((0.3, 1.0, 4.0, 15.0)),
        point_share=0.0 if calm else random.choice((0.0, 0.0, 0.02, 0.1)),
        transactional_share=random.choice((0.0, 0.3, 0.8)),
        batch_bytes=random.choice((512 * 1024, 512 * 1024, 150)),
        most_in_a_fetch=random.choice((3, 10, 1_000)),
        marker_delay=random.choice((0.001, 0.004, 0.03)),
        delay=random.choice((0.002, 0.002, 0.01, 0.03)),
        callback_cost=random.choice((1e-6, 5e-5, 5e-4)),
        apply_cost=random.choice((0.0, 0.0, 0.001, 0.01)),
        ends_at=lasts,
    )


def _config(random: Random, rules: bool) -> RuntimeConfig:
    soft = random.choice((3, 10, 5_000))
    changes: dict[str, Any] = {
        "commit_interval_seconds": random.choice((0.02, 0.1, 0.1, 0.3)),
        "window_soft_entries": soft,
        "window_hard_entries": soft * random.choice((1, 2, 4)),
        "one_by_one": random.random() < 0.05,
        "max_poll_records": random.choice((1, 4, 20, 1_000)),
        "session_timeout_ms": random.choice((2_000, 3_000, 6_000)),
        "transaction_timeout_ms": random.choice((2_000, 5_000, 10_000)),
    }
    if not rules:
        return toy_config("", "simulated:1", **changes)
    return RuntimeConfig(
        group_id="orderhalt",
        bootstrap_servers=("simulated:1",),
        inputs=tuple(topic.name for topic in topics.INPUTS),
        changelogs={table: topic.name for table, topic in topics.CHANGELOGS.items()},
        output=topics.ORDER_HALTED.name,
        rejected=topics.REJECTED.name,
        positions=topics.POSITIONS.name,
        journal=topics.JOURNAL.name,
        **changes,
    )


def _times(random: Random, count: int, lasts: float) -> list[float]:
    """Draw times, half of them in bursts."""
    bursts = [random.uniform(0, lasts) for _ in range(3)]
    return sorted(
        random.choice(bursts) + random.random() * 0.01
        if random.random() < 0.5
        else random.uniform(0, lasts)
        for _ in range(count)
    )


def _toy_records(
    random: Random, config: RuntimeConfig, partitions: int, events: int, lasts: float
) -> list[Sending]:
    sendings = []
    poisoned = random.randrange(events) if random.random() < 0.2 else -1
    for number, at in enumerate(_times(random, events, lasts)):
        key = b"k%d" % random.randrange(6)
        draw = random.random()
        command = b"reject " if draw < 0.08 else b"fan:4 " if draw < 0.16 else b""
        if number == poisoned:
            command = b"poison "
        sendings.append(
            Sending(
                *(at, random.choice(config.inputs), zlib.crc32(key) % partitions),
                *(number, key, command + b"e%d" % number),
            )
        )
    return sendings


def _halting_records(
    random: Random, seed: int, config: RuntimeConfig, partitions: int, events: int, lasts: float
) -> list[Sending]:
    """Make events of the contract: ties, early facts, in any order, some of them twice."""
    log = random_log(seed, events, Shape(jumps=random.random() < 0.5), partitions)
    if random.random() < 0.5:
        log = shuffled_and_duplicated(log, seed)[: 2 * events]
    return [
        Sending(at, r.topic, r.partition, r.timestamp, r.key, r.value)
        for at, r in zip(_times(random, len(log), lasts), log, strict=True)
    ]


_KINDS = (
    *("kill",) * 3, *("kill after steps",) * 5, *("freeze",) * 2, *("freeze after steps",) * 3,
    *("terminate",) * 3, "compact", "compact",
)  # fmt: skip


def _faults(random: Random, workers: int, config: RuntimeConfig, lasts: float) -> list[Fault]:
    session = config.session_timeout_ms / 1000
    faults = []
    for _ in range(random.randint(1, 7)):
        kind = random.choice(_KINDS)
        amount = random.uniform(0.1, 2.5) * session if kind.startswith("freeze") else 0.0
        faults.append(Fault(random.uniform(0, lasts), kind, random.randrange(workers), amount))
    return sorted(faults)
