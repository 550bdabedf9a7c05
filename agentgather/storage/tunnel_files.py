"""What the tunnel of a room keeps in its folder: where it is public, and by what right.

``tunnel.json`` is true while its writer holds ``tunnel.lock``. A process that is killed
leaves the file and not the lock, so nobody is told of a URL that leads nowhere.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from agentgather.storage.files import UnsafeFile, replace_file
from agentgather.storage.home import Home
from agentgather.storage.lock import open_lock, read_holder
from agentgather.storage.stored_room import TUNNEL_FILE, read_record
from agentgather.wire.records import RouteSecret, RouteSecrets, TunnelState, encode_small_file

TUNNEL_LOCK_FILE: Final = "tunnel.lock"
ROUTES_FILE: Final = "routes.json"
MAX_ROUTE_SECRETS: Final = 32
"""Slugs that a room has had and remembers, and as many that it asked for; the one that was
unused the longest is forgotten."""
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
            # On a disk that takes nothing more it stays, and without the lock says nothing.
            with suppress(OSError):
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


def tunnel_path(home: Home, room: str) -> str:
    """Give the path of a room's ``tunnel.json``, as text: :func:`tunnel_stamp` is in a hurry."""
    return str(home.room_path(room) / TUNNEL_FILE)


def tunnel_stamp(path: str) -> tuple[int, int] | None:
    """Give what changes whenever the file is written or removed. Reads nothing."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read_routes(home: Home, room: str) -> RouteSecrets:
    """Give the slugs that a room has had at brokers, and those that it only asked for.

    Raises:
        DamagedRoom, NewerSchema: the file cannot be read.

    """
    path = home.room_path(room) / ROUTES_FILE
    hint = "remove it; the room then gets another name at its broker"
    return read_record(path, RouteSecrets.from_plain, hint) or RouteSecrets()


def ask_for_route(home: Home, room: str, route: RouteSecret) -> None:
    """Keep the secret of a slug that a broker is about to be asked for.

    It must be on the disk when the broker grants the slug, and it may never do so: which
    one was used last stays as it is. The caller has the lock.
    """
    before = read_routes(home, room)
    if route not in before.routes and before.asked[:1] != [route]:
        before.asked = _put_first(route, before.asked)
        _write_routes(home, room, before)


def use_route(home: Home, room: str, route: RouteSecret) -> None:
    """Remember a slug that a broker has granted as the last used one. The caller has the lock."""
    before = read_routes(home, room)
    if before.routes[:1] != [route]:
        before.asked = [one for one in before.asked if one != route]
        before.routes = _put_first(route, before.routes)
        _write_routes(home, room, before)


def _put_first(route: RouteSecret, before: list[RouteSecret]) -> list[RouteSecret]:
    others = [one for one in before if (one.broker, one.slug) != (route.broker, route.slug)]
    return [route, *others][:MAX_ROUTE_SECRETS]


def _write_routes(home: Home, room: str, routes: RouteSecrets) -> None:
    replace_file(home.room_path(room) / ROUTES_FILE, encode_small_file(routes))
