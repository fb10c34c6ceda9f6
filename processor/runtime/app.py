"""The Faust app: Faust's frame with this runtime in the places that Faust leaves open.

Faust keeps the lifecycle: services, the worker, signals, topics, agents, tables, the group protocol's
callbacks. What is ours: batches instead of records, commits, changelogs, recovery, assignment.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, cast

import faust
from faust.app.base import BootStrategy as FaustBootStrategy
from faust.serializers.schemas import Schema
from faust.tables.manager import TableManager as FaustTableManager
from yarl import URL

from processor.runtime import failstop, garbage
from processor.runtime.config import RuntimeConfig
from processor.runtime.membership import Membership
from processor.runtime.protocol import MachineFactory, Observer
from processor.runtime.runtime import Runtime
from processor.runtime.tables import Table
from schemas.errors import StateRefused

#: Asked before the app starts: raises StateRefused, or failstop.KafkaUnavailable.
Preflight = Callable[[Runtime], Awaitable[None]]

#: A member learns of a rebalance from the answer to a heartbeat, and until all have joined again
#: those who came first wait for the last: up to so long.
_HEARTBEAT_SECONDS: Final = 0.3
_REBALANCE_TIMEOUT_SECONDS: Final = 20.0
#: A member that fetches nothing for so long leaves the group: its event loop must be stuck.
_MAX_POLL_INTERVAL_SECONDS: Final = 300.0
#: Practically unbounded: see `Runtime.send_off`.
_QUEUED_BATCHES: Final = 1_000_000
_NEVER_SECONDS: Final = 3600.0
#: From SIGTERM to the end, whatever hangs.
_STOP_WITHIN_SECONDS: Final = 9.0


class BatchSchema(Schema):  # type: ignore[type-arg]
    """A message's value is a Batch already: nothing to decode."""

    def compile(self, app: Any, **_kwargs: Any) -> Callable[..., Awaitable[Any]]:
        """Return the decoder of Faust's inner loop."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return app.create_event(None, message.value, {}, message)

        return decode


class BootStrategy(FaustBootStrategy):
    """Start everything but the web server, whatever the command line of `faust worker` says."""

    enable_web = False
    #: Partitions have producers of their own; Faust's would be one more connection for nothing.
    enable_kafka_producer = False


class TableManager(FaustTableManager):
    """Tells the membership of assignments, and recovers nothing by itself."""

    app: Any

    def __init__(self, app: Any, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._settled_once = asyncio.Event()

    @property
    def changelog_topics(self) -> set[str]:
        """Say that there is none: Faust must not subscribe to our changelogs."""
        return set()

    async def on_start(self) -> None:
        """Start the tables, without the second that Faust sleeps here."""
        self._tables_finalized.set()
        for table in self.values():
            await table.maybe_start()
        self._tables_registered.set()

    def on_partitions_revoked(self, revoked: Any) -> None:
        """Stop to apply records at once: Faust calls this first, in a rebalance and at the end."""
        self.app.membership.revoked()

    async def on_rebalance(
        self, assigned: Any, revoked: Any, newly_assigned: Any, generation_id: int = 0
    ) -> None:
        """Take over an assignment; returns at once."""
        self.app.membership.assigned(set(assigned), self._settled)

    def _settled(self) -> None:
        self.on_actives_ready()
        self.on_standbys_ready()
        self.app.on_rebalance_end()
        garbage.settle()
        self._settled_once.set()

    async def wait_until_recovery_completed(self) -> bool:
        """Wait for the first assignment to be taken over."""
        return bool(await self.wait_for_stopped(cast("Any", self._settled_once)))

    async def on_stop(self) -> None:
        """Stop fetching, then give everything up."""
        await self.app.stop_fetching()
        await self.app.membership.stop()
        for table in self.values():
            await table.stop()

    def persist_offset_on_commit(self, *_args: Any) -> None:
        """Do nothing: positions are in the state."""

    def on_commit(self, *_args: Any) -> None:
        """Do nothing, as above."""


class App(faust.App):
    """A Faust app whose agents get batches and whose partitions commit exactly once."""

    BootStrategy = BootStrategy

    def __init__(
        self,
        config: RuntimeConfig,
        machine_factory: MachineFactory,
        *,
        observer: Observer | None = None,
        preflight: Preflight | None = None,
        logging_config: dict[str, Any] | None = None,
    ) -> None:
        """Make it; `logging_config`: for Faust's own command, which sets up logging by itself."""
        self.runtime = Runtime(config, machine_factory, observer or Observer())
        self.membership = Membership(self.runtime, self)
        self._preflight = preflight
        super().__init__(config.group_id, logging_config=logging_config, **_faust_settings(config))

    def input(self, name: str) -> Any:
        """Declare an input topic; its agents iterate over batches."""
        return self.topic(name, schema=BatchSchema(), acks=False)

    async def on_first_start(self) -> None:
        """Check before anything starts. Makes no directories: nothing is kept on disk."""
        self.runtime.observer.starting()
        if self._preflight is None:
            return
        try:
            await self._preflight(self.runtime)
        except StateRefused as refusal:
            failstop.refuse(refusal)
        except failstop.KafkaUnavailable as error:
            failstop.stop(
                str(error),
                remedy="Start Kafka, or set --bootstrap-servers or ORDERHALT_BOOTSTRAP_SERVERS; then "
                "start this worker again.",
                code=failstop.EXIT_UNAVAILABLE,
            )

    async def on_stop(self) -> None:
        """Commit and give up, then leave the group; and be gone in time in any case."""
        self.runtime.observer.stopping()
        # Open windows are committed first, so that being cut off later costs nothing.
        failstop.stop_after(_STOP_WITHIN_SECONDS)
        await super().on_stop()

    def _on_rebalance_when_stopped(self) -> None:
        """Do nothing: everything has been given up, and the consumer leaves the group by itself."""

    async def start_fetching(self) -> None:
        """Start the service that runs the drain loop, if it does not run."""
        await self._fetcher.maybe_start()

    async def stop_fetching(self) -> None:
        """Stop the service that runs the drain loop."""
        await self._fetcher.stop()

    async def _on_agent_error(self, agent: Any, error: BaseException) -> None:
        failstop.stop(
            f"agent {agent.name} failed: {type(error).__name__}: {error}",
            remedy="This is a bug; nothing since the last commit was committed. Please report it.",
            error=error,
        )


def _faust_settings(config: RuntimeConfig) -> dict[str, Any]:
    return {
        "broker": [URL(f"orderhalt://{server}") for server in config.bootstrap_servers],
        "store": "shard://",
        "Table": Table,
        "TableManager": TableManager,
        "autodiscover": False,
        "web_enabled": False,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "stream_buffer_maxsize": _QUEUED_BATCHES,
        "stream_wait_empty": True,
        "consumer_group_instance_id": config.instance_id,
        "broker_commit_interval": _NEVER_SECONDS,
        "broker_session_timeout": config.session_timeout_ms / 1000,
        "broker_heartbeat_interval": _HEARTBEAT_SECONDS,
        "broker_rebalance_timeout": _REBALANCE_TIMEOUT_SECONDS,
        "broker_max_poll_interval": _MAX_POLL_INTERVAL_SECONDS,
        "broker_max_poll_records": config.max_poll_records,
        "broker_request_timeout": 40.0,
        "key_serializer": "raw",
        "value_serializer": "raw",
        # Faust insists on a directory name; nothing is ever put there.
        "datadir": Path(tempfile.gettempdir()) / "orderhalt-unused",
    }
