"""The room's application in this process: how a command acts when no server runs."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import trio

from agentgather.cli.http_client import NoAnswer, Reply
from agentgather.cli.request import Request, headers_of
from agentgather.cli.signals import signals_deferred
from agentgather.edge.origins import Served
from agentgather.server.app import build_app
from agentgather.server.service import open_live_room
from agentgather.storage.home import Home


def exchange_through_files(
    home: Home, room: str, served: Served, request: Request, warn: Callable[[str], None]
) -> Reply:
    """Own the room for one request, as if it were served at ``served``.

    ``warn`` is told what opening it found.

    Raises:
        RoomLocked: another process owns it.
        UnsafeFile, DamagedRoom, NewerSchema, OSError: it cannot be opened.
        NoAnswer: a bug of the application.

    """
    # A request that has begun is finished: what it staged must reach the disk.
    with signals_deferred():
        return trio.run(_exchange, home, room, served, request, warn)


async def _exchange(
    home: Home, room: str, served: Served, request: Request, warn: Callable[[str], None]
) -> Reply:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async with open_live_room(home, room) as live:
        for warning in live.warnings:
            warn(warning)
        # Nothing is held: whoever waits on files alone waits for nobody.
        live.hub.release()
        app = build_app(live, served)
        await app(_scope(served, request), _receiver(request.body or b""), send)
    if not sent:
        raise NoAnswer("there was no answer")
    start, *rest = sent
    retry_after = int(dict(start["headers"]).get(b"retry-after", b"0"))
    return Reply(start["status"], b"".join(part["body"] for part in rest), retry_after)


def _scope(served: Served, request: Request) -> dict[str, Any]:
    parts = urlsplit(served.base_url)
    path, _, query = (parts.path + request.target).partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in headers_of(request, parts.netloc).items()],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
        "extensions": {},
    }


def _receiver(body: bytes) -> Callable[[], Any]:
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not events:
            await trio.sleep_forever()
        return events.pop()

    return receive
