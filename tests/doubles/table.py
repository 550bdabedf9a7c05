"""A live room with its seats taken, in process: real files, virtual time, no sockets."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from agentgather.domain.tokens import hash_token, mint_token
from agentgather.edge.origins import Served
from agentgather.server.app import build_app
from agentgather.server.live_room import LiveRoom
from agentgather.server.service import open_live_room
from agentgather.storage.home import Home
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import Participant, RoomState, Tokens
from tests.doubles.asgi_client import App, AsgiClient
from tests.doubles.clock import RoomClock, jump_when_idle

MADE_AT = "2026-01-02T03:04:05.000Z"
BASE_URL = "http://127.0.0.1:8787"
SEATS = {
    "host": Participant(alias="host", kind="human", is_host=True),
    "ada": Participant(alias="ada", kind="human"),
    "rev": Participant(alias="rev", kind="agent"),
    "bo": Participant(alias="bo", kind="agent"),
    "eve": Participant(alias="eve", kind="human", role="observer"),
}
TOKENS = {alias: mint_token(hash_token(alias)[:32].encode()) for alias in SEATS}


def make_home(path: Path, *, brief: str = "Goal: say hello.", **state: Any) -> Home:
    """Make a home with the room ``demo``, in which nobody has acted yet."""
    home = Home(path)
    seats = [
        Participant.from_plain(
            {**seat.to_plain(), "token_hash": hash_token(TOKENS[alias]), "joinedAt": ""}
        )
        for alias, seat in SEATS.items()
    ]
    plain = {
        "id": "demo",
        "createdAt": MADE_AT,
        "updatedAt": MADE_AT,
        "brief_updated_at": MADE_AT,
        "brief_updated_by": "host",
        **state,
    }
    home.create_room(RoomState.from_plain(plain), seats, brief, Tokens())
    return home


class Table:
    """Everybody around one room."""

    def __init__(self, home: Home, live: LiveRoom, app: App, clock: RoomClock) -> None:
        self.home = home
        self.live = live
        self.app = app
        self.clock = clock
        self.host = AsgiClient(app, TOKENS["host"])
        self.ada = AsgiClient(app, TOKENS["ada"])
        self.rev = AsgiClient(app, TOKENS["rev"])
        self.bo = AsgiClient(app, TOKENS["bo"])
        self.eve = AsgiClient(app, TOKENS["eve"])
        self.anyone = AsgiClient(app)
        self.folder = home.room_path("demo")

    def texts(self) -> list[str]:
        """Give the texts in the log on the disk."""

        lines = (self.folder / "messages.jsonl").read_bytes().split(b"\n")
        assert lines.pop() == b""
        return [json.loads(line)["text"] for line in lines]

    async def settled_but_for_the_disk(self) -> None:
        """Return once everybody waits."""
        await wait_all_tasks_blocked()

    async def settled(self) -> None:
        """Return once everybody waits, and the disk has nothing to do."""
        await wait_all_tasks_blocked()
        while self.live.commit._staged:
            await wait_all_tasks_blocked(0.0002)


@asynccontextmanager
async def open_table(
    home: Home,
    *,
    public_urls: tuple[str, ...] = (),
    allow_remote: bool = False,
    max_messages: int = MAX_LOG_MESSAGES,
    in_virtual_time: bool = True,
) -> AsyncIterator[Table]:
    """Own the room and serve it to clients in this process."""
    clock = RoomClock()
    async with open_live_room(
        home, "demo", clock=clock, entropy=os.urandom, max_messages=max_messages
    ) as live:
        served = Served(BASE_URL, public_urls=public_urls, allow_remote=allow_remote)
        async with trio.open_nursery() as nursery:
            if in_virtual_time:
                nursery.start_soon(jump_when_idle, [live])
            yield Table(home, live, build_app(live, served), clock)
            nursery.cancel_scope.cancel()
