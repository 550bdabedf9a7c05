"""What the tunnel of a room keeps in its folder: where it is public, and by what right.

``tunnel.json`` is true while its writer holds ``tunnel.lock``. A process that is killed
leaves the file and not the lock, so nobody is told of a URL that leads nowhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from agentgather.storage.files import UnsafeFile, replace_file
from agentgather.storage.home import Home
from agentgather.storage.lock import open_lock, read_holder
from agentgather.storage.stored_room import read_record
from agentgather.wire.records import RouteSecret, RouteSecrets, TunnelState, encode_small_file

TUNNEL_LOCK_FILE: Final = "tunnel.lock"
ROUTES_FILE: Final = "routes.json"
MAX_ROUTE_SECRETS: Final = 32
"""Slugs that a room remembers; the one that was unused the longest is forgotten."""
_WRITER: Final = "pid"


@contextmanager
def open_tunnel_lock(home: Home, room: str) -> Iterator[None]:
    """Be the one process that makes a room public, for the length of the block.

    Raises:
        RoomLocked: another process is.
        UnsafeFile, OSError: as ``storage.lock.open_lock``.

    """
    path = home.room_path(room)
    with open_lock(path / TUNNEL_LOCK_FILE):
        # What a killed one left says what is not so.
        home.clear_tunnel(room)
        try:
            yield
        finally:
            home.clear_tunnel(room)


def read_tunnel_holder(home: Home, room: str) -> int | None:
    """Give the process that makes a room public; 0 if unknown, None if nobody does."""
    return read_holder(home.room_path(room) / TUNNEL_LOCK_FILE)


def note_tunnel(home: Home, room: str, public_url: str, broker: str, slug: str) -> None:
    """Write down where a room is public. The caller holds the lock."""
    extra = {"broker": broker, "slug": slug, _WRITER: os.getpid()}
    home.write_tunnel(room, TunnelState(publicUrl=public_url, extra=extra))


def is_left_behind(home: Home, room: str, tunnel: TunnelState) -> bool:
    """Say whether a tunnel's process is gone. An older program's file tells nothing of it."""
    return _WRITER in tunnel.extra and read_tunnel_holder(home, room) is None


def public_url_of(home: Home, room: str) -> str | None:
    """Say where a room is public through a tunnel; None if nowhere, or if it can't be told."""
    try:
        tunnel = home.read_tunnel(room)
        if tunnel is None or is_left_behind(home, room, tunnel):
            return None
    except (UnsafeFile, OSError):
        return None
    return tunnel.publicUrl


def read_routes(home: Home, room: str) -> list[RouteSecret]:
    """Give the slugs that a room has had at brokers, the last used one first.

    Raises:
        DamagedRoom: the file cannot be read.

    """
    path = home.room_path(room) / ROUTES_FILE
    hint = "remove it; the room then gets another name at its broker"
    return (read_record(path, RouteSecrets.from_plain, hint) or RouteSecrets()).routes


def use_route(home: Home, room: str, route: RouteSecret) -> None:
    """Remember a slug, as the one that was used last."""
    before = read_routes(home, room)
    if before[:1] == [route]:
        return
    others = [one for one in before if (one.broker, one.slug) != (route.broker, route.slug)]
    routes = RouteSecrets(routes=[route, *others][:MAX_ROUTE_SECRETS])
    replace_file(home.room_path(room) / ROUTES_FILE, encode_small_file(routes))
