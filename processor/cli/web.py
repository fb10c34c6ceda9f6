"""`orderhalt web`: the read service, with its pages and its JSON API."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, Final

import click

from processor.cli import exits, options
from processor.cli.running import run, stop
from processor.config import ConfigurationError, Settings

EPILOG = """
\b
Examples:
  orderhalt web
  orderhalt web --photo-link 'https://shop.example/photos/{photo_id}'
  orderhalt web --host 0.0.0.0 --tokens tokens.toml --secure-cookies
\b
It reads the changelogs, is in no consumer group and writes nothing; run as many as you like. Its
API is described at /api/v1/openapi.json, /readyz tells when all has been read.
\b
The file of tokens, each made by, say, `openssl rand -hex 24`:
  [[access]]
  studio_id = "studio-7"
  token = "4f1d…"
  [[access]]
  care = true
  token = "b07c…"
\b
Links may name {studio_id}, {order_id}, {photo_id}, {product_id} and {package_id}.
"""

_NEEDED: Final = ("babel", "jinja2", "sortedcontainers", "starlette", "uvicorn")


def _web(name: str, text: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Make the option of one field of ConsoleSettings, which names its faults itself."""
    return click.option(
        "--" + name.replace("_", "-"),
        name,
        default=None,
        envvar=f"ORDERHALT_WEB_{name.upper()}",
        show_envvar=True,
        help=text,
        **kwargs,
    )


@click.command(name="web", epilog=EPILOG)
@options.kafka
@_web("host", "The address to listen on [127.0.0.1].")
@_web("port", "The port; 0 picks a free one [8321].", type=int)
@_web(
    "tokens", "File of the tokens that let people in; needed for any other address than loopback."
)
@_web("secure_cookies", "The service stands behind TLS.", is_flag=True)
@_web("order_link", "Where the shop has an order.", metavar="TEMPLATE")
@_web("photo_link", "Where the shop has a photo.", metavar="TEMPLATE")
@_web("product_link", "Where the shop has a product.", metavar="TEMPLATE")
@_web("package_link", "Where the shop has a product package.", metavar="TEMPLATE")
@_web("photo_thumbnail", "Where the shop has a photo's picture.", metavar="TEMPLATE")
def command(bootstrap_servers: str, topic_prefix: str, config_file: Any, **given: Any) -> None:
    """Show which orders are halted, why, and what to do: pages for people, JSON for programs.

    And ask it before a deletion what that would halt.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        stop(
            f"The pages cannot be served: {', '.join(missing)} is not installed.\n"
            "Install the extra `web`: pip install 'orderhalt[web]'"
        )
    settings = options.settings(
        bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix, config_file=config_file
    )
    _serve(settings, given)


def _serve(deployment: Settings, given: dict[str, Any]) -> None:
    # Imported here: they belong to the extra.
    from processor.console.serve import serve
    from processor.console.settings import load

    try:
        settings = load(**given)
    except ConfigurationError as error:
        raise click.UsageError(f"The configuration cannot be used:\n{error}") from None
    try:
        run(serve(deployment, settings, click.echo))
    except ConfigurationError as error:
        stop(str(error), exits.USAGE)
