"""A connection that has become a WebSocket: hypercorn's classes, with limits that hold.

The application runs in the connection's task here too, and reads the socket when it asks
for a message. So nothing is buffered that it did not ask for, and a ping is answered, and
the peer's end noticed, by an application that receives.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import Data, Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState as LifespanState
from wsproto.frame_protocol import CloseReason

from agentgather.edge.exchange import App
from agentgather.edge.line import Line
from agentgather.edge.request_head import RequestHead
from agentgather.edge.websocket_frames import SocketStream

logger: Final = logging.getLogger("agentgather.edge")

Put = Callable[[Any], Awaitable[None]]


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
        stream = self._open()
        try:
            await self._run(head, stream)
        finally:
            # They point at each other, and would hold 10 KiB until the collector comes by.
            stream.let_go()
            vars(self).clear()

    def _open(self) -> SocketStream:
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
        return stream

    async def _run(self, head: RequestHead, stream: SocketStream) -> None:
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
            if not isinstance(self.stream, SocketStream):
                return {"type": "websocket.disconnect", "code": int(CloseReason.ABNORMAL_CLOSURE)}
            if self.stream.has_more:
                # Others must have their turn, however fast the frames come.
                await trio.lowlevel.checkpoint()
                await self.stream.handle(Data(stream_id=STREAM_ID, data=b""))
            else:
                data = await self._line.read()
                await self.handle(RawData(data) if data else Closed())
        return self._inbox.popleft()
