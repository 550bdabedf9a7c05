"""``completion``: print the script with which a shell completes our command lines."""

import click

from agentgather.cli.completing import SHELLS, script_for
from agentgather.cli.context import Context
from agentgather.cli.options import json_option


@click.command(
    short_help="print a shell's completion script",
    help="""Print the script with which SHELL completes commands, flags and their values, rooms and
aliases. One line installs it; it counts in the shells that are opened after that:

\b
  echo 'eval "$(agentgather completion bash)"' >> ~/.bashrc
  echo 'eval "$(agentgather completion zsh)"' >> ~/.zshrc
  agentgather completion fish > ~/.config/fish/completions/agentgather.fish

Of zsh, `compinit` must have run before. At each TAB the program itself is asked. It reads the
home, and asks no server.
""",
)
@click.argument("shell", type=click.Choice(tuple(SHELLS)), metavar="bash|zsh|fish")
@json_option
@click.pass_context
def completion(click_context: click.Context, shell: str) -> None:
    """Print a script."""
    context: Context = click_context.obj
    group = click_context.find_root().command
    script = script_for(shell, group)
    context.emit({"ok": True, "shell": shell, "script": script}, script.rstrip("\n"))
