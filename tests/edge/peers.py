"""A peer that says what it is told to, byte by byte, to our server or to the bare one."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, NamedTuple

import hypercorn.trio
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from quart_trio import QuartTrio

from agentgather.edge.bounds import DEFAULT_BOUNDS, Bounds
from agentgather.edge.connection import Connection
from agentgather.edge.line import Line
from agentgather.edge.peer import Peer
from agentgather.edge.serve import build_config, open_listener, serve_http
from agentgather.edge.traffic import Traffic

App = Callable[[Any, Any, Any], Awaitable[None]]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def get(path: str = "/", *fields: str, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: a", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(body: bytes, *fields: str, length: int | None = None, path: str = "/") -> bytes:
    size = len(body) if length is None else length
    return get(path, f"Content-Length: {size}", *fields, method="POST") + body


class Answer(NamedTuple):
    """One answer as it came. ``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes


class RawPeer:
    """The client's end of one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._received = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def drip(self, data: bytes, seconds: float) -> None:
        """Send one byte each so many seconds, for as long as they are taken."""
        for byte in data:
            await self.stream.send_all(bytes([byte]))
            await trio.sleep(seconds)

    async def ask(self, data: bytes) -> Answer:
        await self.send(data)
        return await self.answer()

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError(self._received)
        self._received += data

    async def answer(self, *, head_only: bool = False) -> Answer:
        """Read one answer, chunks and all; EOFError where there is none."""
        while b"\r\n\r\n" not in self._received:
            await self._more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        pairs = [field.split(": ", 1) for field in fields]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header came twice"
        body = b""
        if head_only:
            pass
        elif "content-length" in headers:
            length = int(headers["content-length"])
            while len(self._received) < length:
                await self._more()
            body, self._received = self._received[:length], self._received[length:]
        elif headers.get("transfer-encoding") == "chunked":
            while b"0\r\n\r\n" not in self._received:
                await self._more()
            body, self._received = self._received, b""
        return Answer(int(line.split(" ")[1]), headers, body)

    async def rest(self) -> bytes:
        """Read to the end of the connection; a reset is an end too."""
        try:
            while True:
                await self._more()
        except (EOFError, trio.BrokenResourceError):
            rest, self._received = self._received, b""
            return rest

    async def is_reset(self) -> bool:
        try:
            while await self.stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            return True
        return False


class Pair(RawPeer):
    """A peer, and the server's side of its connection."""

    traffic: Traffic
    ended: trio.Event


def make_pair(app: App, bounds: Bounds = DEFAULT_BOUNDS) -> tuple[Pair, Connection]:
    """Give both ends of a pair of sockets, which loses no time: clocks may be virtual."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    pair = Pair(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
    pair.traffic = Traffic(bounds, 10_000)
    pair.ended = trio.Event()
    connection = Connection(
        app,
        build_config(bounds),
        WorkerContext(None),
        Line(Peer(ours), bounds),
        ("192.0.2.1", 5),
        ("127.0.0.1", 80),
        pair.traffic,
    )
    return pair, connection


@asynccontextmanager
async def one_connection(app: App, bounds: Bounds = DEFAULT_BOUNDS) -> AsyncIterator[Pair]:
    """Serve one connection over a pair of sockets."""
    pair, connection = make_pair(app, bounds)

    async def run() -> None:
        await connection.run()
        pair.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield pair
        finally:
            await pair.stream.aclose()
            nursery.cancel_scope.cancel()
    assert not pair.traffic.connections, "a connection was left over"


class Server:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.cut: Callable[[], None] = lambda: None
        self._peers: list[RawPeer] = []
        self.error: BaseException | None = None
        """What the server died of."""

    async def connect(self) -> RawPeer:
        """Connect. The connection is closed when the test is over, if not before."""
        peer = RawPeer(await trio.open_tcp_stream("127.0.0.1", self.port))
        self._peers.append(peer)
        return peer

    async def close_peers(self) -> None:
        for peer in self._peers:
            await trio.aclose_forcefully(peer.stream)

    async def ask(self, data: bytes) -> Answer:
        peer = await self.connect()
        async with peer.stream:
            return await peer.ask(data)

    async def is_alive(self) -> bool:
        return (await self.ask(GET)).status < 500


@asynccontextmanager
async def serving(app: App, **options: Any) -> AsyncIterator[Server]:
    """Run our server on a free port."""
    sockets = open_listener("127.0.0.1", 0)
    server = Server(sockets[0].getsockname()[1])

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve_http(app, sockets, stop=server.stop, task_status=task_status, **options)
        server.ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        server.cut = nursery.cancel_scope.cancel
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await server.close_peers()


@asynccontextmanager
async def serving_bare(app: App, **settings: Any) -> AsyncIterator[Server]:
    """Run hypercorn as it comes, to see what it does."""

    async def starting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" and not isinstance(app, QuartTrio):
            # It does not survive an application that just returns here.
            raise NotImplementedError
        await app(scope, receive, send)

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.errorlog = None
        for name, value in settings.items():
            setattr(config, name, value)
    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            serve: Any = hypercorn.trio.serve
            try:
                await serve(starting, config, shutdown_trigger=stop.wait, task_status=task_status)
            except* Exception as error:
                server.error = error
            finally:
                server.ended.set()

        server = Server(0)
        binds = await nursery.start(run)
        server.port = int(binds[0].rpartition(":")[2])
        server.stop = stop
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()
            # It waits for peers that take nothing, whoever cancels it.
            with trio.CancelScope(shield=True):
                await server.close_peers()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where a real peer would have had to wait longer."""
    with trio.fail_after(seconds):
        yield


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 at once, whatever is asked."""
    if scope["type"] == "lifespan":
        return
    await answer(send)


async def answer(send: Any, body: bytes = b"hello", *, status: int = 200) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def read_all(receive: Any) -> bytes:
    """Read a body as an application does; EOFError where the client left."""
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise EOFError
        body += event.get("body", b"")
        if not event.get("more_body", False):
            return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body; nothing to a client that left."""
    if scope["type"] == "lifespan":
        return
    with suppress(EOFError):
        await answer(send, await read_all(receive))
