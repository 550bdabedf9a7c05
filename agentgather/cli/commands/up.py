"""``up``: the short way to a served room."""

import click

from agentgather.cli.commands.serve import max_messages_option, port_option
from agentgather.cli.commands.start import make_room
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.render import styled
from agentgather.domain.urls import browser_url
from agentgather.storage.seats import read_seat, write_seat

DEFAULT_ROOM = "room"


@click.command(
    short_help="make a room if there is none, and serve it",
    help="Serve ROOM, and make it first if it does not exist. Without ROOM the selected room is "
    "served, or a new one named `room`. One Ctrl-C ends it; the room stays for the next `up`.",
)
@click.argument("room", type=SLUG, required=False)
@click.option("--brief", metavar="TEXT", help="the mission of a new room; `-` reads stdin")
@click.option("--brief-file", metavar="FILE", help="a file that has the mission")
@port_option
@max_messages_option
@json_option
@click.pass_obj
def up(
    context: Context,
    room: str | None,
    brief: str | None,
    brief_file: str | None,
    port: int,
    max_messages: int,
) -> int:
    """Make and serve a room."""
    # Here, because only serving needs Trio and the server: 300 ms of import.
    from agentgather.cli.serving import Serving, serve_seat

    current = context.home.read_current()
    if room is None:
        hosted = current is not None and context.home.has_room(current.roomId)
        room = current.roomId if current is not None and hosted else DEFAULT_ROOM
    if not context.home.has_room(room):
        text = context.text_or_file(brief, brief_file, "brief") or ""
        seat = make_room(context, room, brief=text)
    else:
        if brief is not None or brief_file is not None:
            raise Refused(f"{room} has a brief; change it with `agentgather room brief set`")
        found = read_seat(context.home, room)
        if found is None:
            raise Refused(f"this home has no seat in {room}; join it with `agentgather room join`")
        seat = found
        write_seat(context.home, seat, select=True)

    def ready(base_url: str) -> None:
        link = browser_url(base_url, seat.token)
        document = {
            "ok": True,
            "room": room,
            "url": base_url,
            "browser_url": link,
            "alias": seat.alias,
        }
        context.emit(document, _welcome(context, room, link))

    serving = Serving(port=port, max_messages=max_messages)
    return serve_seat(context, seat, serving, ready)


def _welcome(context: Context, room: str, link: str) -> str:
    def strong(text: str) -> str:
        return styled(text, "bold", context.stdout)

    return f"""The room {strong(room)} is open. You are its host.

  Your link:         {strong(link)}
  Invite an agent:   agentgather room invite NAME --kind agent
  Invite a person:   agentgather room invite NAME --kind human
  Follow along:      agentgather attend
  Close it for good: agentgather room close

Ctrl-C stops serving. The room stays as it is; `agentgather up {room}` opens it again."""
