"""Options that several commands share, each with its `ORDERHALT_…` variable, and reading them.

An option's name, its variable, its key in the file and the field of `Settings` are the same word, so
that there is one list of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from processor.config import (
    CONFIG_VARIABLE,
    ENV_PREFIX,
    ConfigurationError,
    Loaded,
    Settings,
    load_traced,
)

Command = TypeVar("Command", bound=Callable[..., Any])


class _Setting(click.Option):
    """Leaves its variable and its type to `Settings`, which reports all faults at once."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        return None


def setting(name: str, text: str, **kwargs: Any) -> Callable[[Command], Command]:
    """Make the option of one field of `Settings`; not given, the others count (`config.load`)."""
    return click.option(
        "--" + name.replace("_", "-"),
        name,
        cls=_Setting,
        default=None,
        envvar=ENV_PREFIX + name.upper(),
        show_envvar=True,
        help=text,
        **kwargs,
    )


bootstrap_servers = setting(
    "bootstrap_servers", "Where Kafka is found: HOST:PORT, several by comma [127.0.0.1:9092]."
)
topic_prefix = setting("topic_prefix", "Put before every topic name, and before the group's.")
group_id = setting("group_id", "Consumer group [the prefix and `orderhalt`].")
allow_create_time = setting(
    "allow_create_time",
    "Accept inputs with their producers' clocks instead of the broker's.",
    is_flag=True,
)

any_partitioner = setting(
    "any_partitioner", "Do not check by which partitioner records came.", is_flag=True
)


config_file = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="A TOML file with settings; options and variables beat it (see `orderhalt config`).",
)
as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="ORDERHALT_JSON",
    show_envvar=True,
    help="Write JSON, for scripts.",
)


def kafka(command: Command) -> Command:
    """Add what every command needs that talks to Kafka."""
    return bootstrap_servers(topic_prefix(config_file(command)))


def retention(command: Command) -> Command:
    """Add what decides when the rules forget (contract.md §7)."""
    for name, text in (
        ("forgotten_retention_days", "Keep ids of forgotten orders for this [400]."),
        ("asset_retention_days", "Forget marks of assets after this [90]."),
        ("closed_retention_days", "Forget closed orders after this [7]."),
    ):
        command = setting(name, text, metavar="INTEGER")(command)
    return command


def settings(config_file: Path | None = None, **options: Any) -> Settings:
    """Read the settings; ends the command with every fault at once."""
    return traced_settings(config_file, **options).settings


def traced_settings(config_file: Path | None = None, **options: Any) -> Loaded:
    """Read the settings, and where each comes from."""
    try:
        return load_traced(config_file, **options)
    except ConfigurationError as error:
        raise click.UsageError(f"The configuration cannot be used:\n{error}") from None
