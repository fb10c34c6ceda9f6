"""Private names of Faust, mode and aiokafka that the runtime overrides or reads.

A release that renames one must fail here, loudly, and not in a worker.
"""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points, version

import pytest
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState, TopicPartitionState
from faust.app.base import App, BootStrategy
from faust.tables.manager import TableManager
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from mode.worker import Worker


def test_the_versions_that_this_was_written_against() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(
    ("owner", "name", "arguments"),
    [
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (
            driver.AIOKafkaConsumerThread,
            "_fetch_records",
            ["self", "consumer", "active_partitions", "timeout", "max_records"],
        ),
        (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
        (driver.AIOKafkaConsumerThread, "__post_init__", ["self"]),
        (driver.AIOKafkaConsumerThread, "on_partitions_revoked", ["self", "revoked"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "commit", ["self", "topics", "start_new_transaction"]),
        (driver.Consumer, "wait_empty", ["self"]),
        (driver.Consumer, "perform_seek", ["self"]),
        (driver.Consumer, "verify_all_partitions_active", ["self"]),
        (driver.Consumer, "on_buffer_full", ["self", "tp"]),
        (driver.Consumer, "on_buffer_drop", ["self", "tp"]),
        (driver.Consumer, "_drain_messages", ["self", "fetcher"]),
        (driver.Consumer, "_getmany", ["self", "active_partitions", "timeout"]),
        (driver.Consumer, "_get_active_partitions", ["self"]),
        (TableManager, "on_start", ["self"]),
        (TableManager, "on_stop", ["self"]),
        (TableManager, "on_partitions_revoked", ["self", "revoked"]),
        (TableManager, "wait_until_recovery_completed", ["self"]),
        (
            TableManager,
            "on_rebalance",
            ["self", "assigned", "revoked", "newly_assigned", "generation_id"],
        ),
        (App, "_on_agent_error", ["self", "agent", "exc"]),
        (App, "_on_rebalance_when_stopped", ["self"]),
        (App, "on_first_start", ["self"]),
        (App, "on_stop", ["self"]),
        (Worker, "_sentinel_task", ["self"]),
    ],
)
def test_overridden_methods(owner: type, name: str, arguments: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == arguments


def test_names_that_are_read() -> None:
    assert BootStrategy.enable_web is None
    assert hasattr(SubscriptionState, "fetch_context")
    assert isinstance(TopicPartitionState.position, property)
    assert isinstance(TopicPartitionState.has_valid_position, property)
    assert "self._subscriptions" in inspect.getsource(Fetcher.__init__)
    assert "self._records" in inspect.getsource(Fetcher.__init__)
    assert "self._partition_records" in inspect.getsource(FetchResult.__init__)
    assert "self._records_iterator" in inspect.getsource(PartitionRecords.__init__)
    assert "self.next_fetch_offset" in inspect.getsource(PartitionRecords.__init__)
    source = inspect.getsource(driver.AIOKafkaConsumerThread._fetch_records)
    assert "fetched_records" in source
    source = inspect.getsource(faust_consumer.Consumer)
    assert "_paused_partitions" in source
    assert "can_resume_flow" in source


def test_order_of_faust_when_partitions_are_revoked() -> None:
    """First nothing more is applied, then the open windows are committed."""
    for method in (App._on_partitions_revoked, App._stop_consumer):
        source = inspect.getsource(method)
        assert source.index(
            "on_partitions_revoked)(revoked)"
            if "T(self" in source
            else "tables.on_partitions_revoked"
        ) < source.index("_consumer_wait_empty")


def test_the_entry_points_are_installed() -> None:
    transports = {point.name: point.value for point in entry_points(group="faust.transports")}
    stores = {point.name: point.value for point in entry_points(group="faust.stores")}
    assert transports["orderhalt"] == "processor.runtime.transport:Transport"
    assert stores["shard"] == "processor.runtime.tables:ShardStore"
