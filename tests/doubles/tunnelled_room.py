"""A real room, open to everybody at a broker, in this process."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from agentgather.edge.origins import Served
from agentgather.server.app import build_app
from agentgather.server.live_room import LiveRoom
from agentgather.server.service import open_live_room
from agentgather.storage.home import Home
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Opened, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder
from tests.doubles.broker_stage import SECRET

SECONDS = 20
"""No tunnel takes as long to open."""


@asynccontextmanager
async def open_tunnelled_room(home: Home, slug: str, broker_url: str) -> AsyncIterator[LiveRoom]:
    """Own the room ``demo`` of a home, and have it public under a slug."""
    stop, opened = trio.Event(), trio.Event()
    async with open_live_room(home, "demo") as live, trio.open_nursery() as nursery:
        served = Served("http://127.0.0.1:8787")

        def tell(event: object) -> None:
            if isinstance(event, Opened):
                served.set_tunnel(event.public_url)
                opened.set()

        async def run() -> None:
            await run_tunnel(
                TunnelPlan(broker_url, slug, SECRET + slug),
                AsgiResponder(build_app(live, served)),
                stop=stop,
                on_event=tell,
                entropy=os.urandom,
            )

        nursery.start_soon(run)
        with trio.fail_after(SECONDS):
            await opened.wait()
        yield live
        stop.set()
        live.hub.release()
