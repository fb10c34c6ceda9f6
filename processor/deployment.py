"""What the settings come to: topics and limits as the runtime takes them, and machines of the rules.

Apart from `processor.app`, so that commands which only talk to Kafka do not import Faust.
"""

from __future__ import annotations

from processor.config import Settings
from processor.connection import client_options
from processor.rules.forgetting import DAY_MS, Retention
from processor.rules.machine import Machine
from processor.runtime.config import RuntimeConfig
from schemas import topics


def make_machine(
    settings: Settings, partition: int, partitions: int, *, reports: bool = False
) -> Machine:
    """Make the empty machine of a partition, of `partitions`; `reports`: see `Machine`."""
    return Machine(
        partition,
        topic_prefix=settings.topic_prefix,
        retention=Retention(
            closed_ms=settings.closed_retention_days * DAY_MS,
            asset_ms=settings.asset_retention_days * DAY_MS,
            forgotten_ms=settings.forgotten_retention_days * DAY_MS,
        ),
        partitions=partitions,
        any_partitioner=settings.any_partitioner,
        reports=reports,
    )


def runtime_config(settings: Settings) -> RuntimeConfig:
    """Translate the settings for the runtime, which knows neither prefixes nor our topics."""

    def name(topic: topics.Topic) -> str:
        return topics.prefixed(topic, settings.topic_prefix)

    return RuntimeConfig(
        group_id=settings.group,
        bootstrap_servers=settings.servers,
        inputs=tuple(name(topic) for topic in topics.INPUTS),
        changelogs={table: name(topic) for table, topic in topics.CHANGELOGS.items()},
        output=name(topics.ORDER_HALTED),
        rejected=name(topics.REJECTED),
        positions=name(topics.POSITIONS),
        journal=name(topics.JOURNAL),
        commit_interval_seconds=settings.commit_interval_ms / 1000,
        one_by_one=settings.one_by_one,
        transaction_timeout_ms=settings.transaction_timeout_ms,
        session_timeout_ms=settings.session_timeout_ms,
        instance_id=settings.instance_id,
        max_poll_records=settings.max_poll_records,
        client_options=client_options(settings),
    )
