"""What a WebSocket's peer sends: hypercorn's stream, with limits that hold."""

from dataclasses import replace
from typing import Any, Final

import trio
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, RsvBits

from agentgather.edge.answers import header_list, refusal
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_CONTROL_FRAMES_PER_SECOND, SMALL_BYTES

MAX_TURN_FRAMES: Final = 16
"""Frames after which others have a turn: of the smallest, one read holds 10,000."""

_CODES: Final = {400: "bad_request", 403: "forbidden", 404: "not_found"}


class FrameRate:
    """Counts the frames that bring next to nothing, in a bucket that leaks.

    Pings, pongs and small fragments: a few bytes each, an answer or a look at a buffer each.
    Nobody has reason for more of them at once than in a second.
    """

    def __init__(self) -> None:
        self._level = 0.0
        self._at = trio.current_time()

    def is_flood(self) -> bool:
        """Count one more. True: it was one too many."""
        now = trio.current_time()
        leaked = (now - self._at) * MAX_CONTROL_FRAMES_PER_SECOND
        self._level = max(0.0, self._level - leaked) + 1
        self._at = now
        return self._level > MAX_CONTROL_FRAMES_PER_SECOND


class _ShortFrames(Extension):
    """Refuses a frame for the length that it announces. wsproto would wait for what never comes.

    It is no extension of the protocol, and offered to nobody: wsproto asks those about each frame.
    """

    name = "short frames"

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: object, opcode: object, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        del proto, opcode
        # A reserved bit is refused by wsproto, by a code of its own.
        if payload_length > self._most_bytes and not any(rsv):
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)


class SocketStream(WSStream):
    """One WebSocket's frames and state. ``has_more``: some of what was read is not parsed.

    The application is told by the code of its ``websocket.disconnect`` that the peer was cut
    for a fault of its own; it is 1006 or 1000 for all other ends, whatever the peer said.
    """

    has_more = False

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._rate = FrameRate()
        self._frame_bytes = 0
        self._fault: int | None = None

    def let_go(self) -> None:
        """Break the circles that it is part of; nothing of it is used after that."""
        if hasattr(self, "connection"):
            _break(self.connection)
        vars(self).clear()

    async def handle(self, event: Event) -> None:
        """Take an event of the connection."""
        if isinstance(event, Request):
            # No extension is ever negotiated: 204 KB of deflated zeros grew to 448 MB.
            headers = [pair for pair in event.headers if pair[0] != b"sec-websocket-extensions"]
            event = replace(event, headers=headers)
        elif isinstance(event, Data):
            if not self.handshake.accepted:
                await self._send_error_response(400)
                await self._end()
                return
            if self.connection.state is ConnectionState.CLOSED:
                return
        elif isinstance(event, StreamClosed) and self._fault is not None and not self.closed:
            self.closed = True
            await self._put({"type": "websocket.disconnect", "code": self._fault})
            return
        await super().handle(event)

    async def _accept(self, message: Any) -> None:
        await super()._accept(message)
        # No extension was negotiated, so nothing of hypercorn's choice is lost.
        _break(self.connection)
        most_bytes = self.config.websocket_max_message_size
        self.connection = Connection(ConnectionType.SERVER, [_ShortFrames(most_bytes)])

    async def _handle_events(self) -> None:
        self.has_more = False
        for count, event in enumerate(self.connection.events(), 1):
            if self._brings_nothing(event) and self._rate.is_flood():
                await self._cut(CloseReason.POLICY_VIOLATION)
                return
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    # Telling the peer does not make it stop: the connection ends here.
                    await self._cut(CloseReason.MESSAGE_TOO_BIG)
                    return
                if event.message_finished:
                    await self._put(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                # The peer's, or what wsproto makes of frames that break the protocol. Either
                # way the same code goes back, if it has not gone out already.
                if self.connection.state is ConnectionState.OPEN:
                    await self._cut(event.code)
                else:
                    await self._close(event.code)
                return
            if count == MAX_TURN_FRAMES:
                self.has_more = True
                return

    def _brings_nothing(self, event: object) -> bool:
        # A long frame comes in several events, of which only the last has finished it.
        if isinstance(event, Message):
            self._frame_bytes += len(event.data)
            if not event.frame_finished:
                return False
            size, self._frame_bytes = self._frame_bytes, 0
            return size < SMALL_BYTES and not event.message_finished
        return isinstance(event, Ping | Pong)

    async def _cut(self, code: int) -> None:
        """End it for what the peer did."""
        self._fault = int(code)
        await self._close(code)

    async def _close(self, code: int) -> None:
        await self._send_wsproto_event(CloseConnection(code=code))
        await self._end()

    async def _put(self, message: dict[str, Any]) -> None:
        assert self.app_put is not None
        await self.app_put(message)

    async def _end(self) -> None:
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_error_response(self, status_code: int) -> None:
        answer = refusal(Rejected(_CODES.get(status_code, "internal_error")))
        await self.send(
            Response(
                stream_id=self.stream_id,
                status_code=answer.status,
                headers=[*header_list(answer), (b"connection", b"close")],
            )
        )
        await self.send(Body(stream_id=self.stream_id, data=answer.body))
        await self.send(EndBody(stream_id=self.stream_id))


def _break(connection: Connection) -> None:
    # Its parser is a generator, which holds what holds it until the collector comes by.
    vars(connection._proto).clear()
