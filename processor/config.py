"""The configuration: one frozen object, read once from options, `ORDERHALT_…` variables and a file.

    option, else variable, else file (TOML, one), else default

All faults are reported at once, each under the name of the place that it comes from.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from processor import tls

ENV_PREFIX: Final = "ORDERHALT_"
#: Names the file; no setting, for it cannot stand in the file.
CONFIG_VARIABLE: Final = ENV_PREFIX + "CONFIG"

_SERVER: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s,:/\[\]]+):\d{1,5}")
#: What Kafka takes in a topic name; our own names take up to 40 of its 249 characters.
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,200}")

Positive = Annotated[int, Field(ge=1)]
SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]


class ConfigurationError(Exception):
    """The configuration cannot be used; lists every fault, one a line."""


class Settings(BaseSettings):
    """What a deployment may choose. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        validate_default=True,
        use_attribute_docstrings=True,
    )

    bootstrap_servers: str = "127.0.0.1:9092"
    """Where Kafka is found: `host:port`, several by comma."""
    topic_prefix: str = ""
    """Put before every topic name; deployments with different prefixes share nothing."""
    group_id: str = ""
    """Consumer group and stem of the transactional ids; empty: the prefix and `orderhalt`."""
    instance_id: str | None = None
    """Static membership: a name that this worker keeps over restarts, unique in the group."""

    security_protocol: SecurityProtocol = "PLAINTEXT"
    """How Kafka is spoken to: in the clear or with TLS (SSL), and whether we log in (SASL)."""
    ssl_ca_file: Path | None = None
    """Certificates (PEM) that the brokers' are checked against; None: those of the system."""
    ssl_certificate_file: Path | None = None
    """Our own certificate (PEM), where the brokers ask for one."""
    ssl_key_file: Path | None = None
    """Its private key (PEM); None: it is in the certificate's file."""
    ssl_key_password: SecretStr | None = None
    """What the private key is encrypted with."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is proven."""
    sasl_username: str | None = None
    """Who we are; needed with SASL."""
    sasl_password: SecretStr | None = None
    """Our password; needed with SASL."""

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

    @field_validator("*", mode="before")
    @classmethod
    def _nothing(cls, value: Any, info: ValidationInfo) -> Any:
        """Take an empty text for nothing, where there may be nothing: a variable cannot be null."""
        assert info.field_name is not None
        return None if value == "" and cls.model_fields[info.field_name].default is None else value

    @field_validator("bootstrap_servers", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Take a list too, as it is written in a file."""
        return ",".join(map(str, value)) if isinstance(value, list) else value

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

    @field_validator("ssl_ca_file", "ssl_certificate_file", "ssl_key_file", "ssl_key_password")
    @classmethod
    def _tls(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("security_protocol")
        if value is not None and protocol not in (None, "SSL", "SASL_SSL"):
            raise ValueError(f"is of no use with security_protocol {protocol}; set SSL or SASL_SSL")
        certificate = info.data.get("ssl_certificate_file")
        if info.field_name == "ssl_ca_file":
            tls.check_authorities(value)
        elif info.field_name == "ssl_key_file" and value is not None and certificate is None:
            raise ValueError("is of no use without ssl_certificate_file")
        elif info.field_name == "ssl_key_password" and certificate is not None:
            # The last of them: what belongs together is there, unless it has a fault of its own.
            tls.check_certificate(certificate, info.data.get("ssl_key_file"), reveal(value))
        return value

    @field_validator("sasl_username", "sasl_password")
    @classmethod
    def _sasl(cls, value: Any, info: ValidationInfo) -> Any:
        protocol = info.data.get("security_protocol")
        if protocol is not None and protocol.startswith("SASL") and not value:
            raise ValueError(f"is needed with security_protocol {protocol}")
        if value and protocol in ("PLAINTEXT", "SSL"):
            raise ValueError(f"is of no use with security_protocol {protocol}; set SASL_SSL")
        return value

    @property
    def group(self) -> str:
        """The consumer group."""
        return self.group_id or f"{self.topic_prefix}orderhalt"

    @property
    def servers(self) -> tuple[str, ...]:
        """The bootstrap servers one by one."""
        return tuple(self.bootstrap_servers.split(","))


def reveal(secret: SecretStr | None) -> str | None:
    """Give a secret in the clear, for whom it is meant."""
    return None if secret is None else secret.get_secret_value()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    kind: Literal["option", "variable", "file", "default"]
    name: str
    """As it is written there."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and of each where its value comes from."""

    settings: Settings
    origins: Mapping[str, Origin]
    file: Path | None


def load(config_file: str | Path | None = None, **options: Any) -> Settings:
    """Read the settings; an option that is None is not given. `config_file`: see `load_traced`.

    Raises ConfigurationError with all faults.
    """
    return load_traced(config_file, **options).settings


def load_traced(config_file: str | Path | None = None, **options: Any) -> Loaded:
    """Read the settings, and note where each comes from; the file is that of ORDERHALT_CONFIG else.

    Raises ConfigurationError with all faults.
    """
    named = config_file or os.environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else None
    values, faults = _read_file(path) if path is not None else ({}, [])
    given = {name: value for name, value in options.items() if value is not None}
    origins = {name: _origin(name, given, values, path) for name in Settings.model_fields}
    try:
        settings = _with_file(values)(**given)
    except ValidationError as error:
        faults += _faults(error, origins)
    else:
        if not faults:
            return Loaded(Settings.model_construct(**dict(settings)), origins, path)
    raise ConfigurationError("\n".join(faults))


def _with_file(values: Mapping[str, Any]) -> type[Settings]:
    """Give the settings class with what the file says beneath options and variables."""

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - there is none
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - nor are there these
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, dict(values))

    return FromFile


def _read_file(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Read the file; give its values, and its faults as a whole."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        return {}, [f"{path}: cannot be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path}: is not TOML: {error}"]
    return values, [_unknown(path, name) for name in values if name not in Settings.model_fields]


def _unknown(path: Path, name: str) -> str:
    close = get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {close[0]}?" if close else ", see `orderhalt config`"
    return f"{path}: {name}: there is no such setting{hint}"


def _origin(
    name: str, given: Mapping[str, Any], values: Mapping[str, Any], path: Path | None
) -> Origin:
    if name in given:
        return Origin("option", "--" + name.replace("_", "-"))
    variable = ENV_PREFIX + name.upper()
    # Pydantic takes a variable in any case.
    if variable in {known.upper() for known in os.environ}:
        return Origin("variable", variable)
    if name in values:
        return Origin("file", f"{path}: {name}")
    return Origin("default", variable)


def _faults(error: ValidationError, origins: Mapping[str, Origin]) -> Iterator[str]:
    for fault in error.errors():
        name = str(fault["loc"][0]) if fault["loc"] else ""
        message = fault["msg"].removeprefix("Value error, ")
        yield f"{origins[name].name}: {message}" if name in origins else message
