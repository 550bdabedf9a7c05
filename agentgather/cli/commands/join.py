"""``room join``: take a seat in a room."""

import click

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.candidates import files
from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Misused, Refused
from agentgather.cli.inputs import given_token
from agentgather.cli.options import ALIAS, SLUG, json_option
from agentgather.cli.seat_keys import INSECURE
from agentgather.storage.seats import read_seat, write_seat
from agentgather.wire.records import CurrentRoom


@click.command(
    short_help="take a seat in a room",
    help="""Join ROOM under the alias and token that the host gave you, and select it.

A token in --token is seen by everybody on this machine while the command runs; --token-file
or `--token -`, which reads standard input, keeps it to you.

\b
  agentgather room join review --alias ada --token-file token --url https://rooms.example/review
""",
)
@click.argument("room", type=SLUG)
@click.option("--alias", type=ALIAS, required=True, help="the alias that you were invited as")
@click.option("--token", metavar="TOKEN", help="your token; `-` reads standard input")
@click.option(
    "--token-file", metavar="FILE", shell_complete=files, help="a file that has your token"
)
@click.option(
    "--url", metavar="URL", default=DEFAULT_BASE_URL, show_default=True, help="where the room is"
)
@click.option("--insecure", is_flag=True, help="allow plain HTTP to another machine, from now on")
@json_option
@click.pass_obj
def join(
    context: Context,
    room: str,
    alias: str,
    token: str | None,
    token_file: str | None,
    url: str,
    insecure: bool,
) -> None:
    """Join a room."""
    context.insecure |= insecure
    base = BaseUrl(url, insecure=context.insecure)
    token = given_token(context, token, token_file, flag="--token")
    seat = CurrentRoom(roomId=room, alias=alias, token=token, baseUrl=base.text)
    if not (base.is_tls or base.is_loopback):
        seat.extra[INSECURE] = True
    context.check_home()
    kept = read_seat(context.home, room)
    if kept is not None and kept.alias != alias:
        raise Refused(
            f"this home has the seat {kept.alias} in {room}, which would be lost; join from "
            "another home: AGENTGATHER_HOME=DIRECTORY agentgather room join …"
        )
    api = context.api_of(seat)
    # Before the token is used up by /join: a card for another seat is noticed here.
    status = api.status()
    if status["room"] != room or status["me"] != alias:
        raise Misused(
            f"that token is the seat of {status['me']} in {status['room']}; name those instead"
        )
    write_seat(context.home, seat, select=True)
    api.join()
    document = {"ok": True, "room": room, "alias": alias, "baseUrl": base.text}
    context.emit(document, f"you are {alias} in {room}; stay with `agentgather attend`")
