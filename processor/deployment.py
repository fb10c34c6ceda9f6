"""What the settings come to in names and limits: the topics of a deployment, as the runtime takes them.

Apart from `processor.app`, so that commands which only talk to Kafka do not import Faust.
"""

from __future__ import annotations

from processor.config import Settings
from processor.connection import client_options
from processor.runtime.config import RuntimeConfig
from schemas import topics


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
