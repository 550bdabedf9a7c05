"""One connection, one task: read a request, run the application, write its answer.

    read a head --> check its shape --> run the application --+
         ^                                                    | its answer is written
         +------------------- kept alive ---------------------+--> linger --> close

Whatever fails here ends this connection and no other.
"""

import logging
from enum import Enum
from math import inf
from typing import Final

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from agentgather.edge.answers import encode_last_answer, refusal
from agentgather.edge.exchange import App, Exchange
from agentgather.edge.line import Line
from agentgather.edge.request_head import RequestHead, build_scope, parse_head
from agentgather.edge.shape import HEAD_END, check_partial_head
from agentgather.edge.traffic import Traffic
from agentgather.edge.websocket import WebSocketProtocol
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_REQUEST_LINE_BYTES

logger: Final = logging.getLogger("agentgather.edge")

Address = tuple[str, int] | None


class Phase(Enum):
    """What a connection does."""

    IDLE = "waits for a request"
    HEAD = "has some of a request's head"
    ANSWERING = "runs the application, and writes its answer"
    ENDING = "has said all it will say"


class Connection(TCPServer):
    """hypercorn's connection, with one task in it."""

    def __init__(
        self,
        app: App,
        config: Config,
        context: WorkerContext,
        line: Line,
        client: Address,
        server: Address,
        traffic: Traffic,
    ) -> None:
        super().__init__(app, config, context, {}, line.peer)  # type: ignore[arg-type]
        self._application = app
        self._line = line
        self._client = client
        self._server = server
        self._traffic = traffic
        self._phase = Phase.IDLE

    async def run(self) -> None:
        """Serve until the peer leaves or is cut, or the server stops. Raises only Cancelled."""
        line, traffic = self._line, self._traffic
        traffic.connections.add(self)
        try:
            with line.scope:
                try:
                    await self._serve()
                except Rejected as error:
                    await self._refuse(error)
            if self._phase is Phase.HEAD and not (line.is_gone or traffic.is_stopping):
                # The line's own deadline has passed.
                with trio.move_on_after(line.bounds.unsent_body_seconds):
                    await self._refuse(Rejected("request_timeout"))
        except* Exception:
            logger.exception("a connection failed")
        finally:
            line.close()
            traffic.connections.discard(self)

    def stop_if_idle(self) -> None:
        """End now if no request is in progress; otherwise after its answer."""
        if self._phase in (Phase.IDLE, Phase.HEAD):
            self._line.cut()

    async def _serve(self) -> None:
        line, traffic = self._line, self._traffic
        while True:
            data = await self._read_head()
            if data is None:
                return
            parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_LINE_BYTES)
            head = parse_head(data, parser)
            self._phase = Phase.ANSWERING
            traffic.begin_answer()
            try:
                if head.is_websocket:
                    await self._serve_websocket(head, parser)
                    break
                exchange = Exchange(line, traffic, head, parser)
                await self._answer(exchange, head)
            finally:
                traffic.end_answer()
            if line.is_gone or line.is_torn:
                return
            if not exchange.keeps_alive or traffic.is_stopping:
                if exchange.is_read and not line.unread:
                    return
                break
        self._phase = Phase.ENDING
        await line.linger()

    async def _read_head(self) -> bytes | None:
        """Give the next request's head, blank line and all; None: there is none."""
        line = self._line
        data = line.unread
        self._phase = Phase.IDLE
        if data:
            await trio.lowlevel.checkpoint()
        else:
            line.expect_within(line.bounds.keep_alive_seconds)
            data = await line.read()
        end = data.find(HEAD_END)
        if end < 0 and data:
            self._phase = Phase.HEAD
            line.expect_within(line.bounds.headers_seconds)
        while end < 0:
            if line.is_gone:
                return None
            check_partial_head(data)
            data += await line.read()
            end = data.find(HEAD_END)
        line.expect_within(inf)
        end += len(HEAD_END)
        line.unread = data[end:]
        return data[:end]

    async def _answer(self, exchange: Exchange, head: RequestHead) -> None:
        failed = False
        try:
            await self._application(
                build_scope(head, self._client, self._server), exchange.receive, exchange.send
            )
        except* Exception:
            logger.exception("an application failed")
            failed = True
        if exchange.is_answered or self._line.is_gone:
            return
        if not failed:
            logger.error("an application gave no whole answer to a %s", head.method)
        # Half an answer must not look like a whole one.
        self._line.is_torn = exchange.has_begun
        await exchange.refuse(Rejected("internal_error"))

    async def _serve_websocket(self, head: RequestHead, parser: h11.Connection) -> None:
        if self._line.unread:
            raise Rejected("bad_request", "wait for the answer to the handshake")
        protocol = WebSocketProtocol(
            self._application,
            self.config,
            self.context,
            self._client,
            self._server,
            self.protocol_send,
            self._line,
            parser,
        )
        await protocol.run(head)

    async def protocol_send(self, event: Event) -> None:
        """Take what a WebSocket's application and reader write; they take turns."""
        async with self.send_lock:
            if isinstance(event, RawData):
                await self._line.write(event.data)
            elif isinstance(event, Closed):
                self._line.peer.end()

    async def _refuse(self, error: Rejected) -> None:
        """Say why no application was asked, and close."""
        self._phase = Phase.ENDING
        await self._line.write(encode_last_answer(refusal(error)))
        await self._line.linger()
