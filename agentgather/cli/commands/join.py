"""``room join``: take a seat in a room."""

import click

from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Misused
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.room_api import open_api
from agentgather.domain.tokens import is_token
from agentgather.edge.origins import normalise_base_url
from agentgather.storage.seats import write_seat
from agentgather.wire.records import CurrentRoom


@click.command(
    short_help="take a seat in a room",
    help="Join ROOM under the alias and token that the host gave you, and select it. A token "
    "in --token is seen by everybody on this machine; --token-file or `-` keeps it to you.",
)
@click.argument("room", type=SLUG)
@click.option("--alias", type=SLUG, required=True, help="the alias that you were invited as")
@click.option("--token", help="your token; `-` reads standard input")
@click.option("--token-file", metavar="FILE", help="a file that has your token")
@click.option("--url", default=DEFAULT_BASE_URL, show_default=True, help="where the room is")
@json_option
@click.pass_obj
def join(
    context: Context, room: str, alias: str, token: str | None, token_file: str | None, url: str
) -> None:
    """Join a room."""
    if (token is None) == (token_file is None):
        raise Misused("give the token: --token-file FILE, or --token - for standard input")
    token = (context.text_or_file(token, token_file, "token") or "").strip()
    if not is_token(token):
        raise Misused("that is not a token; one starts with agp_")
    try:
        base_url = normalise_base_url(url)
    except ValueError as error:
        raise Misused(str(error)) from None
    seat = CurrentRoom(roomId=room, alias=alias, token=token, baseUrl=base_url)
    api = open_api(context.home, seat, insecure=context.insecure)
    status = api.status()
    if status["room"] != room or status["me"] != alias:
        raise Misused(
            f"that token is the seat of {status['me']} in {status['room']}; name those instead"
        )
    api.join()
    write_seat(context.home, seat, select=True)
    document = {"ok": True, "room": room, "alias": alias, "baseUrl": base_url}
    context.emit(document, f"you are {alias} in {room}; stay with `agentgather attend`")
