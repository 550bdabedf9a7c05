"""One request and its answer, as an ASGI application sees them.

    receive()  the body, as it comes; then only the peer's end, and nothing before it
    send()     head and body leave in one write; a stream's chunks one by one

The application runs in its connection's task, so ``receive`` reads the socket itself. A
held wait is therefore one task in one read, which ends when the peer leaves or when the
application cancels it.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import h11
import trio

from agentgather.edge.answers import header_list, refusal
from agentgather.edge.bounds import MAX_PIPELINED_BYTES
from agentgather.edge.framing import AnswerFraming, BadAnswer
from agentgather.edge.line import Line
from agentgather.edge.request_body import MalformedBody, RequestBody
from agentgather.edge.request_head import RequestHead
from agentgather.edge.traffic import Traffic
from agentgather.wire.errors import Rejected

ABORT: Final = "agentgather.response.abort"
"""An event of our own: what was begun cannot be ended, and the connection is reset."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

Event = MutableMapping[str, Any]
App = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI 3 application: scope, receive, send."""


class Exchange:
    """One request and its answer.

    ``has_begun`` once some of the answer is written, ``is_answered`` once all of it is.
    """

    __slots__ = (
        "_body",
        "_framing",
        "_head",
        "_is_body_told",
        "_line",
        "_start",
        "_traffic",
        "_waits_for_go",
        "has_begun",
        "is_answered",
    )

    def __init__(
        self, line: Line, traffic: Traffic, head: RequestHead, parser: h11.Connection
    ) -> None:
        self._line = line
        self._traffic = traffic
        self._head = head
        # None as soon as nothing of the body is left to come.
        self._body = RequestBody(parser) if head.has_body else None
        self._is_body_told = False
        self._waits_for_go = head.expects_continue
        self._start: Mapping[str, Any] | None = None
        self._framing: AnswerFraming | None = None
        self.has_begun = False
        self.is_answered = False

    @property
    def keeps_alive(self) -> bool:
        """Whether the next request may be read behind this one."""
        return self.is_answered and self._framing is not None and self._framing.keeps_alive

    @property
    def is_read(self) -> bool:
        """Whether the whole body was read."""
        return self._body is None

    async def receive(self) -> Event:
        """Give the next ASGI event. Cancelling loses nothing."""
        line = self._line
        if not self._is_body_told:
            event = await self._receive_body()
            if event is not None:
                return event
        while not (line.is_gone or self.is_answered):
            data = await line.read()
            # Bytes of a next request. They wait: whoever stopped reading would be blind.
            line.unread += data
            if len(line.unread) > MAX_PIPELINED_BYTES:
                line.is_gone = True
        return {"type": "http.disconnect"}

    async def _receive_body(self) -> Event | None:
        """Give some of the body, or None: no more of it will come."""
        line = self._line
        while self._body is not None:
            try:
                data = self._take_body(self._body)
            except MalformedBody:
                await self.refuse(Rejected("bad_request", "the body's chunks are malformed"))
                self._is_body_told = True
                return None
            if data or self._body is None:
                self._is_body_told = self._body is None
                if not self._is_body_told:
                    # Others must have their turn, however fast the body comes.
                    await trio.lowlevel.checkpoint()
                return {"type": "http.request", "body": data, "more_body": not self._is_body_told}
            if self._waits_for_go:
                # Only now: an application that refuses by the length never gets here.
                self._waits_for_go = False
                await line.write(_CONTINUE)
            line.unread = await line.read()
            if line.is_gone:
                self._is_body_told = True
                return None
        self._is_body_told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    def _take_body(self, body: RequestBody) -> bytes:
        line = self._line
        received, line.unread = line.unread, b""
        data = body.take(received)
        if received:
            self._waits_for_go = False
        if body.is_whole:
            line.unread = body.behind
            self._body = None
        return data

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take an ASGI event.

        To a peer that is gone a whole answer is sent into the void, and a stream is cancelled,
        or it would go on for ever. Cancelling it half-way ends the connection.

        Raises:
            BadAnswer: the event does not follow the one before. A bug.

        """
        kind = message["type"]
        if kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == ABORT and self._start is not None:
            # Half an answer must not look like a whole one; of a head alone nothing is sent.
            self._line.is_torn = self._line.is_gone = True
        elif kind == "http.response.body" and self._start is not None:
            if not self.is_answered:
                more = bool(message.get("more_body", False))
                await self._send_body(self._start, bytes(message.get("body", b"")), more=more)
        else:
            raise BadAnswer(f"{kind} does not follow")

    async def _send_body(self, start: Mapping[str, Any], body: bytes, *, more: bool) -> None:
        line = self._line
        if self._framing is None:
            keeps_alive = self._may_keep_alive(more=more)
            framing = self._new_framing(keeps_alive=keeps_alive)
            data = framing.first(start["status"], start.get("headers", ()), body, more=more)
            self._framing = framing
        else:
            data = self._framing.next(body, more=more)
        self.has_begun = True
        self.is_answered = not more
        await line.write(data)
        if more:
            if line.is_gone:
                line.cut()
            # A fast reader never makes a stream wait: others must have their turn.
            await trio.lowlevel.checkpoint()

    def _may_keep_alive(self, *, more: bool) -> bool:
        if not self._head.keeps_alive or self._traffic.is_stopping:
            return False
        if self._body is not None and not more:
            # All of it may be here, and nobody asked for it.
            try:
                self._take_body(self._body)
            except MalformedBody:
                return False
        return self._body is None

    def _new_framing(self, *, keeps_alive: bool) -> AnswerFraming:
        return AnswerFraming(self._head.method, self._head.http_version, keeps_alive=keeps_alive)

    async def refuse(self, error: Rejected) -> None:
        """Answer in the application's place, unless it has begun to, and close."""
        if self.has_begun:
            return
        answer = refusal(error)
        self._framing = framing = self._new_framing(keeps_alive=False)
        self.has_begun = self.is_answered = True
        await self._line.write(
            framing.first(answer.status, header_list(answer), answer.body, more=False)
        )
