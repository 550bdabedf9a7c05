"""``room invite-card``: print an invited participant's Attend Card."""

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.room_api import open_api


@click.command(
    short_help="print an invited participant's Attend Card",
    help="Print the Attend Card of ALIAS, as long as nobody has used the seat. Afterwards only "
    "--rotate can: it gives the seat a new token, and the old one ends.",
)
@click.argument("alias", type=SLUG)
@click.option("--rotate", is_flag=True, help="give the seat a new token first")
@json_option
@click.pass_obj
def invite_card(context: Context, alias: str, rotate: bool) -> None:
    """Print a card."""
    seat = context.seat()
    if rotate:
        token = context.api.rotate(alias)["token"]
    else:
        tokens = context.home.read_tokens(seat.roomId).tokens
        if alias not in tokens:
            raise Refused(
                f"the seat of {alias} was used, or there is none; `--rotate` gives it a new token"
            )
        token = tokens[alias]
    theirs = type(seat)(roomId=seat.roomId, alias=alias, token=token, baseUrl=seat.baseUrl)
    card = open_api(context.home, theirs, insecure=context.insecure).card()
    document = {"ok": True, "room": seat.roomId, "alias": alias, "card": card}
    context.emit(document, card.rstrip("\n"))
