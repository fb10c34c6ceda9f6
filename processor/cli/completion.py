"""`orderhalt completion`: what a shell needs to complete commands, options and codes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EPILOG = """
\b
Examples:
  eval "$(orderhalt completion bash)"                                     in ~/.bashrc
  eval "$(orderhalt completion zsh)"                                      in ~/.zshrc
  orderhalt completion fish > ~/.config/fish/completions/orderhalt.fish
"""


@click.command(name="completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Write a script that lets SHELL complete commands, options and codes."""
    kind = get_completion_class(shell)
    assert kind is not None, "click completes in all three"
    click.echo(kind(ctx.find_root().command, {}, "orderhalt", "_ORDERHALT_COMPLETE").source())
