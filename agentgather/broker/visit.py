"""One participant's request on its way through the broker, and what is noted of it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import trio

from agentgather.edge.answers import Send
from agentgather.edge.bodies import Receive


class Visit(NamedTuple):
    """What is asked of a host. ``path`` is what follows the slug, as it came: ``b"/wait"``.

    ``is_stranger``: no host has accepted the credential that it shows, if it shows one.
    """

    method: str
    path: bytes
    query: bytes
    headers: Mapping[bytes, bytes]
    is_wait: bool
    receive: Receive
    send: Send
    is_stranger: bool = True


def _nothing(_status: int) -> None:
    pass


class Tally:
    """What is noted of one request: counts and codes, and nothing of what is in it.

    ``status`` is 0 until an answer began; ``on_status`` is told when it does. ``slug`` is ""
    where the request was for none. ``client`` is whom it counts for, once ``is_counted``.
    """

    __slots__ = (
        *("_receive", "_send", "bytes_in", "bytes_out", "client", "error", "is_counted"),
        *("is_wait", "method", "on_status", "path_class", "slug", "started", "status"),
    )

    def __init__(self, method: str, client: str, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self.method = method
        self.client = client
        self.is_counted = False
        self.slug = ""
        self.path_class = "other"
        self.is_wait = False
        self.started = trio.current_time()
        self.status = self.bytes_in = self.bytes_out = 0
        self.error: str | None = None
        self.on_status: Callable[[int], None] = _nothing

    async def receive(self) -> Any:
        """Give the next ASGI event, and count its bytes."""
        event = await self._receive()
        self.bytes_in += len(event.get("body", b""))
        return event

    async def send(self, message: Any) -> None:
        """Take an ASGI event, and count its bytes."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.on_status(self.status)
        else:
            self.bytes_out += len(message.get("body", b""))
        await self._send(message)
