"""A broker in process, with hosts and participants around it: real state, no sockets.

Time is virtual, and jumps only while no thread has work: ``trio``'s autojump takes a wait
for the disk for a wait for time. Hosts' WebSockets are :mod:`tests.doubles.link_line`'s.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio
from trio.testing import wait_all_tasks_blocked

from agentgather.broker.quota import Quotas
from agentgather.broker.settings import BrokerSettings
from agentgather.broker.state import State, open_state
from agentgather.broker.wiring import Broker
from agentgather.edge.exchange import ABORT
from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.handshake import register
from agentgather.link.machine import End
from agentgather.link.proof import owner_of, prove
from agentgather.link.stream import Stream, StreamOver
from agentgather.link.transport import LinkClosed
from agentgather.wire.link import (
    LINK_PATH,
    SUBPROTOCOL,
    Challenge,
    FromBroker,
    FromHost,
    Headers,
    Ping,
    Pong,
    Register,
    Registered,
    Response,
    decode_from_broker,
    encode_frame,
)
from tests.doubles.asgi_client import AsgiClient, Exchange, Reply
from tests.doubles.link_line import line

BASE: Final = "http://127.0.0.1:8799"
PUBLIC: Final = "https://rooms.example"
HOST_NAME: Final = "rooms.example"
ADA, EVE = "192.0.2.1", "198.51.100.9"
SECRET: Final = "agh_" + "s" * 43
OTHER_SECRET: Final = "agh_" + "o" * 43
TOKEN: Final = "agp_ada"
JSON_FIELDS: Final[Headers] = ((b"content-type", b"application/json; charset=utf-8"),)
EVENT_FIELDS: Final[Headers] = ((b"content-type", b"text/event-stream"),)
OPEN_QUOTAS: Final = Quotas(
    client_requests=10**6,
    route_requests=10**6,
    routes_per_client=10**4,
    registrations_per_client=10**4,
)
"""None that a test runs into by asking often; what is open at once is bounded as ever."""

Serve = Callable[[Stream], Awaitable[None]]
F = TypeVar("F")
_CUSHION_SECONDS: Final = 0.001


def threads_at_work() -> int:
    return trio.to_thread.current_default_thread_limiter().borrowed_tokens


async def settled() -> None:
    """Return once everybody waits, and no thread has work."""
    await wait_all_tasks_blocked()
    while threads_at_work():
        await wait_all_tasks_blocked(0.0002)


async def jump_when_idle() -> None:
    """Jump to the next deadline whenever every task waits and no thread has work."""
    clock: Any = trio.lowlevel.current_clock()  # type: ignore[attr-defined]
    while True:
        # More than the cushion of a test that itself waits until all are blocked.
        await wait_all_tasks_blocked(_CUSHION_SECONDS)
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if seconds < float("inf") and not threads_at_work():
            clock.jump(max(0.0, seconds))


# --- Participants ---------------------------------------------------------------------------
class Going(Exchange):
    """One request under way. ``is_aborted``: the answer broke off, and the connection with it."""

    def __init__(self, method: str, body: bytes | None) -> None:
        super().__init__(method, body)
        self.is_aborted = False
        self.over = trio.Event()
        self.pieces: list[bytes] = []
        """What comes of the body before all the rest, which :meth:`give_body` gives."""
        self.scope = trio.CancelScope()
        self._method_asked = method

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            return {"type": "http.request", "body": self.pieces.pop(0), "more_body": True}
        return await super().receive()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] != ABORT:
            await super().send(message)
            if self.left.is_set() and message.get("more_body"):
                # As a server does: a stream to nobody would go on for ever.
                self.scope.cancel()
                await trio.lowlevel.checkpoint()
            return
        assert self.start is not None, "nothing was begun"
        assert not self.ended, "a whole answer cannot break off"
        self.is_aborted = True
        self.progress.set()

    @property
    def status(self) -> int:
        """0 until an answer began."""
        return self.start["status"] if self.start is not None else 0

    @property
    def body(self) -> bytes:
        """What has come of it so far."""
        return b"".join(self.chunks)

    async def outcome(self) -> tuple[int, str]:
        """Wait for the end; give status and code, or ``(status, "aborted")``."""
        await self.over.wait()
        return (self.status, "aborted") if self.is_aborted else self.whole().outcome

    def whole(self) -> Reply:
        """Give the whole answer, streamed or not."""
        assert not self.is_aborted
        assert self.ended, "no end of the answer"
        return Reply(self.status, self.headers, b"" if self._method_asked == "HEAD" else self.body)


# --- Hosts ----------------------------------------------------------------------------------
class HostSocket:
    """A host's WebSocket. ``line`` is its transport; ``denied`` an answer in its place."""

    def __init__(self) -> None:
        self.line, self._theirs = line()
        self.accepted = trio.Event()
        self.denied: Reply | None = None
        self.over = trio.Event()
        self._is_told = False
        self._denial: dict[str, Any] = {}

    async def receive(self) -> dict[str, Any]:
        if not self._is_told:
            self._is_told = True
            return {"type": "websocket.connect"}
        try:
            message = await self._theirs.receive()
        except LinkClosed as closed:
            return {"type": "websocket.disconnect", "code": closed.code, "reason": closed.reason}
        assert self.accepted.is_set(), "nothing but its end can come before the acceptance"
        is_text = isinstance(message, str)
        return {
            "type": "websocket.receive",
            "bytes": None if is_text else message,
            "text": message if is_text else None,
        }

    async def send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            assert message["subprotocol"] == SUBPROTOCOL
            self.accepted.set()
        elif kind == "websocket.send":
            try:
                await self._theirs.send(message["bytes"])
            except LinkClosed:
                return  # a server sends into the void
        elif kind == "websocket.close":
            await self._theirs.close(message["code"], message["reason"])
        elif kind == "websocket.http.response.start":
            self._denial = message
        else:
            assert kind == "websocket.http.response.body"
            headers = {k.decode(): v.decode() for k, v in self._denial["headers"]}
            self.denied = Reply(self._denial["status"], headers, message["body"])
            self.accepted.set()


