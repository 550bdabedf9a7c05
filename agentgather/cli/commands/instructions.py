"""``instructions``: print the operating card for an agent."""

import click

from agentgather.cli.context import Context
from agentgather.cli.options import json_option
from agentgather.domain.instructions import AGENTS, render_instructions


@click.command(
    short_help="print the operating card for an agent",
    help="""Print the operating card for an agent: how it takes part with this command line.
Keep it where the agent reads it. An agent that has only curl needs its Attend Card instead.

\b
  agentgather instructions --agent claude >> CLAUDE.md
""",
)
@click.option(
    "--agent",
    type=click.Choice(AGENTS),
    default="codex",
    show_default=True,
    help="whose card",
)
@json_option
@click.pass_obj
def instructions(context: Context, agent: str) -> None:
    """Print the card."""
    card = render_instructions(agent)
    context.emit({"ok": True, "agent": agent, "instructions": card}, card.rstrip("\n"))
