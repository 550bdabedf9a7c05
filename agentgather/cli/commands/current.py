"""``room current``, ``status``, ``list``, ``use`` and ``dashboard``."""

from typing import Any

import click

from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.render import one_line, roster_table, table, until
from agentgather.domain.urls import browser_url
from agentgather.storage.seats import read_seat, seated_rooms, write_seat


@click.command(short_help="show the selected room", help="Show the selected room.")
@json_option
@click.pass_obj
def current(context: Context) -> None:
    """Show which room is selected, and whether it is open."""
    seat = context.seat()
    status = context.api.status()
    document = {
        "ok": True,
        "current": {"roomId": seat.roomId, "alias": seat.alias, "baseUrl": seat.baseUrl},
        "room_status": status["room_status"],
    }
    text = f"{seat.roomId} ({status['room_status']}) as {seat.alias} at {seat.baseUrl}"
    context.emit(document, text)


@click.command(
    short_help="show the selected room and who is in it",
    help="Show the selected room and who is in it. This is no sign of life.",
)
@json_option
@click.pass_obj
def status(context: Context) -> None:
    """Show the roster."""
    found = context.api.status()
    context.emit(found, _describe(context, found))


def _describe(context: Context, found: dict[str, Any]) -> str:
    facts = [
        f"{found['room']} is {found['room_status']}",
        f"brief v{found['brief_version']} by {one_line(found['brief_updated_by'])}",
        f"attendance {found['attendance_policy']}",
    ]
    if "expires_at" in found:
        facts.append(f"closes {until(found['expires_at'], context.wall_ms())}")
    return " · ".join(facts) + "\n\n" + roster_table(found, context.stdout)


@click.command(
    name="list",
    short_help="list the rooms and seats of this home",
    help="List the rooms that this home hosts, and those in which it has a seat.",
)
@json_option
@click.pass_obj
def list_(context: Context) -> None:
    """List rooms."""
    selected = context.home.read_current()
    hosted = set(context.home.rooms())
    names = sorted(
        hosted | set(seated_rooms(context.home)) | ({selected.roomId} if selected else set())
    )
    rooms = []
    for name in names:
        seat = read_seat(context.home, name)
        rooms.append(
            {
                "room": name,
                "hosted": name in hosted,
                "alias": seat.alias if seat else None,
                "baseUrl": seat.baseUrl if seat else None,
                "selected": selected is not None and selected.roomId == name,
            }
        )
    rows = [
        (
            "*" if room["selected"] else " ",
            str(room["room"]),
            "hosted here" if room["hosted"] else "a guest in",
            f"as {room['alias']}" if room["alias"] else "no seat",
            str(room["baseUrl"] or ""),
        )
        for room in rooms
    ]
    context.emit({"ok": True, "rooms": rooms}, table(rows) or "(no rooms)")


@click.command(short_help="select another room", help="Select ROOM for the commands that follow.")
@click.argument("room", type=SLUG)
@json_option
@click.pass_obj
def use(context: Context, room: str) -> None:
    """Select a room."""
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; see `agentgather room list`")
    write_seat(context.home, seat, select=True)
    document = {"ok": True, "room": room, "alias": seat.alias, "baseUrl": seat.baseUrl}
    context.emit(document, f"selected {room}, as {seat.alias}")


@click.command(
    short_help="print where the room's page is",
    help="Print where the room's page is. --show-token prints the link that enters as you.",
)
@click.option("--show-token", is_flag=True, help="with the token of your own seat")
@json_option
@click.pass_obj
def dashboard(context: Context, show_token: bool) -> None:
    """Print the page's URL."""
    seat = context.seat()
    url = browser_url(seat.baseUrl, seat.token) if show_token else seat.baseUrl
    context.emit({"ok": True, "url": url}, f"Dashboard: {url}")
