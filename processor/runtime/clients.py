"""Make the Kafka clients; every option that matters for exactly-once stands here, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

if TYPE_CHECKING:
    from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor

    from processor.runtime.config import RuntimeConfig

#: Far above any transaction timeout: aiokafka repeats EndTxn after this, and a delayed first one
#: could then end a later transaction. The worker stops long before (`commit_timeout_seconds`).
_REQUEST_TIMEOUT_MS = 40_000
#: The broker may answer the first send of a transaction with a retriable error while it completes
#: the last one; aiokafka's default of 100 would be added to the latency.
_RETRY_BACKOFF_MS = 20
#: Of produce batches. Well below the least `max.message.bytes` of our topics, which counts for a
#: whole batch; a record that is larger travels alone.
_BATCH_BYTES = 512 * 1024
#: How long the broker holds back an empty answer. It delays what was sought or resumed meanwhile,
#: and every answer costs CPU in an idle worker.
_FETCH_MAX_WAIT_MS = 500


def bootstrap(config: RuntimeConfig) -> dict[str, Any]:
    """Return the arguments that every client takes."""
    return {"bootstrap_servers": list(config.bootstrap_servers), **config.client_options}


def transactional_producer(config: RuntimeConfig, partition: int) -> AIOKafkaProducer:
    """Make the producer of one partition; starting it fences whoever had its id."""
    return AIOKafkaProducer(
        client_id=f"{config.group_id}-{partition}",
        transactional_id=config.transactional_id(partition),
        transaction_timeout_ms=config.transaction_timeout_ms,
        max_batch_size=_BATCH_BYTES,
        linger_ms=0,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        **bootstrap(config),
    )


def group_consumer(
    config: RuntimeConfig,
    assignor: AbstractPartitionAssignor,
    *,
    heartbeat_interval_ms: int,
    rebalance_timeout_ms: int,
    max_poll_interval_ms: int,
) -> AIOKafkaConsumer:
    """Make the consumer of the inputs.

    It never commits: offsets are committed in the partition's transaction. `earliest` is never
    followed silently: every position it would move to is checked (`batches.Cursor`).
    """
    return AIOKafkaConsumer(
        client_id=config.group_id,
        group_id=config.group_id,
        group_instance_id=config.instance_id,
        partition_assignment_strategy=[assignor],
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=config.max_poll_records,
        fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
        session_timeout_ms=config.session_timeout_ms,
        heartbeat_interval_ms=heartbeat_interval_ms,
        rebalance_timeout_ms=rebalance_timeout_ms,
        max_poll_interval_ms=max_poll_interval_ms,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        **bootstrap(config),
    )


def reader(config: RuntimeConfig, *, committed: bool = True) -> AIOKafkaConsumer:
    """Make a consumer outside of any group, for changelogs and offsets."""
    return AIOKafkaConsumer(
        client_id=f"{config.group_id}-reader",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 << 20,
        max_poll_records=5_000,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        **bootstrap(config),
    )


def admin(config: RuntimeConfig) -> AIOKafkaAdminClient:
    """Make an admin client."""
    return AIOKafkaAdminClient(
        client_id=f"{config.group_id}-admin",
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
        retry_backoff_ms=_RETRY_BACKOFF_MS,
        **bootstrap(config),
    )
