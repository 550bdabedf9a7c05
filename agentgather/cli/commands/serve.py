"""``room serve``: serve the selected room until told to stop."""

from functools import partial

import click

from agentgather.cli.candidates import hosted_rooms
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import COUNT, SLUG, host_option, json_option, port_option
from agentgather.cli.served_room import ServedRoom
from agentgather.cli.tunnel_plan import Wish, plan_if_wished, tunnel_options
from agentgather.storage.seats import read_seat
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import CurrentRoom

room_port_option = port_option(8787)
max_messages_option = click.option(
    "--max-messages",
    type=COUNT,
    default=MAX_LOG_MESSAGES,
    show_default=True,
    metavar="N",
    help="how many messages the log may hold",
)
tunnel_option = tunnel_options("--tunnel", help="make the room public through this broker")


@click.command(
    short_help="serve the selected room",
    help="""Serve the selected room until Ctrl-C or SIGTERM, which ends it in order, with exit
status 0. A second signal ends it at once, with 130 or 143. With --room it serves that one, and
the selected room stays selected.

It listens on this machine alone. For others, put an SSH tunnel or an HTTPS proxy in front and
name the URL that they use:

\b
  agentgather room serve --url https://rooms.example/review

The URLs are remembered; --url none forgets them. Or make the room public through a broker, for
as long as it is served:

\b
  agentgather room serve --tunnel https://rooms.example
""",
)
@click.option(
    "--room",
    type=SLUG,
    metavar="ROOM",
    shell_complete=hosted_rooms,
    help="which room of this home; by default the selected one",
)
@room_port_option
@host_option
@click.option("--url", multiple=True, metavar="URL", help="a further URL of the room; repeatable")
@click.option("--allow-remote", is_flag=True, help="listen beyond this machine, unencrypted")
@max_messages_option
@tunnel_option
@json_option
@click.pass_obj
def serve(
    context: Context,
    room: str | None,
    port: int,
    host: str,
    url: tuple[str, ...],
    allow_remote: bool,
    max_messages: int,
    tunnel: str | None,
    subdomain: str | None,
    registration_token_file: str | None,
) -> None:
    """Serve a room."""
    # Here, because only serving needs Trio and the server: 300 ms of import.
    from agentgather.cli.listening import open_listening
    from agentgather.cli.serving import Serving, serve_seat

    seat = context.seat() if room is None else _seat(context, room)
    if not context.home.has_room(seat.roomId):
        raise Refused(
            f"{seat.roomId} is not hosted in this home; its host serves it. Make a room with "
            "`agentgather room start`, or select one with `agentgather room use`"
        )
    wish = Wish(tunnel, subdomain, registration_token_file)
    plan = plan_if_wished(context, seat.roomId, wish)
    where = (context.home, seat.roomId, host, port)
    with open_listening(*where, allow_remote=allow_remote) as listening:
        serving = Serving(
            listening, url, allow_remote=allow_remote, max_messages=max_messages, tunnel=plan
        )
        serve_seat(context, seat, serving, partial(_tell, context))


def _tell(context: Context, served: ServedRoom) -> None:
    text = f"Serving {served.room} at {served.url}"
    if served.url_elsewhere is not None:
        text += f", public at {served.url_elsewhere}"
    if served.is_closed:
        text += "; it is closed, and can be read and exported"
    context.emit(served.document(), text)


def _seat(context: Context, room: str) -> CurrentRoom:
    context.check_home()
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; see `agentgather room list`")
    return seat
