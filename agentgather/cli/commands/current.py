"""``room current``, ``status`` and ``dashboard``."""

import click

from agentgather.cli.answers import Document
from agentgather.cli.context import Context
from agentgather.cli.failures import Failure
from agentgather.cli.options import json_option
from agentgather.cli.render import one_line, roster_table, until
from agentgather.domain.urls import browser_url


@click.command(
    short_help="show the selected seat, and who is in the room",
    help="Show which seat is selected, and who is in its room. Where the room cannot be reached, "
    "the seat is shown all the same, and the exit status is 0. This is no sign of life.",
)
@json_option
@click.pass_obj
def current(context: Context) -> None:
    """Show the seat, and the room if it can be reached."""
    seat = context.seat()
    document: Document = {
        "ok": True,
        "current": {"roomId": seat.roomId, "alias": seat.alias, "baseUrl": seat.baseUrl},
    }
    text = f"you are {seat.alias} in {seat.roomId}, at {one_line(seat.baseUrl)}"
    try:
        found = context.api.status()
    except Failure as error:
        document["reachable"] = False
        context.say(str(error))
    else:
        document |= {"reachable": True, "room_status": found["room_status"], "status": found}
        text += f"\n{describe(context, found)}"
    context.emit(document, text)


@click.command(
    short_help="show who is in the room",
    help="Show the room and who is in it. This is no sign of life.",
)
@json_option
@click.pass_obj
def status(context: Context) -> None:
    """Show the roster."""
    found = context.api.status()
    context.emit(found, describe(context, found))


def describe(context: Context, found: Document) -> str:
    """Give a room's facts and its roster, for people."""
    facts = [
        f"{one_line(found['room'])} is {found['room_status']}",
        f"brief v{found['brief_version']} by {one_line(found['brief_updated_by'])}",
        f"attendance {found['attendance_policy']}",
    ]
    if "expires_at" in found and found["room_status"] == "open":
        facts.append(f"closes {until(found['expires_at'], context.wall_ms())}")
    return " · ".join(facts) + "\n\n" + roster_table(found, colour=context.has_colour)


@click.command(
    short_help="print where the room's page is",
    help="Print where the room's page is. With --show-token: the link that enters as you; who "
    "has it is you.",
)
@click.option("--show-token", is_flag=True, help="with the token of your own seat")
@json_option
@click.pass_obj
def dashboard(context: Context, show_token: bool) -> None:
    """Print the page's URL."""
    seat = context.seat()
    url = browser_url(seat.baseUrl, seat.token) if show_token else f"{seat.baseUrl}/"
    context.emit({"ok": True, "room": seat.roomId, "alias": seat.alias, "url": url}, url)
