"""HTTP/1 on one connection: hypercorn's protocol, with our checks in it.

The application runs in the connection's own task. hypercorn starts a task per request and
speaks to it through a channel; here starting it is to note it down, and the channel of an
HTTP request is a deque. That was half of what a request cost.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Event
from hypercorn.protocol.events import Body, Data, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from agentgather.edge.shape import check_request
from agentgather.edge.websocket import SocketStream
from agentgather.wire.errors import Rejected

Put = Callable[[Any], Awaitable[None]]
WEBSOCKET_QUEUE: Final = 16
"""Messages that a WebSocket's application may lag behind before its peer is not read."""


class Started(NamedTuple):
    """A request whose application is to be run. HTTP has a deque, WebSockets a channel."""

    scope: Any
    send: Put
    inbox: deque[Any]
    channel: trio.MemoryReceiveChannel[Any] | None


class InlineTaskGroup(TaskGroup):
    """hypercorn's place to start applications; this one only notes them down."""

    def __init__(self) -> None:
        super().__init__()
        self.started: Started | None = None

    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Put) -> Put:
        """Note a request down. Returns what takes its events."""
        del app, config
        inbox: deque[Any] = deque()
        if scope["type"] == "websocket":
            to_app, from_peer = trio.open_memory_channel[Any](WEBSOCKET_QUEUE)
            self.started = Started(scope, send, inbox, from_peer)
            return to_app.send
        self.started = Started(scope, send, inbox, None)

        async def put(event: Any) -> None:
            inbox.append(event)

        return put


class Protocol(H11Protocol):
    """Reads requests and writes answers.

    ``refused`` is why nothing more is read. ``is_pipelined`` is true once a request came
    before the answer to the one before: it is not read, because it would hide the peer's
    end from a held wait. The connection closes after the answer, and the peer sends again.
    """

    connection: h11.Connection | H11WSConnection

    def __init__(
        self,
        config: Config,
        context: WorkerContext,
        tasks: InlineTaskGroup,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        super().__init__(
            ASGIWrapper(_no_app),
            config,
            context,
            tasks,
            ConnectionState({}),
            False,
            client,
            server,
            send,
        )
        self.refused: Rejected | None = None
        self.is_pipelined = False

    @property
    def is_request_whole(self) -> bool:
        """Whether the peer's request, body and all, has been read."""
        return self.connection.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    async def stream_send(self, event: StreamEvent) -> None:
        """Write one event of an answer."""
        if isinstance(event, Response) and event.status_code >= 200:
            # The rest of an unread body is thrown away, not read as the next request.
            keeps = self.is_request_whole and not self.is_pipelined
            if (not keeps or self.context.terminated.is_set()) and not isinstance(
                self.stream, SocketStream
            ):
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    def go_on(self) -> bytes:
        """Give what tells the peer to send the body that it waits to send; b"" if it does not."""
        if not self.connection.they_are_waiting_for_100_continue:
            return b""
        return self.connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b""

    async def _handle_events(self) -> None:
        while self.refused is None:
            try:
                event = self.connection.next_event()
                if isinstance(event, h11.Request):
                    check_request(event)
            except h11.RemoteProtocolError as error:
                code = "not_implemented" if error.error_status_hint == 501 else "bad_request"
                self.refused = Rejected(code)
            except Rejected as error:
                self.refused = error
            else:
                if isinstance(event, h11.Request):
                    await self._create_stream(event)
                elif event is h11.PAUSED:
                    self.is_pipelined = True
                    return
                elif self.stream is None or event is h11.NEED_DATA:
                    return
                elif isinstance(event, h11.Data):
                    await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
                elif isinstance(event, h11.EndOfMessage):
                    await self.stream.handle(EndBody(stream_id=STREAM_ID))
                elif isinstance(event, Data):
                    await self.stream.handle(event)
                else:
                    return

    async def _create_stream(self, request: h11.Request) -> None:
        headers = list(request.headers)
        is_websocket = request.method == b"GET" and any(name == b"upgrade" for name, _ in headers)
        stream_class = SocketStream if is_websocket else HTTPStream
        self.stream = stream_class(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        if is_websocket:
            assert isinstance(self.connection, h11.Connection)
            self.connection = H11WSConnection(self.connection)
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                # As it was sent: `post` is not `POST`.
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )


async def _no_app(*_: Any) -> None:
    raise AssertionError("the connection runs the application")