class RawHost:
    """A host that says whatever it is told to, frame by frame."""

    def __init__(self, socket: HostSocket) -> None:
        self.socket = socket
        self.line = socket.line

    async def say(self, *frames: FromHost) -> None:
        for frame in frames:
            await self.line.send(encode_frame(frame))

    async def hear(self, kind: type[F]) -> F:
        """Give the next frame, which must be of this kind; pings are answered by the way."""
        while True:
            frame: FromBroker = decode_from_broker(await self.line.receive())
            if isinstance(frame, Ping) and kind is not Ping:
                await self.say(Pong(id=frame.id))
                continue
            assert isinstance(frame, kind), f"{frame} came"
            return frame

    async def claim(self, slug: str = "demo", *, secret: str = SECRET, **changes: Any) -> None:
        """Answer the challenge."""
        challenge = await self.hear(Challenge)
        claim = {
            "slug": slug,
            "owner": owner_of(secret),
            "proof": prove(secret, slug, challenge.nonce),
            **changes,
        }
        await self.say(Register(**claim))

    async def close(self) -> LinkClosed:
        """Wait for the end, whatever comes before it; say why it came."""
        while True:
            try:
                message = decode_from_broker(await self.line.receive())
            except LinkClosed as closed:
                return closed
            if isinstance(message, Ping):
                await self.say(Pong(id=message.id))


class LinkedHost:
    """A host on a link, whose every request is served by ``serve``."""

    def __init__(self, socket: HostSocket, registered: Registered, serve: Serve) -> None:
        self.socket = socket
        self.registered = registered
        self.channel = Channel(End.HOST, socket.line)
        self.streams: list[Stream] = []
        self.came = trio.Event()
        self.end: LinkEnd | None = None
        self._serve = serve

    async def run(self) -> None:
        async with trio.open_nursery() as serving:

            def on_request(stream: Stream) -> None:
                self.streams.append(stream)
                self.came.set()
                serving.start_soon(self._serve_one, stream)

            self.end = await self.channel.run(on_request=on_request)
            serving.cancel_scope.cancel()

    async def _serve_one(self, stream: Stream) -> None:
        try:
            await self._serve(stream)
        except StreamOver:
            return


def response(stream: Stream | int, body: bytes = b"", status: int = 200, **more: Any) -> Response:
    """Give an answer's head with all of a body; JSON unless it is said otherwise."""
    number = stream if isinstance(stream, int) else stream.id
    fields = {"headers": JSON_FIELDS, "data": body, "end": True, **more}
    return Response(stream=number, status=status, **fields)


async def read_request(stream: Stream) -> bytes:
    """Read a request's whole body."""
    pieces = [stream.take()]
    while not stream.is_ended:
        if stream.reset_code is not None:
            raise StreamOver(stream.reset_code)
        await stream.wait_news()
        pieces.append(stream.take())
    return b"".join(pieces)


async def echo(stream: Stream) -> None:
    """Answer with what was asked."""
    body = await read_request(stream)
    head: Any = stream.head
    document = {
        "method": head.method,
        "path": head.path.decode(),
        "query": head.query.decode(),
        "headers": {name.decode(): value.decode() for name, value in head.headers},
        "body": body.decode(),
    }
    await stream.send_head(response(stream, json.dumps(document).encode() + b"\n"))


