"""``room profile``: view or set one's own display name."""

import click

from agentgather.cli.context import Context
from agentgather.cli.inputs import checked
from agentgather.cli.options import json_option
from agentgather.cli.render import one_line
from agentgather.wire.limits import MAX_DISPLAY_NAME_CHARS


@click.command(
    short_help="view or set your display name",
    help="""Print how others see you. With NAME: take it as your display name, at most 60
characters. The alias, by which others address you, stays.

\b
  agentgather room profile "Ada Lovelace"
""",
)
@click.argument("name", required=False)
@json_option
@click.pass_obj
def profile(context: Context, name: str | None) -> None:
    """View or set the display name."""
    if name is None:
        answer = context.api.profile()
    else:
        # Longer than a name may be, because the room takes away what is space.
        answer = context.api.set_profile(
            checked(name, "name", max_units=8 * MAX_DISPLAY_NAME_CHARS)
        )
    found = answer["participant"]
    shown = one_line(found.get("display_name") or "")
    context.emit(answer, f"{found['alias']}{f', shown as {shown}' if shown else ''}")
