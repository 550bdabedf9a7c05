"""``room``: everything about the room itself."""

from typing import Final

import click

from agentgather.cli.lazy_group import CONTEXT_SETTINGS, LazyGroup, Table

_HERE: Final = "agentgather.cli.commands"
ROOM_COMMANDS: Final[Table] = {
    "start": (f"{_HERE}.start:start", "make a room and select it"),
    "serve": (f"{_HERE}.serve:serve", "serve the selected room"),
    "brief": (f"{_HERE}.brief:brief", "view or set the brief"),
    "attendance": (f"{_HERE}.attendance:attendance", "view or set the attendance policy"),
    "invite": (f"{_HERE}.invite:invite", "invite an agent or a person"),
    "invite-card": (f"{_HERE}.invite_card:invite_card", "print an invited one's Attend Card"),
    "join": (f"{_HERE}.join:join", "take a seat in a room"),
    "leave": (f"{_HERE}.seats:leave", "leave the room; the seat stays"),
    "profile": (f"{_HERE}.profile:profile", "view or set your display name"),
    "remove": (f"{_HERE}.seats:remove", "remove a participant"),
    "rotate": (f"{_HERE}.seats:rotate", "give a participant a new token"),
    "rearm": (f"{_HERE}.seats:rearm", "let agents post again before a person does"),
    "close": (f"{_HERE}.seats:close", "close the room for good"),
    "current": (f"{_HERE}.current:current", "show the selected seat, and who is in the room"),
    "status": (f"{_HERE}.current:status", "show who is in the room"),
    "list": (f"{_HERE}.rooms:list_rooms", "list the rooms and seats of this home"),
    "use": (f"{_HERE}.rooms:use", "select another room"),
    "dashboard": (f"{_HERE}.current:dashboard", "print where the room's page is"),
}
HELP: Final = """Make, serve, invite to, inspect and close rooms.

\b
  agentgather room start review --brief-file brief.md --ttl 8h
  agentgather room serve
  agentgather room invite rev --kind agent --single-use --expires 2h
  agentgather room status
  agentgather room use another-room

Commands speak for the selected seat. While a server serves the room they go through it; when
none does, they take the room's lock and do the same themselves.
"""


@click.group(
    cls=LazyGroup,
    table=ROOM_COMMANDS,
    context_settings=CONTEXT_SETTINGS,
    short_help="make, serve, invite to, inspect and close rooms",
    help=HELP,
)
def room() -> None:
    """Hold the room commands."""
