"""Open a room, serve it, and end it in order.

Tasks of a served room, outermost first; each outlives those below it:

* ``core``: the writer. It ends when all that was staged is durable.
* ``wakers``: the hub's pump, the room's own clock, and the loading of the renderer.
  Cancelled once the server is gone.
* the HTTP server, and in it one task per connection.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from agentgather.domain.room import Room
from agentgather.domain.text import Moment
from agentgather.edge.memory import settle_memory
from agentgather.edge.origins import Served
from agentgather.edge.serve import serve_http
from agentgather.server.app import build_app
from agentgather.server.clock import read_clock
from agentgather.server.live_room import LiveRoom
from agentgather.storage.home import Home
from agentgather.storage.owned_room import open_room
from agentgather.storage.stored_room import StoredRoom
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import Message


@asynccontextmanager
async def open_live_room(
    home: Home,
    room_id: str,
    *,
    max_messages: int = MAX_LOG_MESSAGES,
    clock: Callable[[], Moment] = read_clock,
    entropy: Callable[[int], bytes] = os.urandom,
) -> AsyncIterator[LiveRoom]:
    """Own a room: take its lock, read its log, run its writer and its waker.

    On the way out everything that was staged is made durable first.

    Raises:
        RoomLocked, UnsafeFile, DamagedRoom, NewerSchema: as ``storage.owned_room.open_room``.

    """
    loading: list[Room] = []

    def on_stored(stored: StoredRoom) -> None:
        loading.append(
            Room(stored.state, stored.participants, stored.brief, max_messages=max_messages)
        )

    def on_record(message: Message, entry: bytes) -> None:
        loading[0].load(message, entry)

    with open_room(home, room_id, on_record, clock().text(), on_stored=on_stored) as opened:
        live = LiveRoom(
            loading[0],
            home.read_tokens(room_id),
            opened.store,
            warnings=opened.warnings,
            clock=clock,
            entropy=entropy,
        )
        async with trio.open_nursery() as core:
            await core.start(live.commit.run)
            async with trio.open_nursery() as wakers:
                wakers.start_soon(live.hub.run)
                wakers.start_soon(live.run_clock)
                wakers.start_soon(live.rendering.warm_up)
                live.reconcile(clock())
                try:
                    yield live
                finally:
                    wakers.cancel_scope.cancel()
            live.commit.close()


async def serve_room(
    live: LiveRoom,
    sockets: Sequence[socket.socket],
    *,
    served: Served,
    stop: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an open room until ``stop``, then answer every held wait and return."""
    settle_memory()
    await serve_http(
        build_app(live, served),
        sockets,
        stop=stop,
        on_stop=live.hub.release,
        task_status=task_status,
    )
