"""``up``: the short way to a served room."""

from functools import partial

import click

from agentgather.cli.candidates import files, hosted_rooms
from agentgather.cli.commands.serve import max_messages_option, room_port_option, tunnel_option
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.inputs import optional_text
from agentgather.cli.new_room import make_room
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.served_room import ServedRoom
from agentgather.cli.tunnel_plan import Wish, plan_if_wished
from agentgather.domain.urls import browser_url
from agentgather.storage.seats import read_seat
from agentgather.wire.limits import MAX_BRIEF_UNITS
from agentgather.wire.records import CurrentRoom

DEFAULT_ROOM = "room"
HOST = "127.0.0.1"


@click.command(
    short_help="make a room if there is none, and serve it",
    help="""Serve ROOM, and make it first if it does not exist. Without ROOM the selected room is
served, or a new one named `room`. One Ctrl-C ends it; the room stays for the next `up`.

\b
  agentgather up review --brief "Goal: review the parser change."
  agentgather up review --tunnel https://rooms.example
""",
)
@click.argument("room", type=SLUG, required=False, shell_complete=hosted_rooms)
@click.option("--brief", metavar="TEXT", help="the mission of a new room; `-` reads stdin")
@click.option(
    "--brief-file", metavar="FILE", shell_complete=files, help="a file that has the mission"
)
@room_port_option
@max_messages_option
@tunnel_option
@json_option
@click.pass_obj
def up(
    context: Context,
    room: str | None,
    brief: str | None,
    brief_file: str | None,
    port: int,
    max_messages: int,
    tunnel: str | None,
    subdomain: str | None,
    registration_token_file: str | None,
) -> None:
    """Make and serve a room."""
    # Here, because only serving needs Trio and the server: 300 ms of import.
    from agentgather.cli.listening import open_listening
    from agentgather.cli.serving import Serving, serve_seat

    context.check_home()
    text = optional_text(context, brief, brief_file, "brief", max_units=MAX_BRIEF_UNITS)
    room = room or _default_room(context)
    kept = _kept_seat(context, room, text)
    plan = plan_if_wished(context, room, Wish(tunnel, subdomain, registration_token_file))
    with open_listening(context.home, room, HOST, port) as listening:
        # Only now, so that a start that is refused leaves no room behind.
        seat = kept or make_room(context, room, brief=text or "", select=False)
        serving = Serving(listening, max_messages=max_messages, tunnel=plan, select=True)
        serve_seat(context, seat, serving, partial(_tell, context, seat))


def _default_room(context: Context) -> str:
    current = context.home.read_current()
    if current is not None and context.home.has_room(current.roomId):
        return current.roomId
    return DEFAULT_ROOM


def _kept_seat(context: Context, room: str, brief: str | None) -> CurrentRoom | None:
    """Give the seat in a room of this home; None if there is no such room yet."""
    if not context.home.has_room(room):
        if read_seat(context.home, room) is not None:
            raise Refused(
                f"{room} is served by its host, and this home has a seat in it; go there with "
                f"`agentgather room use {room}`, or choose another name"
            )
        return None
    # The same command again, out of a shell's history, is no mistake.
    if brief is not None and brief != context.home.read_room(room).brief:
        raise Refused(
            f"{room} exists and has another brief; leave --brief out, and change it with "
            "`agentgather room brief set`"
        )
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; join it with `agentgather room join`")
    return seat


def _tell(context: Context, seat: CurrentRoom, served: ServedRoom) -> None:
    link = browser_url(served.url, seat.token)
    document = served.document(browser_url=link, alias=seat.alias)
    context.emit(document, _welcome(context, seat, served))


def _welcome(context: Context, seat: CurrentRoom, served: ServedRoom) -> str:
    room = context.styled(seat.roomId, "bold")
    link = context.styled(browser_url(served.url, seat.token), "bold")
    where, public = served.url, ""
    if served.url_elsewhere is not None:
        # Not the host's own machine: the same seat, from elsewhere.
        away = context.styled(browser_url(served.url_elsewhere, seat.token), "bold")
        where += f", and for others at {served.url_elsewhere}"
        public = f"\n  From elsewhere:    {away}"
    if served.is_closed:
        return f"""The room {room} is closed; it can be read at {where}. Nobody can post any more.

  Your link:         {link}{public}
  Read it here:      agentgather messages
  Export it:         agentgather export --output {seat.roomId}.md
  Open a new room:   agentgather up NAME

Ctrl-C stops serving. The room stays as it is."""
    return f"""The room {room} is open at {where}. You are its host, {seat.alias}.

  Your link:         {link}{public}
  Invite an agent:   agentgather room invite rev --kind agent
  Invite a person:   agentgather room invite ada --kind human
  Follow along:      agentgather attend
  Close it for good: agentgather room close

Ctrl-C stops serving. The room stays as it is; `agentgather up {seat.roomId}` opens it again."""
