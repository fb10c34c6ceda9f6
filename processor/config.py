"""The configuration: one frozen object, read once from `ORDERHALT_…` variables and options.

All faults are reported at once. Every command line option has its field here and its variable.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX: Final = "ORDERHALT_"

_SERVER: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s,:/\[\]]+):\d{1,5}")
#: What Kafka takes in a topic name; our own names take up to 40 of its 249 characters.
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,200}")

Positive = Annotated[int, Field(ge=1)]


class ConfigurationError(Exception):
    """The configuration cannot be used; lists every fault, one a line."""


class Settings(BaseSettings):
    """What a deployment may choose. Units are in the names."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    bootstrap_servers: str = "127.0.0.1:9092"
    """Where Kafka is found: `host:port`, several by comma."""
    topic_prefix: str = ""
    """Put before every topic name; deployments with different prefixes share nothing."""
    group_id: str = ""
    """Consumer group and stem of the transactional ids; empty: the prefix and `orderhalt`."""
    instance_id: str | None = None
    """Static membership: a name that this worker keeps over restarts, unique in the group."""

    commit_interval_ms: Annotated[int, Field(ge=5, le=10_000)] = 100
    """From the first change of a commit window to its transaction."""
    transaction_timeout_ms: Annotated[int, Field(ge=2_000, le=30_000)] = 10_000
    """After this the broker aborts a transaction; a worker stops after 0.8 of it.

    Well below the 40 s after which aiokafka repeats a request."""
    session_timeout_ms: Annotated[int, Field(ge=3_000, le=300_000)] = 6_000
    """After this without a heartbeat a worker's partitions go to others."""
    max_poll_records: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Records that are applied without a pause in between, at most."""
    one_by_one: bool = False
    """One record per transaction, to find the one at fault; slow."""

    any_partitioner: bool = False
    """Take records from any partition; else from the one of Kafka's default partitioner."""
    allow_create_time: bool = False
    """Accept inputs whose record timestamps are their producers' clocks (contract.md §7)."""
    closed_retention_days: Positive = 7
    """A closed order is forgotten so long after the last event that named it."""
    asset_retention_days: Positive = 90
    """A mark of an asset is forgotten so long after its last event."""
    forgotten_retention_days: Positive = 400
    """The id of a forgotten order that was ever halted is kept so long."""

    admin_host: str = "127.0.0.1"
    """Where health and metrics are served; `0.0.0.0` for scrapers of other hosts."""
    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    """Port of health and metrics; 0, or where it is taken: a free one, which the log names."""
    overdue_age_hours: Annotated[float, Field(gt=0, le=24 * 366)] = 72
    """An order in flight that is not halted and older than this counts as overdue."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers(cls, value: str) -> str:
        servers = [server.strip() for server in value.split(",")]
        for server in servers:
            if not _SERVER.fullmatch(server):
                raise ValueError(f"{server!r} is not host:port")
        return ",".join(servers)

    @field_validator("topic_prefix", "group_id")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _PREFIX.fullmatch(value):
            raise ValueError("use up to 200 letters, digits, dots, underscores and hyphens")
        return value

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.group_id or f"{self.topic_prefix}orderhalt"

    @property
    def servers(self) -> tuple[str, ...]:
        """The bootstrap servers one by one."""
        return tuple(self.bootstrap_servers.split(","))


def load(**options: Any) -> Settings:
    """Read the settings; an option that is not None beats its variable.

    Raises ConfigurationError with all faults.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_faults(error))) from None


def _faults(error: ValidationError) -> list[str]:
    faults = []
    for fault in error.errors():
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        faults.append(f"{ENV_PREFIX}{name.upper()}: {message}" if name else message)
    return faults
