"""``room list`` and ``room use``."""

import click

from agentgather.cli.candidates import known_rooms
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.render import one_line, table
from agentgather.storage.seats import read_seat, seated_rooms, write_seat
from agentgather.storage.stored_room import DamagedRoom, NewerSchema


@click.command(
    name="list",
    short_help="list the rooms and seats of this home",
    help="List the rooms that this home hosts, and those in which it has a seat. `*` marks the "
    "selected one.",
)
@json_option
@click.pass_obj
def list_rooms(context: Context) -> None:
    """List rooms."""
    context.check_home()
    home = context.home
    selected = home.read_current()
    hosted = set(home.rooms())
    rooms = []
    for name in sorted(hosted | set(seated_rooms(home))):
        try:
            seat = read_seat(home, name)
        except (DamagedRoom, NewerSchema) as error:
            context.say(f"{name}: {error}")
            seat = None
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
            one_line(str(room["baseUrl"] or "")),
        )
        for room in rooms
    ]
    context.emit({"ok": True, "rooms": rooms}, table(rows) or "(no rooms)")


@click.command(
    short_help="select another room",
    help="Select ROOM, one of `agentgather room list`, for the commands that follow.",
)
@click.argument("room", type=SLUG, shell_complete=known_rooms)
@json_option
@click.pass_obj
def use(context: Context, room: str) -> None:
    """Select a room."""
    context.check_home()
    seat = read_seat(context.home, room)
    if seat is None:
        raise Refused(f"this home has no seat in {room}; see `agentgather room list`")
    write_seat(context.home, seat, select=True)
    document = {"ok": True, "room": room, "alias": seat.alias, "baseUrl": seat.baseUrl}
    context.emit(document, f"selected {room}, as {seat.alias}")
