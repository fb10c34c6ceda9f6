"""The command `orderhalt`: one module a command, imported only when that command is run."""

from __future__ import annotations

import importlib
from typing import Final

import click

#: Every command in the order of the help, with its short help: asking for the list imports nothing.
COMMANDS: Final = {
    "worker": "Run one worker of the consumer group, until SIGTERM or Ctrl-C.",
    "topics": "Create the topics, or check that they are as they must be.",
    "skip": "Set one poison record aside, so that its partition can go on.",
    "kafka": "Run a local Apache Kafka, until SIGTERM or Ctrl-C.",
    "simulate": "Make the events of seeded, realistic shops.",
    "replay": "Apply recorded events without a broker and write the halts.",
    "demo": "Show it all at once: a Kafka, two workers, shops, and the halts, live.",
}

_EPILOG: Final = """\b
Kafka is found by --bootstrap-servers or ORDERHALT_BOOTSTRAP_SERVERS. Every option has a
variable: the one that its help names, else ORDERHALT_<COMMAND>_<OPTION>.

\b
Exit codes:
   0  done
   1  could not be done; the message says why and what to do
   2  wrong usage
  69  worker: Kafka cannot be reached at the start; start it again
  70  worker: fail-stop, nothing was committed after the fault; start it again
  78  worker: refused to start, starting again does not help; the message names the remedy
"""


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
    epilog=_EPILOG,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "ORDERHALT",
        "max_content_width": 100,
    },
)
@click.version_option(None, "-V", "--version", package_name="orderhalt")
def main() -> None:
    """Say which orders are halted, why, and what the studio can do about it."""
