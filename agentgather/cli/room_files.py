"""The room's application in this process: how a command acts when no server runs."""

from collections.abc import Mapping
from typing import Any

from agentgather.cli.room_api import NotServed, Reply
from agentgather.storage.home import Home


class FilesTransport:
    """Takes the room's lock for one request, and gives it back."""

    def __init__(self, home: Home, room: str, base_url: str) -> None:
        self._home = home
        self._room = room
        self._base_url = base_url

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """See ``room_api.Transport``."""
        # Here, because most commands find a server and never need Trio.
        import trio

        return trio.run(self._exchange, method, target, headers, body)

    async def _exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        # Here for the same reason.
        import trio

        from agentgather.edge.origins import Served
        from agentgather.server.app import build_app
        from agentgather.server.service import open_live_room
        from agentgather.storage.lock import RoomLocked

        path, _, query = target.partition("?")
        pairs = {"host": "127.0.0.1", **{name.lower(): v for name, v in headers.items()}}
        if body is not None:
            pairs["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.1"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
            "state": {},
            "extensions": {},
        }
        to_app: list[Any] = [{"type": "http.request", "body": body or b"", "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            if to_app:
                return to_app.pop()
            await trio.sleep_forever()
            return None

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            async with open_live_room(self._home, self._room) as live:
                # Nothing is held: whoever waits on files alone waits for nobody.
                live.hub.release()
                served = Served("http://127.0.0.1", public_urls=(self._base_url,))
                await build_app(live, served)(scope, receive, send)
        except RoomLocked:
            raise NotServed("another process serves it, at another URL than this seat's") from None
        start, *rest = sent
        retry = dict(start["headers"]).get(b"retry-after", b"1")
        return Reply(start["status"], b"".join(part["body"] for part in rest), int(retry))
