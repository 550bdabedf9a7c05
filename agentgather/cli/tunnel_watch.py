"""A room's one tunnel, as far as its files tell: whose it is, and where it leads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from agentgather.cli.failures import Refused
from agentgather.edge.origins import Served, normalise_base_url
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked
from agentgather.storage.tunnel_files import (
    ask_for_route,
    open_tunnel_lock,
    public_url_of,
    read_tunnel_holder,
    tunnel_path,
    tunnel_stamp,
    use_route,
)
from agentgather.tunnel.events import TunnelPlan
from agentgather.wire.records import RouteSecret

LOOK_SECONDS: Final = 0.5
"""Between two looks of a server at the tunnel that another process runs for its room."""


@contextmanager
def own_tunnel(home: Home, room: str, plan: TunnelPlan) -> Iterator[None]:
    """Be the one process that makes a room public, for the length of the block.

    Within it a broker may be shown what the plan has: its secret is on the disk.

    Raises:
        Refused: another one does.
        DamagedRoom, NewerSchema, OSError: the secret cannot be kept.

    """
    try:
        with open_tunnel_lock(home, room):
            ask_for_route(home, room, _route_of(plan))
            yield
    except RoomLocked:
        holder = read_tunnel_holder(home, room)
        who = f", process {holder}" if holder else ""
        raise Refused(f"{room} has a tunnel already{who}; end that one first") from None


def remember_granted(home: Home, room: str, plan: TunnelPlan) -> None:
    """Take a plan whose slug the broker has granted for the next time, where none is named.

    Raises:
        DamagedRoom, NewerSchema, OSError: it cannot be kept.

    """
    use_route(home, room, _route_of(plan))


def _route_of(plan: TunnelPlan) -> RouteSecret:
    return RouteSecret(plan.broker, plan.slug, plan.secret)


async def watch_tunnel(home: Home, room: str, served: Served, *, after: trio.Event) -> None:
    """Keep a served room's public URL as another process has it, until cancelled.

    From ``after`` on; until then this process may have a tunnel of its own. Between two
    looks ``served`` has us glance at the file whenever it depends on it, so that a URL
    holds from the moment that it is printed.
    """
    await after.wait()
    watch = _Watch(home, room, served)
    served.look = watch.glance
    while True:
        watch.look()
        await trio.sleep(LOOK_SECONDS)


class _Watch:
    """What was seen last of another process's tunnel."""

    def __init__(self, home: Home, room: str, served: Served) -> None:
        self._home = home
        self._room = room
        self._served = served
        self._path = tunnel_path(home, room)
        self._stamp: object = None
        self._url: str | None = None

    def look(self) -> None:
        """Read where the room is public. A process that was killed changes no file."""
        # First, so that what is written meanwhile is read at the next glance.
        self._stamp = tunnel_stamp(self._path)
        # Mostly there is none, and this is all that a room at rest does.
        url = _normal(public_url_of(self._home, self._room)) if self._stamp is not None else None
        if url != self._url:
            self._served.set_tunnel(url)
            self._url = url

    def glance(self) -> None:
        """Look where the file is another one; else nothing is read."""
        if tunnel_stamp(self._path) != self._stamp:
            self.look()


def _normal(url: str | None) -> str | None:
    # The file may be edited by hand, and then hold anything.
    try:
        return None if url is None else normalise_base_url(url)
    except ValueError:
        return None
