"""``room invite-card``: print an invited participant's Attend Card."""

from urllib.parse import urlsplit

import click
import msgspec

from agentgather.cli.candidates import participants
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import ALIAS, json_option
from agentgather.cli.room_api import RoomApi
from agentgather.cli.seat_keys import public_urls
from agentgather.wire.records import CurrentRoom


@click.command(
    short_help="print an invited one's Attend Card",
    help="""Print the Attend Card of ALIAS, as long as nobody has used the seat. Afterwards only
--rotate can: it gives the seat a new token, and the old one ends. The card has the token in it.

\b
  agentgather room invite-card rev
  agentgather room invite-card rev --rotate
""",
)
@click.argument("alias", type=ALIAS, shell_complete=participants)
@click.option("--rotate", is_flag=True, help="give the seat a new token first")
@json_option
@click.pass_obj
def invite_card(context: Context, alias: str, rotate: bool) -> None:
    """Print a card."""
    seat = context.seat()
    if alias == seat.alias:
        raise Refused("that is your own seat; you need no card for it")
    if rotate:
        token = context.api.rotate(alias)["token"]
    else:
        kept = context.home.read_tokens(seat.roomId).tokens.get(alias)
        if kept is None and not context.home.has_room(seat.roomId):
            raise Refused(f"only {seat.roomId}'s host has the cards of others; ask the host")
        if kept is None:
            raise Refused(
                f"nobody has the alias {alias}, or its seat was used already; `agentgather room "
                f"invite-card {alias} --rotate` gives it a new token and ends the old one"
            )
        token = kept
    theirs = msgspec.structs.replace(seat, alias=alias, token=token)
    card = _card(context, context.api_of(theirs), seat)
    document = {"ok": True, "room": seat.roomId, "alias": alias, "card": card}
    context.emit(document, card.rstrip("\n"))


def _card(context: Context, api: RoomApi, seat: CurrentRoom) -> str:
    """Get the card as it reads where the invited one is: at the public URL, if there is one."""
    for url in public_urls(context.home, seat):
        try:
            return api.card(host=urlsplit(url).netloc)
        except Refused as error:
            if error.code != "insecure_remote":
                raise
    return api.card()
