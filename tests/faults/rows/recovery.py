"""Rows of recovery: the worker dies in it again and again, or the changelogs are compacted meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin import ResourceType as Kind

from processor.localkafka import LocalKafka
from schemas import topics
from tests.broker.fleet import Fleet
from tests.faults.brokers import proxied_kafka
from tests.faults.proxy import Api, Fault, Harm
from tests.faults.rows import Row
from tests.faults.stage import Stage, under_load

_IN_RECOVERY = ("after_fence", "in_load", "before_seek")
_HELD_SECONDS = 8.0
_OFTEN = {"segment.ms": "300", "delete.retention.ms": "0", "min.compaction.lag.ms": "0"}
_CLEANED = re.compile(r"cleaned log (\S+-changelog-\d+)")


def _crash_in_recovery(stage: Stage) -> None:
    """A worker dies three times in a row while it recovers, before it may."""
    with LocalKafka() as kafka, under_load(stage, kafka.bootstrap_servers) as act:
        for point in _IN_RECOVERY * stage.times(2, 1):
            for _ in range(3):
                act.fleet.die_at({"w0": f"{point}@1"})
            stage.did(f"died three times in a row in its recovery, at {point}")
            act.catch_up()


def _compacted(stage: Stage) -> None:
    """Hold back what a recovery reads, compact the changelogs meanwhile, let it go on."""
    with proxied_kafka() as (kafka, proxy):
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})

        def prepare(fleet: Fleet) -> None:
            _configure(admin, fleet, {**_OFTEN, "min.cleanable.dirty.ratio": "0.99"})

        options: dict[str, Any] = {"worker_servers": proxy.address, "prepare": prepare}
        with under_load(stage, kafka.bootstrap_servers, per_second=120, **options) as act:
            for _ in range(stage.times(3, 1)):
                wanted = act.fleet.view.applied() + 600
                act.fleet.wait(lambda at=wanted: act.fleet.view.applied() >= at, "records")  # type: ignore[misc]
                fault = Fault(Api.FETCH, Harm.ANSWER_LATE, _HELD_SECONDS, only="-reader")
                proxy.inflict(fault)
                before = len(_cleaned(kafka.log_path))
                act.fleet.kill("w0")
                act.fleet.wait(fault.happened.is_set, "the recovery to read")
                assert not fault.over.is_set()
                _configure(admin, act.fleet, {"min.cleanable.dirty.ratio": "0.0"})
                act.fleet.wait(fault.over.is_set, "the recovery to go on")
                cleaned = _cleaned(kafka.log_path)[before:]
                assert cleaned, "the broker has compacted no changelog meanwhile"
                _configure(admin, act.fleet, {"min.cleanable.dirty.ratio": "0.99"})
                stage.did("changelogs compacted while a recovery read them, tombstones removed")
                stage.say(f"{len(cleaned)} compactions of {len(set(cleaned))} partitions")
                act.catch_up()


def _cleaned(log: Path) -> list[str]:
    """Give the changelog partitions that the broker says it has compacted, once for each time."""
    return _CLEANED.findall(log.read_text(errors="replace"))


def _configure(admin: AdminClient, fleet: Fleet, config: dict[str, str]) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in config.items()
    ]
    resources = [
        ConfigResource(Kind.TOPIC, fleet.view.name(topic), incremental_configs=entries)
        for topic in topics.CHANGELOGS.values()
    ]
    for future in admin.incremental_alter_configs(resources).values():
        future.result(20)


ROWS = [
    Row("recovery-crash", "A worker dies three times in a row in its recovery", _crash_in_recovery),
    Row("compaction", "Changelogs are compacted in the middle of a recovery", _compacted),
]
