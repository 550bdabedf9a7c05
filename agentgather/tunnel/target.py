"""Answers requests by asking one HTTP server, which the user named: the room's own.

Whatever a broker says, nobody else is asked: it chooses a path there, and no more.
"""

from collections.abc import AsyncIterator, Set
from typing import Final
from urllib.parse import urlsplit

import httpcore
import trio

from agentgather.tunnel.call import Call, serve_stream
from agentgather.tunnel.guard import ANSWER_HEADERS
from agentgather.tunnel.http_server import HttpServer
from agentgather.tunnel.incoming import Incoming
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import ANSWER_SECONDS, MAX_DATA_BYTES, MAX_STREAMS
from agentgather.wire.link import Headers

CONNECT_SECONDS: Final = 5
"""To a server that is nearly always on this machine."""
IDLE_SECONDS: Final = 30
"""How long a connection is kept for the next request; less than the server keeps it."""
RETRY_SECONDS: Final = 5
"""When to ask again where the room's server does not run."""
_TIMEOUTS: Final = {
    "connect": CONNECT_SECONDS,
    "pool": CONNECT_SECONDS,
    "write": ANSWER_SECONDS,
    "read": ANSWER_SECONDS,
}


class TargetResponder:
    """Forwards to the server at ``target``, a base URL in normal form.

    A participant who leaves ends the connection there, and with it a held wait.
    """

    def __init__(self, target: str) -> None:
        self._server = HttpServer(target, connections=MAX_STREAMS, idle_seconds=IDLE_SECONDS)
        self._host = self._server.host
        self._passed_on: Set[bytes] = ANSWER_HEADERS

    def serve_at(self, public_url: str, *, passed_on: Set[bytes] = ANSWER_HEADERS) -> None:
        """See :class:`agentgather.tunnel.responder.Responder`."""
        # The server knows by it at which of its URLs it is asked.
        self._host = urlsplit(public_url).netloc.encode()
        self._passed_on = passed_on

    async def respond(self, stream: Incoming) -> None:
        """See :class:`agentgather.tunnel.responder.Responder`."""
        await serve_stream(stream, self._answer, passed_on=self._passed_on)

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._server.pool.aclose()

    async def _answer(self, call: Call) -> None:
        with trio.CancelScope() as scope:

            def on_news() -> None:
                if call.stream.reset_code is not None:
                    scope.cancel()

            call.stream.on_news = on_news
            on_news()
            try:
                await self._forward(call)
            except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
                # Refused, cut, or no HTTP: in any case the room is not there.
                raise Unavailable(
                    "host_unavailable",
                    "the room's server does not answer",
                    retry_after=RETRY_SECONDS,
                ) from None

    async def _forward(self, call: Call) -> None:
        headers = [(b"host", self._host), *call.headers]
        if call.method == "POST":
            headers.append((b"content-length", b"%d" % len(call.body)))
        async with self._server.pool.stream(
            call.method,
            self._server.url(call.target),
            headers=headers,
            content=call.body or None,
            extensions={"timeout": _TIMEOUTS},
        ) as answer:
            fields: Headers = tuple((name.lower(), value) for name, value in answer.headers)
            length = dict(fields).get(b"content-length", b"")
            if length.isdigit() and int(length) <= MAX_DATA_BYTES:
                # It is here, or nearly: all of it goes in one frame.
                body = await answer.aread()
                await call.send_first(answer.status, fields, body, end=True)
                return
            await call.send_first(answer.status, fields, b"", end=False)
            pieces = answer.aiter_stream()
            try:
                async for piece in pieces:
                    await call.send_next(piece, end=False)
            except BaseException:
                await _break_off(pieces)
                raise
            await call.send_next(b"", end=True)


async def _break_off(pieces: AsyncIterator[bytes]) -> None:
    """End an iteration half-way, and with it the connection.

    httpcore iterates through several generators, and closing the outermost leaves the
    others to the garbage collector, which Trio warns of. An exception out of the innermost,
    where it reads, ends them all.
    """
    with trio.CancelScope() as scope:
        scope.cancel()
        async for _ in pieces:
            pass  # what was read already
