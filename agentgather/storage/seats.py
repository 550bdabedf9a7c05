"""The seats of this home's user: one small file for each room, with the seat's own token.

``current-room.json`` names one of them, in the same form. The file beside it keeps the
others, so that selecting or making another room loses no token.
"""

from pathlib import Path

from agentgather.storage.files import ensure_directory, replace_file
from agentgather.storage.home import Home
from agentgather.storage.stored_room import read_record
from agentgather.wire.names import is_slug
from agentgather.wire.records import CurrentRoom, encode_small_file

SEATS = "seats"


def write_seat(home: Home, seat: CurrentRoom, *, select: bool) -> None:
    """Keep a seat, and with ``select`` make it the one that commands speak for."""
    home.prepare()
    ensure_directory(home.root / SEATS)
    replace_file(_path(home, seat.roomId), encode_small_file(seat))
    if select:
        home.write_current(seat)


def read_seat(home: Home, room: str) -> CurrentRoom | None:
    """Give the seat in a room; None if this home has none.

    A home of the older program keeps seats elsewhere: the selected one in
    ``current-room.json``, and every raw token in the room's ``tokens.json``.
    """
    path = _path(home, room)
    if path.exists():
        return read_record(path, CurrentRoom.from_plain, "join the room again")
    current = home.read_current()
    if current is not None and current.roomId == room:
        return current
    if not home.has_room(room):
        return None
    tokens = home.read_tokens(room).tokens
    for participant in home.read_room(room).participants:
        if participant.is_host and participant.alias in tokens:
            return CurrentRoom(
                roomId=room,
                alias=participant.alias,
                token=tokens[participant.alias],
                baseUrl="http://127.0.0.1:8787",
            )
    return None


def seated_rooms(home: Home) -> list[str]:
    """Name the rooms in which this home has a seat of its own."""
    folder = home.root / SEATS
    if not folder.is_dir():
        return []
    return sorted(p.stem for p in folder.iterdir() if p.suffix == ".json" and is_slug(p.stem))


def _path(home: Home, room: str) -> Path:
    if not is_slug(room):
        raise ValueError(f"not a room: {room!r}")
    return home.root / SEATS / f"{room}.json"
