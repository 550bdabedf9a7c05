"""One connection, one task: read a request, run the application, write its answer.

    read the head --> check --> run the application <--> receive()  reads the body, and
         ^                            |                             then only the peer's end
         |                            v
         +---- kept alive ---- write head and body at once

Every await on the peer has a deadline. Whatever fails here ends this connection alone.
"""

import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from agentgather.edge.answers import encode_last_answer, refusal, send_answer
from agentgather.edge.peer import Peer
from agentgather.edge.protocol import InlineTaskGroup, Protocol, Started
from agentgather.edge.shape import find_head_end
from agentgather.edge.traffic import Traffic
from agentgather.edge.websocket_session import run_websocket
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import HEADERS_SECONDS, KEEP_ALIVE_SECONDS

logger: Final = logging.getLogger(__name__)

App = Callable[[Any, Any, Any], Awaitable[None]]
_DISCONNECT: Final = {"type": "http.disconnect"}


class Connection(TCPServer):
    """hypercorn's connection, without its tasks, locks and unbounded sends."""

    def __init__(
        self,
        app: App,
        config: Config,
        context: WorkerContext,
        sock: socket.socket,
        address: tuple[str, int] | None,
        traffic: Traffic,
    ) -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]
        self._asgi = app
        self._sock = sock
        self._peer = Peer(sock, stream)
        self._traffic = traffic
        self._tasks = InlineTaskGroup()
        self._inbox: deque[Any] = deque()
        self._lingers = False
        server = sock.getsockname()[:2] if address is not None else None
        self._http = Protocol(config, context, self._tasks, address, server, self.protocol_send)

    async def run(self) -> None:
        """Serve until the peer leaves, is cut, or the server stops. Raises only Cancelled."""
        try:
            await self._serve()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # The peer left. Nobody is there to be told.
        except* Exception:
            logger.exception("a connection failed")
        finally:
            self._sock.close()

    async def protocol_send(self, event: Event) -> None:
        """Take what the protocol writes; it goes out at once with the rest of an answer."""
        if isinstance(event, RawData):
            self._peer.collect(event.data)
        elif isinstance(event, Closed):
            self._peer.closing = True

    # --- Requests -------------------------------------------------------------------
    async def _serve(self) -> None:
        try:
            while not self._peer.closing and await self._read_request():
                started = self._tasks.started
                self._tasks.started = None
                if started is None:
                    break
                if started.channel is not None:
                    await run_websocket(self._asgi, started, self._http, self._peer)
                    return
                await self._run(started)
        except Rejected as error:
            await self._refuse(error)
        if self._lingers and not self._peer.gone:
            await self._peer.linger()

    async def _read_request(self) -> bool:
        """Read until a request's head is whole. False: the peer left or kept still."""
        with trio.move_on_after(KEEP_ALIVE_SECONDS) as idle:
            self._traffic.idle.add(idle)
            try:
                data = await self._peer.read()
            finally:
                self._traffic.idle.discard(idle)
        if idle.cancelled_caught or not data:
            return False
        if find_head_end(data) < 0:
            head = bytearray(data)
            with trio.move_on_after(HEADERS_SECONDS) as deadline:
                while find_head_end(head) < 0:
                    more = await self._peer.read()
                    if not more:
                        return False
                    head += more
            if deadline.cancelled_caught:
                raise Rejected("request_timeout")
            data = bytes(head)
        await self._http.handle(RawData(data))
        if self._http.refused is not None:
            raise self._http.refused
        return True

    async def _run(self, started: Started) -> None:
        self._inbox = started.inbox
        answering = False

        async def send(message: Any) -> None:
            nonlocal answering
            if self._peer.gone:
                # As ASGI has it: what is sent to nobody is no error.
                await trio.lowlevel.checkpoint()
                return
            answering = True
            await started.send(message)
            if message["type"] == "http.response.body":
                await self._peer.flush()

        self._traffic.begin()
        try:
            try:
                await self._asgi(started.scope, self._receive, send)
            except Exception:
                logger.exception("an application failed")
                if not answering:
                    await send_answer(send, refusal(Rejected("internal_error")))
                self._peer.closing = True
            if self._http.refused is not None and not answering:
                raise self._http.refused
            if not answering or self._peer.gone:
                self._peer.closing = True
                return
            await started.send(None)
            await self._peer.flush()
            self._peer.closing = self._lingers = self._peer.closing or self._http.is_pipelined
        finally:
            self._traffic.end()

    async def _receive(self) -> Any:
        """ASGI's ``receive``: the body, and after it nothing but the peer's end."""
        http = self._http
        while True:
            if self._inbox:
                return self._inbox.popleft()
            if self._peer.gone or http.refused is not None:
                return _DISCONNECT
            # Only now: an application that refuses by the length never gets here.
            go_on = http.go_on()
            if go_on:
                self._peer.collect(go_on)
                await self._peer.flush()
            data = await self._peer.read()
            if not data:
                self._peer.gone = True
            elif http.is_request_whole:
                http.is_pipelined = True
            else:
                await http.handle(RawData(data))

    async def _refuse(self, error: Rejected) -> None:
        self._peer.collect(encode_last_answer(refusal(error)))
        self._lingers = True
        await self._peer.flush()