async def hold(stream: Stream) -> None:
    """Never answer; return when the participant left."""
    while stream.reset_code is None:
        await stream.wait_news()


# --- All of it ------------------------------------------------------------------------------
class Stage:
    """One broker. ``log`` is what it has written."""

    def __init__(self, broker: Broker, state: State, log: "LogBytes", nursery: trio.Nursery):
        self.broker = broker
        self.state = state
        self.log = log
        self.tasks = nursery

    def client(self, token: str | None = TOKEN, *, address: str = ADA) -> AsgiClient:
        client = AsgiClient(self.broker.app, token, host=HOST_NAME)
        client.address = (address, 50_000)
        return client

    def start(
        self,
        method: str,
        target: str,
        *,
        token: str | None = TOKEN,
        address: str = ADA,
        body: bytes | None = b"",
        headers: dict[str, str] | None = None,
    ) -> Going:
        """Begin a request. With ``body`` None it is given later."""
        going = Going(method, body)
        client = self.client(token, address=address)
        scope = client.scope(method, target, body or b"", headers)

        async def run() -> None:
            with going.scope:
                await self.broker.app(scope, going.receive, going.send)
            going.over.set()

        self.tasks.start_soon(run)
        return going

    async def ask(self, method: str, target: str, **options: Any) -> Going:
        """Make a request, and wait for its end."""
        going = self.start(method, target, **options)
        await going.over.wait()
        return going

    def link_scope(
        self,
        *,
        address: str = ADA,
        path: str = LINK_PATH,
        subprotocols: tuple[str, ...] = (SUBPROTOCOL,),
        headers: tuple[tuple[bytes, bytes], ...] = ((b"host", HOST_NAME.encode()),),
    ) -> dict[str, Any]:
        """Give the ASGI scope of a host's WebSocket."""
        return {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": list(headers),
            "subprotocols": list(subprotocols),
            "client": (address, 50_001),
            "extensions": {"websocket.http.response": {}},
        }

    async def socket(self, **options: Any) -> HostSocket:
        """Open a host's WebSocket, or be denied it. Options are of :meth:`link_scope`."""
        socket = HostSocket()
        scope = self.link_scope(**options)

        async def run() -> None:
            await self.broker.app(scope, socket.receive, socket.send)
            socket.over.set()

        self.tasks.start_soon(run)
        await socket.accepted.wait()
        return socket

    async def raw_host(self, slug: str = "demo", **options: Any) -> RawHost:
        """Give a host that is registered, and will say what it is told to."""
        address = options.pop("address", ADA)
        host = RawHost(await self.socket(address=address))
        await host.claim(slug, **options)
        await host.hear(Registered)
        return host

    async def host(
        self, serve: Serve = echo, slug: str = "demo", *, address: str = ADA, **options: Any
    ) -> LinkedHost:
        """Give a host that is registered and serves."""
        socket = await self.socket(address=address)
        secret = options.pop("secret", SECRET)
        registered = await register(socket.line, slug=slug, secret=secret, **options)
        host = LinkedHost(socket, registered, serve)
        self.tasks.start_soon(host.run)
        await settled()
        return host

    def metric(self, name: str) -> float:
        """Give a metric without labels."""
        for found in self.broker.metrics.render().decode().splitlines():
            if found.startswith(f"agentgather_broker_{name} "):
                return float(found.rpartition(" ")[2])
        raise AssertionError(f"there is no {name}")


class LogBytes:
    """Takes a log."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes, /) -> int:
        self.data += data
        return len(data)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.data.splitlines()]


@asynccontextmanager
async def open_stage(path: Path, *, sweeps: bool = True, **settings: Any) -> AsyncIterator[Stage]:
    """Run a broker on a state directory under ``path``."""
    state = await trio.to_thread.run_sync(partial(open_state, path / "state", serving=True))
    log = LogBytes()
    options = {"public_urls": (PUBLIC,), "quotas": OPEN_QUOTAS, **settings}
    broker = Broker(BrokerSettings(base_url=BASE, **options), state, log)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jump_when_idle)
            await nursery.start(broker.log.run)
            if sweeps:
                nursery.start_soon(broker.sweep)
            async with trio.open_nursery() as tasks:
                yield Stage(broker, state, log, tasks)
                tasks.cancel_scope.cancel()
            broker.log.close()
            await settled()
            nursery.cancel_scope.cancel()
    finally:
        state.close()
