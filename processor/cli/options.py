"""Options that several commands share, each with its `ORDERHALT_…` variable, and reading them.

An option's name, its variable and the field of `Settings` are the same word, so that there is one
list of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import click

from processor.config import ENV_PREFIX, ConfigurationError, Settings, load

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(name: str, text: str, **kwargs: Any) -> Callable[[Command], Command]:
    """Make the option of one field of `Settings`; not given, the variable or the default counts."""
    return click.option(
        "--" + name.replace("_", "-"),
        name,
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


def settings(**options: Any) -> Settings:
    """Read the settings; ends the command with every fault at once."""
    try:
        return load(**options)
    except ConfigurationError as error:
        raise click.UsageError(f"The configuration cannot be used:\n{error}") from None


def stop(message: str, code: int = 1) -> NoReturn:
    """End the command with a message on standard error."""
    click.echo(message, err=True)
    raise SystemExit(code)
