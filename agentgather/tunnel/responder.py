"""Who answers the requests that come over a link: here, an application in this process."""

from collections.abc import Mapping, Set
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import trio

from agentgather.edge.exchange import App, Event
from agentgather.edge.request_head import RequestHead, build_scope
from agentgather.link.stream import StreamOver
from agentgather.tunnel.call import Call, serve_stream
from agentgather.tunnel.guard import ANSWER_HEADERS
from agentgather.tunnel.incoming import Incoming
from agentgather.wire.link import Headers

CLIENT: Final = ("tunnel", 0)
"""Who asks, as far as an application can tell. It is no address, so it is on no machine."""


class Responder(Protocol):
    """Answers one request at a time, as many at once as there are tasks that ask."""

    def serve_at(self, public_url: str, *, passed_on: Set[bytes] = ANSWER_HEADERS) -> None:
        """Take the base URL, in normal form, under which requests come from now on.

        ``passed_on`` are the names of the answers' headers that its broker is given.
        """

    async def respond(self, stream: Incoming) -> None:
        """Answer the request of a stream, whole; raises only Cancelled.

        When the participant leaves, the stream is reset, and this returns soon.
        """


class AsgiResponder:
    """Calls an ASGI application, as if it were served at the public URL."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._host = b""
        self._scheme = "https"
        self._passed_on: Set[bytes] = ANSWER_HEADERS

    def serve_at(self, public_url: str, *, passed_on: Set[bytes] = ANSWER_HEADERS) -> None:
        """See :class:`Responder`."""
        parts = urlsplit(public_url)
        self._passed_on = passed_on
        self._scheme, self._host = parts.scheme, parts.netloc.encode()

    async def respond(self, stream: Incoming) -> None:
        """See :class:`Responder`."""
        await serve_stream(stream, self._answer, passed_on=self._passed_on)

    async def _answer(self, call: Call) -> None:
        head = RequestHead(
            method=call.method,
            target=call.target,
            http_version="1.1",
            headers=self._headers(call),
            has_body=bool(call.body),
            keeps_alive=True,
            expects_continue=False,
            is_websocket=False,
        )
        scope = build_scope(head, CLIENT, None) | {"scheme": self._scheme}
        visit = _Visit(call)
        with visit.scope:
            await self._app(scope, visit.receive, visit.send)

    def _headers(self, call: Call) -> list[tuple[bytes, bytes]]:
        headers = [(b"host", self._host), *call.headers]
        if call.method == "POST":
            headers.append((b"content-length", b"%d" % len(call.body)))
        return headers


class _Visit:
    """One call of the application: what it receives, and what it sends.

    It runs in the stream's task, and learns of the participant's end where it receives.
    A whole answer to somebody who left goes nowhere; a stream is cancelled, or it would
    go on for ever.
    """

    def __init__(self, call: Call) -> None:
        self.scope = trio.CancelScope()
        self._call = call
        self._is_body_told = False
        self._start: Mapping[str, Any] | None = None

    async def receive(self) -> Event:
        if not self._is_body_told:
            self._is_body_told = True
            return {"type": "http.request", "body": self._call.body, "more_body": False}
        stream = self._call.stream
        while stream.reset_code is None and not self._call.is_over:
            await stream.wait_news()
        return {"type": "http.disconnect"}

    async def send(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        assert self._start is not None, "a body follows its head"
        body = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        try:
            if self._call.has_begun:
                await self._call.send_next(body, end=not more)
            else:
                headers: Headers = tuple(self._start.get("headers", ()))
                await self._call.send_first(self._start["status"], headers, body, end=not more)
        except StreamOver:
            if more:
                self.scope.cancel()
        if more:
            # A stream that is taken at once must let others have their turn.
            await trio.lowlevel.checkpoint()
