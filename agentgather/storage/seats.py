"""The seats of this home's user: one small file for each room, with the seat's own token.

``current-room.json`` names one of them, in the same form. The file beside it keeps the
others, so that selecting or making another room loses no token.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agentgather.storage.files import ensure_directory, replace_file
from agentgather.storage.home import Home
from agentgather.storage.stored_room import DamagedRoom, read_record
from agentgather.wire.names import is_slug
from agentgather.wire.records import CurrentRoom, encode_small_file

SEATS: Final = "seats"
_OLDER_BASE_URL: Final = "http://127.0.0.1:8787"


def write_seat(home: Home, seat: CurrentRoom, *, select: bool) -> None:
    """Keep a seat, and with ``select`` make it the one that commands speak for.

    Raises:
        NewerSchema: a newer program wrote what would be replaced.

    """
    home.prepare()
    ensure_directory(home.root / SEATS)
    path = _path(home, seat.roomId)
    # A damaged file is put right by this, a newer one is not ours to replace.
    with suppress(DamagedRoom):
        read_record(path, CurrentRoom.from_plain, "")
    if select:
        _keep_current(home, but=seat.roomId)
    replace_file(path, encode_small_file(seat))
    if select:
        home.write_current(seat)


def update_seat(home: Home, seat: CurrentRoom) -> None:
    """Keep a changed seat; where it is the selected one it stays so, else it does not become it."""
    current = home.read_current()
    write_seat(home, seat, select=current is not None and current.roomId == seat.roomId)


def read_seat(home: Home, room: str) -> CurrentRoom | None:
    """Give the seat in a room; None if this home has none.

    A home of the older program keeps seats elsewhere: the selected one in
    ``current-room.json``, and raw tokens in the room's ``tokens.json``.

    Raises:
        DamagedRoom, NewerSchema: a file of it cannot be read.

    """
    path = _path(home, room)
    if os.path.lexists(path):
        return read_record(path, CurrentRoom.from_plain, "remove it, and join the room again")
    current = _selected(home)
    if current is not None and current.roomId == room:
        return current
    tokens = home.read_tokens(room).tokens
    if home.has_room(room):
        hosts = {seat.alias for seat in home.read_room(room).participants if seat.is_host}
        tokens = {alias: token for alias, token in tokens.items() if alias in hosts}
    if not tokens:
        return None
    alias, token = next(iter(tokens.items()))
    return CurrentRoom(roomId=room, alias=alias, token=token, baseUrl=_OLDER_BASE_URL)


def seated_rooms(home: Home) -> list[str]:
    """Name the rooms in which this home has a seat of its own, sorted."""
    try:
        names = [entry.name for entry in os.scandir(home.root / SEATS)]
    except FileNotFoundError:
        names = []
    rooms = {name.removesuffix(".json") for name in names if name.endswith(".json")}
    current = home.read_current()
    if current is not None:
        rooms.add(current.roomId)
    return sorted(room for room in rooms if is_slug(room))


def _keep_current(home: Home, *, but: str) -> None:
    """Give the selected seat a file of its own before another takes its place."""
    current = _selected(home)
    if current is None or current.roomId == but:
        return
    path = _path(home, current.roomId)
    if not os.path.lexists(path):
        replace_file(path, encode_small_file(current))


def _selected(home: Home) -> CurrentRoom | None:
    """Give the selected seat; None too where its file is damaged, which selecting puts right."""
    try:
        return home.read_current()
    except DamagedRoom:
        return None


def _path(home: Home, room: str) -> Path:
    if not is_slug(room):
        raise ValueError("a room's name is 1 to 64 of a-z 0-9 -, and begins with no dash")
    return home.root / SEATS / f"{room}.json"
