"""The processor, put together: topics, tables, agents, and the machine of a partition.

`faust -A processor.app worker -l info` and `orderhalt worker` both run `app`, which is made from the
`ORDERHALT_…` variables when it is first asked for.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from processor import agents, logs, topicadmin
from processor.config import ConfigurationError, Settings, load
from processor.deployment import make_machine, runtime_config
from processor.metrics.service import Service
from processor.rules.machine import Machine
from processor.runtime.app import App
from processor.runtime.failstop import EXIT_REFUSED
from processor.runtime.protocol import Observer
from processor.runtime.runtime import Runtime
from schemas import topics

#: Which agent takes which topic.
AGENTS: Final = (
    (topics.ORDER_PLACED, agents.order_placed),
    (topics.ORDER_CANCELLED, agents.order_cancelled),
    (topics.ORDER_REINSTATED, agents.order_reinstated),
    (topics.ASSET_DELETED, agents.asset_deleted),
    (topics.ASSET_RESTORED, agents.asset_restored),
    (topics.LAB_TRANSFER, agents.lab_transfer),
    (topics.BALANCE_CHANGED, agents.balance_changed),
)


def create_app(settings: Settings, observer: Observer | None = None) -> App:
    """Make the Faust app of one worker; `observer`: instead of metrics and health."""
    machines = _Machines(settings)
    config = runtime_config(settings)
    observer = observer or Service(settings, config)

    async def preflight(runtime: Runtime) -> None:
        found = await topicadmin.preflight(settings)
        machines.partitions = found.partitions
        runtime.rejected_limit_bytes = found.rejected_limit_bytes

    app = App(
        config,
        machines.create,
        observer=observer,
        preflight=preflight,
        logging_config=logs.for_faust(),
    )
    for topic, agent in AGENTS:
        name = topics.prefixed(topic, settings.topic_prefix)
        app.agent(app.input(name), name=topic.name)(agent)
    for table, topic in topics.CHANGELOGS.items():
        app.Table(
            table,
            changelog_topic=app.topic(topics.prefixed(topic, settings.topic_prefix)),
            key_type=bytes,
            value_type=bytes,
        )
    return app


class _Machines:
    """Makes the machine of a partition, once the start check knows how many there are."""

    def __init__(self, settings: Settings) -> None:
        self.partitions: int | None = None
        self._settings = settings

    def create(self, partition: int) -> Machine:
        assert self.partitions is not None, "machines are made after the start check"
        return make_machine(self._settings, partition, self.partitions, reports=True)


def __getattr__(name: str) -> Any:
    """Make `app` when `faust -A processor.app` asks for it; importing this module makes nothing."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        settings = load()
    except ConfigurationError as error:
        sys.stderr.write(f"The configuration cannot be used:\n{error}\n")
        raise SystemExit(EXIT_REFUSED) from None
    globals()["app"] = app = create_app(settings)
    return app
