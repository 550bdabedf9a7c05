"""A room served by a process of its own: ``python -m tests.doubles.room_process <home>``.

Prints the port, and ends in order when its input ends.
"""

import sys
from functools import partial
from pathlib import Path

import trio

from agentgather.edge.origins import Served
from agentgather.edge.serve import open_listener
from agentgather.server.service import open_live_room, serve_room
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked


async def main(root: Path) -> None:
    async with open_live_room(Home(root), "demo") as live, trio.open_nursery() as nursery:
        listeners = open_listener("127.0.0.1", 0)
        port = listeners[0].getsockname()[1]
        served = Served(f"http://127.0.0.1:{port}")
        stop = trio.Event()
        await nursery.start(partial(serve_room, live, listeners, served=served, stop=stop))
        print(port, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        stop.set()


if __name__ == "__main__":
    try:
        trio.run(main, Path(sys.argv[1]))
    except RoomLocked as locked:
        sys.exit(str(locked))
