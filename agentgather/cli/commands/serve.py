"""``room serve``: serve the selected room until told to stop."""

import click

from agentgather.cli.candidates import hosted_rooms
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import COUNT, SLUG, host_option, json_option, port_option
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
    from agentgather.cli.serving import Serving, serve_seat

    seat = context.seat() if room is None else _seat(context, room)
    wish = Wish(tunnel, subdomain, registration_token_file)
    serving = Serving(
        port=port,
        host=host,
        urls=url,
        allow_remote=allow_remote,
        max_messages=max_messages,
        tunnel=plan_if_wished(context, seat.roomId, wish),
    )

    def ready(base_url: str, public_url: str | None) -> None:
        document = {"ok": True, "room": seat.roomId, "url": base_url}
        text = f"Serving {seat.roomId} at {base_url}"
        if public_url is not None:
            document["public_url"] = public_url
            text += f", public at {public_url}"
        context.emit(document, text)

    serve_seat(context, seat, serving, ready)


def _seat(context: Context, room: str) -> CurrentRoom:
    context.check_home()
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; see `agentgather room list`")
    return seat
