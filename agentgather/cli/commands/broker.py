"""``broker`` and ``broker token``: a public relay, and who may register at it."""

from typing import Final

import click

from agentgather.cli.lazy_group import CONTEXT_SETTINGS, LazyGroup, Table

_HERE: Final = "agentgather.cli.commands"
BROKER_COMMANDS: Final[Table] = {
    "serve": (f"{_HERE}.broker_serve:serve", "run a broker"),
    "token": (f"{_HERE}.broker:token", "add, list and revoke registration tokens"),
}
TOKEN_COMMANDS: Final[Table] = {
    "add": (f"{_HERE}.broker_token:add", "make a registration token"),
    "list": (f"{_HERE}.broker_token:list_tokens", "list the registration tokens"),
    "revoke": (f"{_HERE}.broker_token:revoke", "end a registration token"),
}


@click.group(
    cls=LazyGroup,
    table=BROKER_COMMANDS,
    context_settings=CONTEXT_SETTINGS,
    short_help="run a public relay for rooms",
    help="""Run a public relay: hosts connect to it, and participants reach their rooms through it.

\b
  agentgather broker serve --public-url https://rooms.example --trusted-proxy loopback
  agentgather broker token add ada --expires 30d
""",
)
def broker() -> None:
    """Hold the broker commands."""


@click.group(
    cls=LazyGroup,
    table=TOKEN_COMMANDS,
    context_settings=CONTEXT_SETTINGS,
    short_help="add, list and revoke registration tokens",
    help="""Decide who may register at a broker that runs with `--registration token`.

These commands work on the broker's state directory, also while it runs: a token counts, or
counts no more, with the next registration. Rooms that are published already stay so.
""",
)
def token() -> None:
    """Hold the token commands."""
