"""``up``: the short way to a served room."""

import click

from agentgather.cli.candidates import files, hosted_rooms
from agentgather.cli.commands.serve import max_messages_option, room_port_option, tunnel_option
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.inputs import optional_text
from agentgather.cli.new_room import make_room
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.tunnel_plan import Wish, plan_if_wished
from agentgather.domain.urls import browser_url
from agentgather.storage.seats import read_seat, write_seat
from agentgather.wire.limits import MAX_BRIEF_UNITS
from agentgather.wire.records import CurrentRoom

DEFAULT_ROOM = "room"


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
    from agentgather.cli.serving import Serving, serve_seat

    context.check_home()
    text = optional_text(context, brief, brief_file, "brief", max_units=MAX_BRIEF_UNITS)
    seat = _seat(context, room or _default_room(context), text)

    wish = Wish(tunnel, subdomain, registration_token_file)
    plan = plan_if_wished(context, seat.roomId, wish)

    def ready(base_url: str, public_url: str | None) -> None:
        link = browser_url(base_url, seat.token)
        document = {
            "ok": True,
            "room": seat.roomId,
            "url": base_url,
            "browser_url": link,
            "alias": seat.alias,
        }
        if public_url is not None:
            document["public_url"] = public_url
        context.emit(document, _welcome(context, seat, base_url, public_url))

    serve_seat(context, seat, Serving(port=port, max_messages=max_messages, tunnel=plan), ready)


def _default_room(context: Context) -> str:
    current = context.home.read_current()
    if current is not None and context.home.has_room(current.roomId):
        return current.roomId
    return DEFAULT_ROOM


def _seat(context: Context, room: str, brief: str | None) -> CurrentRoom:
    if not context.home.has_room(room):
        return make_room(context, room, brief=brief or "")
    # The same command again, out of a shell's history, is no mistake.
    if brief is not None and brief != context.home.read_room(room).brief:
        raise Refused(
            f"{room} exists and has another brief; leave --brief out, and change it with "
            "`agentgather room brief set`"
        )
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; join it with `agentgather room join`")
    write_seat(context.home, seat, select=True)
    return seat


def _welcome(context: Context, seat: CurrentRoom, base_url: str, public_url: str | None) -> str:
    link = browser_url(base_url, seat.token)
    public = ""
    if public_url is not None:
        # Not the host's own machine: the same seat, from elsewhere.
        away = context.styled(browser_url(public_url, seat.token), "bold")
        public = f"\n  From elsewhere:    {away}"
    where = base_url if public_url is None else f"{base_url}, and for others at {public_url}"
    return f"""The room {context.styled(seat.roomId, "bold")} is open at {where}. \
You are its host, {seat.alias}.

  Your link:         {context.styled(link, "bold")}{public}
  Invite an agent:   agentgather room invite rev --kind agent
  Invite a person:   agentgather room invite ada --kind human
  Follow along:      agentgather attend
  Close it for good: agentgather room close

Ctrl-C stops serving. The room stays as it is; `agentgather up {seat.roomId}` opens it again."""
