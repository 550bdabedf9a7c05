"""WebSockets: hypercorn's stream, with its limits made to hold."""

from dataclasses import replace
from typing import Any

from hypercorn.protocol.events import Body, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from wsproto.events import CloseConnection, Message
from wsproto.frame_protocol import CloseReason

from agentgather.edge.answers import header_list, refusal
from agentgather.wire.errors import Rejected


class SocketStream(WSStream):
    """One WebSocket. No extension is ever negotiated: a deflated bomb grew to 448 MB."""

    async def handle(self, event: Event) -> None:
        """Take an event of the connection."""
        if isinstance(event, Request):
            headers = [pair for pair in event.headers if pair[0] != b"sec-websocket-extensions"]
            event = replace(event, headers=headers)
        await super().handle(event)

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                try:
                    self.buffer.extend(event)
                except FrameTooLargeError:
                    # Telling the peer does not make it stop: the connection ends here.
                    await self._send_wsproto_event(
                        CloseConnection(code=CloseReason.MESSAGE_TOO_BIG)
                    )
                    await self.send(StreamClosed(stream_id=self.stream_id))
                    return
                if event.message_finished:
                    await self._deliver(self.buffer.to_message())
                    self.buffer.clear()
            else:
                await self._handle_control(event)

    async def _deliver(self, message: dict[str, Any]) -> None:
        assert self.app_put is not None
        await self.app_put(message)

    async def _handle_control(self, event: Any) -> None:
        if isinstance(event, CloseConnection):
            if not self.closed:
                await self._send_wsproto_event(event.response())
            await self.send(StreamClosed(stream_id=self.stream_id))
        elif hasattr(event, "response"):
            await self._send_wsproto_event(event.response())

    async def _send_error_response(self, status_code: int) -> None:
        codes = {403: "not_found", 400: "bad_request"}
        answer = refusal(Rejected(codes.get(status_code, "internal_error")))
        await self.send(
            Response(
                stream_id=self.stream_id,
                status_code=answer.status,
                headers=[*header_list(answer), (b"connection", b"close")],
            )
        )
        await self.send(Body(stream_id=self.stream_id, data=answer.body))
        await self.send(EndBody(stream_id=self.stream_id))
        await self.send(StreamClosed(stream_id=self.stream_id))
