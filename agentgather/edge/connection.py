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
from typing import Protocol as Interface

import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from agentgather.edge.answers import encode_last_answer, refusal, send_answer
from agentgather.edge.protocol import InlineTaskGroup, Protocol, Started
from agentgather.edge.shape import find_head_end
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    UNREAD_ANSWER_SECONDS,
    UNSENT_BODY_SECONDS,
)

logger: Final = logging.getLogger(__name__)

READ_BYTES: Final = 64 * 1024
MAX_DISCARDED_BYTES: Final = 1024 * 1024
"""What a lingering close reads and throws away: any refused body, and then some."""

App = Callable[[Any, Any, Any], Awaitable[None]]
_DISCONNECT: Final = {"type": "http.disconnect"}


class Flights(Interface):
    """What a connection tells its server."""

    idle: set[trio.CancelScope]

    def begin(self) -> None:
        """Count one more answer in flight."""

    def end(self) -> None:
        """Count one answer in flight less."""


class Connection(TCPServer):
    """hypercorn's connection, without its tasks, locks and unbounded sends."""

    def __init__(
        self,
        app: App,
        config: Config,
        context: WorkerContext,
        sock: socket.socket,
        address: tuple[str, int] | None,
        flights: Flights,
    ) -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        super().__init__(app, config, context, {}, stream)  # type: ignore[arg-type]
        self._asgi = app
        self._sock = sock
        self._flights = flights
        self._tasks = InlineTaskGroup()
        self._out: list[bytes] = []
        self._inbox: deque[Any] = deque()
        self._closing = False
        self._lingers = False
        self._gone = False
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
        """Take what the protocol writes; it goes out with :meth:`_flush`, in one piece."""
        if isinstance(event, RawData):
            self._out.append(event.data)
        elif isinstance(event, Closed):
            self._closing = True

    # --- Requests -------------------------------------------------------------------
    async def _serve(self) -> None:
        try:
            while not self._closing and await self._read_request():
                started = self._tasks.started
                self._tasks.started = None
                if started is None:
                    break
                if started.channel is not None:
                    await self._run_websocket(started)
                    return
                await self._run(started)
        except Rejected as error:
            await self._refuse(error)
        if self._lingers and not self._gone:
            await self._linger()

    async def _read_request(self) -> bool:
        """Read until a request's head is whole. False: the peer left or kept still."""
        with trio.move_on_after(KEEP_ALIVE_SECONDS) as idle:
            self._flights.idle.add(idle)
            try:
                data = await self._read()
            finally:
                self._flights.idle.discard(idle)
        if idle.cancelled_caught or not data:
            return False
        if find_head_end(data) < 0:
            head = bytearray(data)
            with trio.move_on_after(HEADERS_SECONDS) as deadline:
                while find_head_end(head) < 0:
                    more = await self._read()
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
            if self._gone:
                # As ASGI has it: what is sent to nobody is no error.
                await trio.lowlevel.checkpoint()
                return
            answering = True
            await started.send(message)
            if message["type"] == "http.response.body":
                await self._flush()

        self._flights.begin()
        try:
            try:
                await self._asgi(started.scope, self._receive, send)
            except Exception:
                logger.exception("an application failed")
                if not answering:
                    await send_answer(send, refusal(Rejected("internal_error")))
                self._closing = True
            if self._http.refused is not None and not answering:
                raise self._http.refused
            if not answering or self._gone:
                self._closing = True
                return
            await started.send(None)
            await self._flush()
            self._closing = self._lingers = self._closing or self._http.is_pipelined
        finally:
            self._flights.end()

    async def _receive(self) -> Any:
        """ASGI's ``receive``: the body, and after it nothing but the peer's end."""
        http = self._http
        while True:
            if self._inbox:
                return self._inbox.popleft()
            if self._gone or http.refused is not None:
                return _DISCONNECT
            # Only now: an application that refuses by the length never gets here.
            go_on = http.go_on()
            if go_on:
                self._out.append(go_on)
                await self._flush()
            data = await self._read()
            if not data:
                self._gone = True
            elif http.is_request_whole:
                http.is_pipelined = True
            else:
                await http.handle(RawData(data))

    async def _refuse(self, error: Rejected) -> None:
        self._out.append(encode_last_answer(refusal(error)))
        self._lingers = True
        await self._flush()

    # --- WebSockets -----------------------------------------------------------------
    async def _run_websocket(self, started: Started) -> None:
        """Two tasks: the application, and the reader, which also answers pings."""
        channel = started.channel
        assert channel is not None

        async def send(message: Any) -> None:
            await started.send(message)
            await self._flush_shared()

        async def run_app() -> None:
            try:
                await self._asgi(started.scope, channel.receive, send)
            except trio.EndOfChannel:
                pass
            except Exception:
                logger.exception("an application failed")
            await started.send(None)
            await self._flush_shared()
            nursery.cancel_scope.cancel()

        await self._flush_shared()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_app)
            while not self._closing and not self._gone:
                data = await self._read()
                if not data:
                    break
                await self._http.handle(RawData(data))
                await self._flush_shared()
            await self._http.handle(Closed())
            # The application hears of the end, and has a moment to put things right.
            nursery.cancel_scope.deadline = trio.current_time() + UNSENT_BODY_SECONDS

    async def _flush_shared(self) -> None:
        async with self.send_lock:
            await self._flush()

    # --- Bytes ----------------------------------------------------------------------
    async def _read(self) -> bytes:
        """Give what has come, b"" at the peer's end. The caller sets the deadline."""
        await trio.lowlevel.wait_readable(self._sock)
        try:
            return self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return bytes(await self.stream.receive_some(READ_BYTES))
        except ConnectionError:
            return b""

    async def _flush(self) -> None:
        """Write what was collected. A peer that does not take it is gone afterwards."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        if self._gone or not data:
            return
        try:
            # Nearly always all of it fits the socket's buffer, and nothing has to wait.
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._gone = True
            return
        if sent == len(data):
            return
        with trio.move_on_after(UNREAD_ANSWER_SECONDS) as deadline:
            try:
                await self.stream.send_all(memoryview(data)[sent:])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._gone = True
        if deadline.cancelled_caught:
            self._gone = True
            # Reset, so that the kernel does not go on offering what nobody takes.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async def _linger(self) -> None:
        """Close so that the peer can still read the answer: it may be sending yet."""
        self._sock.shutdown(socket.SHUT_WR)
        discarded = 0
        with trio.move_on_after(UNSENT_BODY_SECONDS):
            while discarded < MAX_DISCARDED_BYTES:
                data = await self._read()
                if not data:
                    return
                discarded += len(data)
