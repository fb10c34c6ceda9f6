"""`orderhalt config`: the configuration that counts, and where each value comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, Final

import click
import orjson
from pydantic import SecretStr
from rich.text import Text

from processor.cli import options
from processor.cli.terminal import console
from processor.config import CONFIG_VARIABLE, ENV_PREFIX, Loaded, Settings

_MASK: Final = "********"

EPILOG = f"""
\b
Examples:
  orderhalt config
  orderhalt config --config /etc/orderhalt.toml --json
  orderhalt config --template > orderhalt.toml
\b
An option beats its variable, a variable the file, the file the default. Every setting has a variable,
ORDERHALT_<NAME>, and stands in the file under its name; {CONFIG_VARIABLE} names the file. Secrets have
no option, because others can see command lines, and are never shown.
Exit code 2 where the configuration cannot be used: every fault is listed.
"""


def _every_setting(command: options.Command) -> options.Command:
    """Add an option for every setting but secrets."""
    for name, field in reversed(Settings.model_fields.items()):
        text = (field.description or "").split("\n\n")[0].replace("\n", " ")
        if "SecretStr" in str(field.annotation):
            continue
        kind = {"is_flag": True} if field.annotation is bool else {"metavar": "VALUE"}
        command = options.setting(name, text, **kind)(command)
    return command


@click.command(name="config", epilog=EPILOG)
@options.as_json
@click.option("--template", is_flag=True, help="Write a file with all settings and their defaults.")
@options.config_file
@_every_setting
def command(as_json: bool, template: bool, **given: Any) -> None:
    """Show the configuration that counts, and where each value comes from."""
    if template:
        click.echo(_template(), nl=False)
        return
    loaded = options.traced_settings(**given)
    if as_json:
        click.echo(orjson.dumps(_document(loaded), option=orjson.OPT_INDENT_2))
    else:
        for line in _table(loaded):
            console().print(line)
    for variable in _read_by_nothing():
        click.echo(variable, err=True)


def _shown(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return _MASK
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _table(loaded: Loaded) -> Iterator[Text]:
    width = max(map(len, loaded.origins))
    for name, origin in loaded.origins.items():
        value = _shown(getattr(loaded.settings, name))
        written = str(value).lower() if isinstance(value, bool) else str(value or "-")
        line = Text(f"{name:<{width}}  ").append(written, "bold")
        yield line if origin.kind == "default" else line.append(f"  ({origin.name})", "cyan")
    yield Text(
        f"{'file':<{width}}  {loaded.file or f'none; --config or {CONFIG_VARIABLE} names one'}"
    )


def _document(loaded: Loaded) -> dict[str, Any]:
    return {
        "file": None if loaded.file is None else str(loaded.file),
        "settings": {
            name: {
                "value": _shown(getattr(loaded.settings, name)),
                "from": origin.kind,
                "name": origin.name,
            }
            for name, origin in loaded.origins.items()
        },
    }


def _template() -> str:
    lines = [
        "# Settings of orderhalt; `orderhalt config` shows what counts. A line without # counts.\n"
    ]
    for name, field in Settings.model_fields.items():
        lines += [f"\n# {line}".rstrip() for line in (field.description or "").splitlines()]
        default = field.default
        written = '""' if default is None else orjson.dumps(default).decode()
        lines.append(f"\n# {name} = {written}\n")
    return "".join(lines)


def _read_by_nothing() -> Iterator[str]:
    """Name the variables that look like ours and are nobody's."""
    known = {CONFIG_VARIABLE, *(ENV_PREFIX + name.upper() for name in Settings.model_fields)}
    for variable in sorted(os.environ):
        if variable.startswith(ENV_PREFIX) and variable not in known:
            close = get_close_matches(variable, known, n=1, cutoff=0.85)
            if close:
                yield f"{variable} is no setting; did you mean {close[0]}?"
