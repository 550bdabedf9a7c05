"""A connection that has become a WebSocket: hypercorn's classes, with limits that hold.

The application runs in the connection's task here too, and reads the socket when it asks
for a message. So nothing is buffered that it did not ask for, and a ping is answered, and
the peer's end noticed, by an application that receives.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any, Final

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import FrameTooLargeError, WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState as LifespanState
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from agentgather.edge.answers import header_list, refusal
from agentgather.edge.exchange import App
from agentgather.edge.line import Line
from agentgather.edge.request_head import RequestHead
from agentgather.wire.errors import Rejected

logger: Final = logging.getLogger("agentgather.edge")

Put = Callable[[Any], Awaitable[None]]

READ_BYTES: Final = 8 * 1024
"""One turn's worth of frames: 1,300 of the smallest take 20 ms."""

_CODES: Final = {400: "bad_request", 403: "forbidden", 404: "not_found"}


class SocketStream(WSStream):
    """One WebSocket's frames and state."""

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
                    await self._end()
                    return
                if event.message_finished:
                    await self._put(self.buffer.to_message())
                    self.buffer.clear()
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                # The peer's, or what wsproto makes of frames that break the protocol. Either
                # way the same code goes back, if it has not gone out already.
                await self._send_wsproto_event(CloseConnection(code=event.code))
                await self._end()
                return

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


class WebSocketProtocol(H11Protocol):
    """From the handshake to the end. It stands in for hypercorn's task group as well."""

    def __init__(
        self,
        app: App,
        config: Config,
        context: WorkerContext,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Put,
        line: Line,
        parser: h11.Connection,
    ) -> None:
        super().__init__(
            app,  # type: ignore[arg-type]
            config,
            context,
            self,  # type: ignore[arg-type]
            LifespanState({}),
            False,
            client,
            server,
            send,
        )
        self.connection = H11WSConnection(parser)
        self._application = app
        self._line = line
        self._inbox: deque[MutableMapping[str, Any]] = deque()
        self._scope: Any = None

    async def run(self, head: RequestHead) -> None:
        """Run the application on a handshake that has the right shape, until it returns."""
        stream = self.stream = SocketStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            False,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        request = Request(
            stream_id=STREAM_ID,
            headers=head.headers,
            http_version=head.http_version,
            method=head.method,
            raw_path=head.target,
            state=self.connection_state,
        )
        await stream.handle(request)

        async def send(message: Any) -> None:
            await stream.app_send(message)
            if self._line.is_gone:
                # As for an HTTP stream: it would go on for ever.
                self._line.cut()
            await trio.lowlevel.checkpoint()

        try:
            await self._application(self._scope, self._receive, send)
        except* Exception:
            logger.exception("an application failed")
        await stream.app_send(None)

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Put:
        """Note down what :meth:`run` is to call. Returns what takes its events."""
        del app, config, send
        self._scope = scope

        async def put(event: MutableMapping[str, Any]) -> None:
            self._inbox.append(event)

        return put

    async def _receive(self) -> MutableMapping[str, Any]:
        while not self._inbox:
            if self.stream is None:
                return {"type": "websocket.disconnect", "code": int(CloseReason.ABNORMAL_CLOSURE)}
            data = await self._line.read(READ_BYTES)
            await self.handle(RawData(data) if data else Closed())
        return self._inbox.popleft()
