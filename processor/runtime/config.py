"""What the runtime must know of its deployment: one frozen object, made once by the application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeConfig:
    """Topic names as the broker knows them, and the limits of a commit window."""

    group_id: str
    """Consumer group; also the stem of the transactional ids, `<group_id>-<partition>`."""
    bootstrap_servers: tuple[str, ...]
    inputs: tuple[str, ...]
    changelogs: Mapping[str, str]
    """Table → topic."""
    output: str
    rejected: str
    positions: str
    journal: str

    commit_interval_seconds: float = 0.1
    """From the first change of a window to its commit; it stretches when commits are slow."""
    window_soft_entries: int = 5_000
    """A window with so many changed rows, emitted and rejected records commits at once."""
    window_hard_entries: int = 20_000
    """A window with so many takes no more; the partition's inputs pause until it commits."""
    window_soft_bytes: int = 16 << 20
    """Like `window_soft_entries`, in bytes of input values."""
    window_hard_bytes: int = 64 << 20
    """Like `window_hard_entries`, in bytes of input values."""
    one_by_one: bool = False
    """One input record per transaction: slow, names the record at fault when a commit fails."""

    transaction_timeout_ms: int = 10_000
    session_timeout_ms: int = 6_000
    instance_id: str | None = None
    """Static membership of the consumer group; None: dynamic."""
    max_poll_records: int = 1_000
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Further arguments of every Kafka client: TLS, SASL. Secret, so never shown."""

    def transactional_id(self, partition: int) -> str:
        """Name the one producer that may write for `partition`; a new owner fences the old one."""
        return f"{self.group_id}-{partition}"

    @property
    def commit_timeout_seconds(self) -> float:
        """A transaction that takes longer stops the worker, before the broker could abort it."""
        return 0.8 * self.transaction_timeout_ms / 1000
