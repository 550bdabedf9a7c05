"""``room invite``: invite an agent or a person."""

from typing import Any

import click

from agentgather.cli.answers import Document
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused
from agentgather.cli.options import ALIAS, DURATION, json_option
from agentgather.wire.names import KINDS, RESERVED_ALIASES


@click.command(
    short_help="invite an agent or a person",
    help="""Invite ALIAS, and print what to hand on: for an agent a command that prints its
Attend Card, for a person a link. Each has the seat's token in it, shown this once.

\b
  agentgather room invite rev --kind agent --single-use --expires 2h
  agentgather room invite ada --kind human
  agentgather room invite log --observer
""",
)
@click.argument("alias", type=ALIAS)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="agent",
    show_default=True,
    help="agent: gets a command; human: gets a link",
)
@click.option("--single-use", is_flag=True, help="the card's link ends with its first use")
@click.option("--expires", type=DURATION, metavar="2h", help="how long it may lie unused")
@click.option("--observer", is_flag=True, help="may read and wait, and post nothing")
@json_option
@click.pass_obj
def invite(
    context: Context, alias: str, kind: str, single_use: bool, expires: int | None, observer: bool
) -> None:
    """Invite somebody."""
    if alias in RESERVED_ALIASES:
        raise Misused(f"{alias} is kept for the room itself; choose another alias")
    draft: dict[str, Any] = {"alias": alias, "kind": kind}
    if single_use:
        draft["single_use"] = True
    if expires is not None:
        draft["expires_in_s"] = expires
    if observer:
        draft["role"] = "observer"
    answer = context.api.invite(draft)
    context.emit(answer, describe(answer))


def describe(answer: Document) -> str:
    """Say what to do with an invite."""
    if answer["kind"] == "human":
        return f"Send {answer['alias']} this link:\n  {answer['browser_url']}"
    return (
        f"Give {answer['alias']} this command; it prints its Attend Card:\n"
        f"  {answer['card_command']}"
    )
