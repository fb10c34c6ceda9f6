"""The command `orderhalt`: one module a command, imported only when that command is run."""

from __future__ import annotations

import importlib
from textwrap import wrap
from typing import Final

import click

from processor.cli.exits import MEANINGS

#: Every command in the order of the help, with its short help: asking for the list imports nothing.
COMMANDS: Final = {
    "worker": "Run one worker of the consumer group, until SIGTERM or Ctrl-C.",
    "explain": "Say whether an order is halted, why, and what can be done.",
    "tail": "Follow order-halted: who is halted now, and who goes on.",
    "verify": "Check that everything was applied and published exactly once, and nothing else.",
    "rejected": "Look at what was rejected, and send it again.",
    "config": "Show the configuration that counts, and where it comes from.",
    "completion": "Write a script that lets a shell complete commands and options.",
    "topics": "Create the topics, or check that they are as they must be.",
    "skip": "Set one poison record aside, so that its partition can go on.",
    "kafka": "Run a local Apache Kafka, until SIGTERM or Ctrl-C.",
    "simulate": "Make the events of seeded, realistic shops.",
    "replay": "Apply recorded events without a broker and write the halts.",
    "web": "Show who is halted and why on pages and as JSON; ask before a deletion.",
    "demo": "Show it all at once: a Kafka, two workers, shops, and the halts, live.",
}

_EPILOG: Final = """\b
Kafka is found by --bootstrap-servers, ORDERHALT_BOOTSTRAP_SERVERS or a file that --config names;
`orderhalt config` shows what counts. Every option has a variable: the one that its help names, else
ORDERHALT_<COMMAND>_<OPTION>.

\b
Exit codes:
"""


def _exit_codes() -> str:
    """List them, wrapped beside their numbers."""
    lines = []
    for code, meaning in MEANINGS.items():
        first, *others = wrap(meaning, 90)
        lines += [f" {code:>3}  {first}", *(f"      {other}" for other in others)]
    return "\n".join(lines)


class LazyGroup(click.Group):
    """A group whose commands are `processor.cli.<name>.command`, imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of this name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"processor.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    epilog=_EPILOG + _exit_codes(),
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "ORDERHALT",
        "max_content_width": 100,
    },
)
@click.version_option(None, "-V", "--version", package_name="orderhalt")
def main() -> None:
    """Say which orders are halted, why, and what the studio can do about it."""
