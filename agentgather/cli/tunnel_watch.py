"""A room's one tunnel, as far as its files tell: whose it is, and where it leads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from agentgather.cli.failures import Refused
from agentgather.edge.origins import Served, normalise_base_url
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked
from agentgather.storage.tunnel_files import open_tunnel_lock, public_url_of, read_tunnel_holder

LOOK_SECONDS: Final = 0.5
"""Between two looks of a server at the tunnel that another process runs for its room."""


@contextmanager
def own_tunnel(home: Home, room: str) -> Iterator[None]:
    """Be the one process that makes a room public, for the length of the block.

    Raises:
        Refused: another one does.

    """
    try:
        with open_tunnel_lock(home, room):
            yield
    except RoomLocked:
        holder = read_tunnel_holder(home, room)
        who = f", process {holder}" if holder else ""
        raise Refused(f"{room} has a tunnel already{who}; end that one first") from None


async def watch_tunnel(home: Home, room: str, served: Served) -> None:
    """Keep a served room's public URL as another process has it, until cancelled."""
    known: str | None = None
    while True:
        url = _normal(public_url_of(home, room))
        if url != known:
            served.set_tunnel(url)
            known = url
        await trio.sleep(LOOK_SECONDS)


def _normal(url: str | None) -> str | None:
    # The file may be edited by hand, and then hold anything.
    try:
        return None if url is None else normalise_base_url(url)
    except ValueError:
        return None
