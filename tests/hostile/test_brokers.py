"""A broker that is out for the host. It gets per-request refusals, and nothing else.

Over real sockets, with the real tunnel; what takes long is in virtual time, without any.
"""

import random
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from agentgather.edge.serve import open_listener, serve_http
from agentgather.link.proof import is_proven
from agentgather.tunnel.client import LONGEST_PAUSE_SECONDS, run_tunnel
from agentgather.tunnel.events import Ended, Lost, Opened, TunnelEvent, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder, Responder
from agentgather.tunnel.target import TargetResponder
from agentgather.wire.limits import ANSWER_SECONDS, MAX_BODY_BYTES, MAX_DATA_BYTES, MAX_STREAMS
from agentgather.wire.link import (
    MAX_CREDIT,
    NONCE_BYTES,
    SUBPROTOCOL,
    Challenge,
    Data,
    FromBroker,
    FromHost,
    GoingAway,
    Ping,
    Pong,
    Refused,
    Register,
    Registered,
    Request,
    Reset,
    Response,
    Window,
    decode_from_host,
    encode_frame,
)
from tests.doubles.fake_broker import BROKER, Behaviour, FakeBroker, Visit, refuse_with, say_nothing

SECRET = "agh_" + "s" * 43
MIB = 1024 * 1024
SECONDS = 110
"""Nothing here takes as long, on however busy a machine."""
FIELDS = ((b"authorization", b"Bearer agp_x"),)


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever comes, nothing of it is a bug of ours."""
    yield
    found = [one for when in ("setup", "call") for one in caplog.get_records(when)]
    ours = [one for one in found if one.name.startswith("agentgather")]
    assert [one.getMessage() for one in ours] == []


@pytest.fixture(autouse=True)
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that something in this process connects to."""
    found: list[tuple[str, int]] = []
    connect = trio.open_tcp_stream

    async def noting(host: str, port: int, **options: Any) -> trio.SocketStream:
        found.append((host if isinstance(host, str) else str(host, "ascii"), port))
        return await connect(host, port, **options)

    monkeypatch.setattr(trio, "open_tcp_stream", noting)
    return found


async def eventually(what: Callable[[], object]) -> None:
    """Return once it is so. For what happens in real time and tells nobody."""
    with trio.fail_after(SECONDS):
        while not what():  # noqa: ASYNC110 - as the docstring says
            await trio.sleep(0.01)


# --- The host's side ------------------------------------------------------------------------
class Room:
    """The application that the tunnel leads to. ``/hold`` never answers; ``most`` at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes, bytes]] = []
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self.now = self.most = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked.append((scope["method"], scope["raw_path"], scope["query_string"]))
        self.headers.append(scope["headers"])
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if scope["raw_path"].startswith(b"/hold"):
                while (await receive())["type"] != "http.disconnect":
                    pass
                return
            headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"{}"})
        finally:
            self.now -= 1


class Tunnel:
    """A running tunnel, and what it told."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.events: list[TunnelEvent] = []
        self.changed = trio.Event()
        self.stop = trio.Event()
        self.ended: Ended | None = None

    def tell(self, event: TunnelEvent) -> None:
        self.events.append(event)
        self.changed.set()
        self.changed = trio.Event()

    def count(self, kind: type[Any]) -> int:
        return sum(isinstance(event, kind) for event in self.events)

    async def until(self, kind: type[Any], times: int = 1) -> None:
        with trio.fail_after(SECONDS):
            while self.count(kind) < times:
                await self.changed.wait()

    async def run(self, url: str, responder: Responder, **options: Any) -> None:
        self.ended = await run_tunnel(
            TunnelPlan(url, "review", SECRET),
            responder,
            stop=self.stop,
            on_event=self.tell,
            entropy=random.Random(1).randbytes,
            **options,
        )
        self.changed.set()


@asynccontextmanager
async def open_responder(room: Room, kind: str) -> AsyncIterator[tuple[Responder, set[int]]]:
    """Give who answers, and the ports that it may connect to."""
    if kind == "in this process":
        yield AsgiResponder(room), set()
        return
    stop = trio.Event()
    sockets = open_listener("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    responder = TargetResponder(f"http://127.0.0.1:{port}")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_http, room, sockets, stop=stop, drain_seconds=0.1))
        yield responder, {port}
        await responder.close()
        stop.set()


# --- The broker's side ----------------------------------------------------------------------
class Villain:
    """One connection at a hostile broker."""

    def __init__(self, connection: WebSocketConnection, url: str, tasks: trio.Nursery) -> None:
        self.connection = connection
        self.url = url
        self._tasks = tasks
        self._is_listening = False
        self.answers: dict[int, Response] = {}
        self.bodies: dict[int, bytes] = {}
        self.resets: dict[int, str] = {}
        self.pongs = 0
        self.is_over = trio.Event()
        self._moved = trio.Event()

    async def say(self, *frames: FromBroker) -> None:
        for frame in frames:
            await self.connection.send_message(encode_frame(frame))

    async def register(self, public_url: str | None = None) -> None:
        nonce = bytes(range(NONCE_BYTES))
        await self.say(Challenge(nonce=nonce))
        claim = decode_from_host(await self.connection.get_message())
        assert isinstance(claim, Register)
        assert is_proven(claim.owner, claim.proof, claim.slug, nonce)
        url = public_url if public_url is not None else f"{self.url}/review"
        await self.say(Registered(public_url=url, lease_seconds=1, lifetime_seconds=1))
        self.begin_to_listen()

    def begin_to_listen(self) -> None:
        """Have whatever comes from now on taken."""
        if not self._is_listening:
            self._is_listening = True
            self._tasks.start_soon(self.listen)

    async def listen(self) -> None:
        """Take what the host says until the connection ends."""
        try:
            while True:
                frame: FromHost = decode_from_host(await self.connection.get_message())
                if isinstance(frame, Response):
                    self.answers[frame.stream] = frame
                    self.bodies[frame.stream] = frame.data
                elif isinstance(frame, Data):
                    self.bodies[frame.stream] += frame.data
                elif isinstance(frame, Reset):
                    self.resets[frame.stream] = frame.code
                elif isinstance(frame, Ping):
                    await self.say(Pong(id=frame.id))
                elif isinstance(frame, Pong):
                    self.pongs += 1
                self._moved.set()
        except ConnectionClosed:
            pass
        finally:
            self.is_over.set()
            self._moved.set()

    async def until(self, what: Callable[[], object]) -> None:
        with trio.fail_after(SECONDS):
            while not what():
                assert not self.is_over.is_set(), "the host has ended the link"
                self._moved = trio.Event()
                await self._moved.wait()

    async def outcome(self, stream: int) -> int | str:
        """Wait for a request's end; give its status or the code of its reset."""
        await self.until(lambda: stream in self.answers or stream in self.resets)
        found = self.answers.get(stream)
        return found.status if found is not None else self.resets[stream]


Act = Callable[[Villain], Awaitable[None]]


@asynccontextmanager
async def hostile(
    *acts: Act, kind: str = "in this process", registers: bool = True
) -> AsyncIterator[tuple[Tunnel, list[Villain], set[int]]]:
    """Run a broker that does at each connection what the next of ``acts`` says, and a tunnel.

    The last of them is done again and again. Also given: the ports that may be dialled.
    """
    villains: list[Villain] = []
    room = Room()

    async def behave(request: WebSocketRequest) -> None:
        connection = await request.accept(subprotocol=SUBPROTOCOL)
        async with trio.open_nursery() as listening:
            villain = Villain(connection, url, listening)
            act = acts[min(len(villains), len(acts) - 1)]
            villains.append(villain)
            with suppress(ConnectionClosed):
                if registers:
                    await villain.register()
                await act(villain)
            villain.begin_to_listen()

    async with trio.open_nursery() as nursery, open_responder(room, kind) as (responder, ports):
        server: Any = await nursery.start(
            partial(serve_websocket, behave, "127.0.0.1", 0, ssl_context=None)
        )
        url = f"http://127.0.0.1:{server.port}"
        tunnel = Tunnel(room)
        nursery.start_soon(tunnel.run, url, responder)
        yield tunnel, villains, {server.port, *ports}
        tunnel.stop.set()
        with trio.fail_after(SECONDS):
            while tunnel.ended is None:
                await tunnel.changed.wait()
        nursery.cancel_scope.cancel()
    assert room.now == 0, "a request was left over"


async def be_good(villain: Villain) -> None:
    """Ask what a broker asks, and be content with the answer."""
    await villain.say(Request(stream=1, method="GET", path=b"/status", end=True))
    assert await villain.outcome(1) == 200


async def goes_on(tunnel: Tunnel, villains: list[Villain], at: int = 2) -> None:
    """See that the host has come back, and answers."""
    await tunnel.until(Opened, at)
    await eventually(lambda: len(villains) >= at and 1 in villains[at - 1].answers)


def asking(stream: int, path: bytes = b"/status", **more: Any) -> Request:
    fields = {"method": "GET", "headers": FIELDS, "end": True, **more}
    return Request(stream=stream, path=path, **fields)


# --- Requests -------------------------------------------------------------------------------
BAD_REQUESTS: dict[str, tuple[dict[str, Any], int]] = {
    "two slashes": ({"path": b"//x"}, 400),
    "a way out": ({"path": b"/../etc/passwd"}, 400),
    "a way out, encoded": ({"path": b"/a/%2e%2E/%2e./x"}, 400),
    "a whole URL": ({"path": b"http://evil.example/x"}, 400),
    "a whole URL behind a slash": ({"path": b"/http://evil.example:80/x y"}, 400),
    "no slash": ({"path": b"x"}, 400),
    "nothing": ({"path": b""}, 400),
    "a backslash": ({"path": b"/\\evil.example\\x"}, 400),
    "an end of line": ({"path": b"/x HTTP/1.1\r\nHost: evil\r\n\r\nGET /"}, 400),
    "an end of line in the query": ({"query": b"a\r\nb: c"}, 400),
    "a fragment": ({"path": b"/x#y"}, 400),
    "bytes": ({"path": b"/\xff\x00"}, 400),
    "a long path": ({"path": b"/" + b"x" * 5000}, 414),
    "CONNECT": ({"method": "CONNECT", "path": b"evil.example:443"}, 405),
    "OPTIONS": ({"method": "OPTIONS", "path": b"*"}, 405),
    "a method of two lines": ({"method": "GET / HTTP/1.1\r\nX: y\r\n\r\nGET"}, 405),
    "a method in small letters": ({"method": "post"}, 405),
    "a header of two lines": ({"headers": ((b"accept", b"a\r\nb: c"),)}, 400),
    "a name of two lines": ({"headers": ((b"a\r\nb", b"c"),)}, 400),
    "a name with a colon": ({"headers": ((b"host: evil", b"c"),)}, 400),
    "no name": ({"headers": ((b"", b"c"),)}, 400),
    "a zero byte": ({"headers": ((b"accept", b"\x00"),)}, 400),
    "two credentials": ({"headers": (*FIELDS, *FIELDS)}, 400),
    "a thousand headers": ({"headers": tuple((b"x-%d" % n, b"y") for n in range(1000))}, 431),
    "a body that GET has not": ({"data": b"x"}, 400),
}


@pytest.mark.hostile("T17")
@pytest.mark.parametrize("kind", ["in this process", "apart"])
async def test_a_request_that_is_none_is_refused_alone(
    kind: str, dialled: list[tuple[str, int]]
) -> None:
    outcomes: dict[str, int | str] = {}

    async def act(villain: Villain) -> None:
        for number, (what, (request, _)) in enumerate(BAD_REQUESTS.items(), 1):
            await villain.say(asking(number, **{"path": b"/x", **request}))
            outcomes[what] = await villain.outcome(number)
        await villain.say(asking(9999))
        outcomes["good"] = await villain.outcome(9999)

    async with hostile(act, kind=kind) as (tunnel, _, ports):
        await eventually(lambda: "good" in outcomes)
        assert outcomes.pop("good") == 200
        assert outcomes == {what: status for what, (_, status) in BAD_REQUESTS.items()}
        assert tunnel.room.asked == [("GET", b"/status", b"")]
        assert tunnel.count(Lost) == 0
    assert {port for _, port in dialled} <= ports


@pytest.mark.hostile("T17")
@pytest.mark.parametrize("kind", ["in this process", "apart"])
async def test_a_broker_does_not_say_who_is_asked(
    kind: str, dialled: list[tuple[str, int]]
) -> None:
    trap = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = trap[0].socket.getsockname()[1]
    done = trio.Event()

    async def act(villain: Villain) -> None:
        evil = b"127.0.0.1:%d" % port
        fields = [
            *((b"host", evil), (b"x-forwarded-host", evil), (b"forwarded", b"host=" + evil)),
            *((b"cookie", b"a=b"), (b"connection", b"upgrade"), (b"upgrade", b"websocket")),
            *((b"transfer-encoding", b"chunked"), (b"content-length", b"5"), (b"expect", b"x")),
            *((b"proxy-authorization", b"x"), (b"x-real-ip", b"127.0.0.1")),
        ]
        await villain.say(asking(1, path=b"/http://" + evil, headers=(*FIELDS, *fields)))
        assert await villain.outcome(1) == 200
        done.set()

    async with hostile(act, kind=kind) as (tunnel, villains, ports):
        with trio.fail_after(SECONDS):
            await done.wait()
        [headers] = tunnel.room.headers
        names = {name for name, _ in headers}
        assert names == {b"host", b"authorization"}
        assert dict(headers)[b"host"].decode() == villains[0].url.removeprefix("http://")
    assert {found for _, found in dialled} <= ports
    with trio.move_on_after(0) as nobody_came:
        await trap[0].accept()
    assert nobody_came.cancelled_caught
    await trap[0].aclose()


@pytest.mark.hostile("T17")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["in this process", "apart"])
async def test_ten_thousand_requests_at_once_are_256(kind: str) -> None:
    async def act(villain: Villain) -> None:
        for number in range(1, 10_001):
            await villain.say(asking(number, path=b"/hold"))

    tracemalloc.start()
    try:
        async with hostile(act, be_good, kind=kind) as (tunnel, villains, _):
            await tunnel.until(Opened)
            villain = villains[0]
            await eventually(lambda: len(villain.resets) >= 9_000 or villain.is_over.is_set())
            assert tunnel.room.most <= MAX_STREAMS
            assert set(villains[0].resets.values()) <= {"route_request_limit"}
            await villains[0].connection.aclose()
            await goes_on(tunnel, villains)
            assert tunnel.room.now == 0
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.hostile("T17")
async def test_requests_without_an_end_do_not_pile_up() -> None:
    async def act(villain: Villain) -> None:
        for number in range(1, 2_001):
            more = {"method": "POST", "end": False, "data": b"x" * 1000}
            await villain.say(asking(number, **more))

    async with hostile(act, be_good) as (tunnel, villains, _):
        await tunnel.until(Opened)
        villain = villains[0]
        await eventually(lambda: len(villain.resets) >= 1_700 or villain.is_over.is_set())
        assert tunnel.room.asked == [], "nothing that is not whole is passed on"
        await villains[0].connection.aclose()
        await goes_on(tunnel, villains)


# --- Bodies ---------------------------------------------------------------------------------
@pytest.mark.hostile("T07", "T17")
async def test_a_body_of_a_gibibyte_beyond_the_credit_ends_the_link() -> None:
    sent = 0

    async def act(villain: Villain) -> None:
        nonlocal sent
        await villain.say(asking(1, method="POST", end=False))
        for _ in range(1024 * MIB // MAX_DATA_BYTES):
            await villain.say(Data(stream=1, data=bytes(MAX_DATA_BYTES)))
            sent += MAX_DATA_BYTES

    tracemalloc.start()
    try:
        async with hostile(act, be_good) as (tunnel, villains, _):
            await tunnel.until(Lost)
            await goes_on(tunnel, villains)
            assert b"/status" in {path for _, path, _ in tunnel.room.asked}
            assert len(tunnel.room.asked) == 1
        # What the kernel's buffers hold, and what was on its way when the link ended.
        assert sent < 64 * MIB
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.hostile("T17")
async def test_a_body_within_the_credit_ends_at_64_kib() -> None:
    outcomes: list[int | str] = []

    async def act(villain: Villain) -> None:
        await villain.say(asking(1, method="POST", end=False))
        half = bytes(MAX_DATA_BYTES)
        assert 2 * MAX_DATA_BYTES == MAX_BODY_BYTES
        await villain.say(Data(stream=1, data=half), Data(stream=1, data=half))
        await trio.sleep(0.05)
        await villain.say(Data(stream=1, data=b"x"))
        outcomes.append(await villain.outcome(1))
        await villain.say(asking(2))
        outcomes.append(await villain.outcome(2))

    async with hostile(act) as (tunnel, _, _ports):
        await eventually(lambda: len(outcomes) == 2)
        assert outcomes == [413, 200]
        assert tunnel.count(Lost) == 0
        assert len(tunnel.room.asked) == 1


# --- Frames ---------------------------------------------------------------------------------
async def send_text(villain: Villain) -> None:
    await villain.connection.send_message("GET / HTTP/1.1")


def sending(message: bytes) -> Act:
    async def act(villain: Villain) -> None:
        await villain.connection.send_message(message)

    return act


def saying(*frames: FromBroker) -> Act:
    async def act(villain: Villain) -> None:
        await villain.say(*frames)

    return act


def raw(data: bytes) -> Act:
    async def act(villain: Villain) -> None:
        # The library may be about to answer a ping.
        async with villain.connection._stream_lock:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await villain.connection._stream.send_all(data)

    return act


GARBAGE: dict[str, Act] = {
    "text": send_text,
    "nothing": sending(b""),
    "garbage": sending(b"\xc1\xff"),
    "64 KiB and one byte": sending(bytes(64 * 1024 + 1)),
    "two mebibytes": sending(bytes(2 * MIB)),
    "a length of 4 GiB": sending(b"\x82\xa1t\xa4data\xc6\xff\xff\xff\xff"),
    "nesting": sending(b"\x91" * 60_000),
    "a frame of ours": sending(encode_frame(Response(stream=1, status=200))),
    "registered again": saying(
        Registered(public_url="https://x.example/review", lease_seconds=1, lifetime_seconds=1)
    ),
    "a challenge again": saying(Challenge(nonce=bytes(NONCE_BYTES))),
    "refused at last": saying(Refused(code="rate_limited", message="x")),
    "data of nothing": saying(Data(stream=7, data=b"x")),
    "credit of nothing": saying(Window(stream=7, credit=1)),
    "numbers that fall": saying(asking(5), asking(4)),
    "a number twice": saying(asking(5), asking(5)),
    "credit without end": saying(
        asking(1, path=b"/hold"),
        Window(stream=1, credit=MAX_CREDIT),
        Window(stream=1, credit=MAX_CREDIT),
    ),
    "credit of none": sending(b"\x83\xa1t\xa6window\xa6stream\x01\xa6credit\x00"),
    "a frame that is none": raw(b"\xff\xff\xff\xff"),
    "a masked frame": raw(b"\x82\x81\x00\x00\x00\x00x"),
    # Without the bytes behind it, it is a broker that went silent.
    "a length of 2^62": raw(b"\x82\x7f\x40" + bytes(7) + bytes(2 * MIB)),
    "HTTP": raw(b"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\n\r\n"),
}


@pytest.mark.hostile("T08", "T17")
@pytest.mark.parametrize("what", GARBAGE)
async def test_garbage_ends_the_link_and_the_host_comes_back(
    what: str, dialled: list[tuple[str, int]]
) -> None:
    async with hostile(GARBAGE[what], be_good) as (tunnel, villains, ports):
        await tunnel.until(Lost)
        await goes_on(tunnel, villains)
        lost = next(event for event in tunnel.events if isinstance(event, Lost))
        assert "evil" not in lost.reason
    assert {port for _, port in dialled} <= ports


@pytest.mark.hostile("W06", "T17")
@pytest.mark.parametrize(
    ("frame", "many"),
    [
        (Ping(id=1), 60_000),
        (Pong(id=1), 60_000),
        (GoingAway(code="going_away"), 60_000),
        (Reset(stream=1, code="cancelled"), 60_000),
        (Window(stream=1, credit=1), 60_000),
    ],
    ids=lambda one: type(one).__name__,
)
async def test_a_flood_of_frames_ends_the_link(frame: FromBroker, many: int) -> None:
    async def act(villain: Villain) -> None:
        await villain.say(asking(1))
        await villain.outcome(1)
        for _ in range(many):
            await villain.say(frame)

    async with hostile(act, be_good) as (tunnel, villains, _):
        await tunnel.until(Lost)
        await goes_on(tunnel, villains)


# --- The registration -----------------------------------------------------------------------
BAD_URLS = (
    "javascript:alert(1)//review",
    "https://rooms.example/$(id)/review",
    "https://rooms.example/;reboot;/review",
    "https://rooms.example/`id`/review",
    "https://rooms.example/'x'/review",
    "https://rooms.example/other",
    "https://rooms.example/review/../other",
    "https://rooms.example/review\nhttps://evil.example",
    "https://user:password@rooms.example/review",
    "https://rooms.example/review?token=",
    "https://rooms.example/review#x",
    "http://rooms.example/review",
    "https://rooms.example\\@evil.example/review",
    "https://rооms.example/review",
    "data:text/html,review",
    "",
)


@pytest.mark.hostile("U06", "T21")
@pytest.mark.parametrize("public_url", BAD_URLS)
async def test_a_url_that_no_room_has_is_never_told_to_anybody(public_url: str) -> None:
    async def act(villain: Villain) -> None:
        await villain.register(public_url)

    async with hostile(act, registers=False) as (tunnel, villains, _):
        with trio.fail_after(SECONDS):
            while tunnel.ended is None:
                await tunnel.changed.wait()
        assert tunnel.ended.code == "bad_broker"
        assert tunnel.count(Opened) == 0
        assert len(villains) == 1, "another attempt would be in vain"
        for part in ("evil", "id)", "password", "alert"):
            assert part not in tunnel.ended.reason


@pytest.mark.hostile("T21")
@pytest.mark.parametrize(
    "act",
    [
        raw(b"\xff\xff"),
        sending(b"garbage"),
        send_text,
        saying(asking(1)),
        saying(
            Registered(public_url="http://127.0.0.1/review", lease_seconds=1, lifetime_seconds=1)
        ),
        saying(Ping(id=1)),
        saying(GoingAway(code="going_away")),
    ],
    ids=["no frame", "garbage", "text", "a request", "registered at once", "a ping", "going away"],
)
async def test_what_is_no_challenge_is_no_broker(act: Act) -> None:
    async def good(villain: Villain) -> None:
        await villain.register()
        await be_good(villain)

    async with hostile(act, good, registers=False) as (tunnel, villains, _):
        await goes_on_from_nothing(tunnel, villains)
        assert tunnel.count(Lost) == 1


async def goes_on_from_nothing(tunnel: Tunnel, villains: list[Villain]) -> None:
    await tunnel.until(Opened, 1)
    await eventually(lambda: len(villains) >= 2 and 1 in villains[1].answers)


@pytest.mark.hostile("T21")
async def test_a_redirect_is_not_followed(dialled: list[tuple[str, int]]) -> None:
    trap = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = trap[0].socket.getsockname()[1]
    asked: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        asked.append(await stream.receive_some())
        await stream.send_all(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/_host/link\r\n"
            b"Content-Length: 0\r\n\r\n" % port
        )

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        broker = listeners[0].socket.getsockname()[1]
        tunnel = Tunnel(Room())
        nursery.start_soon(tunnel.run, f"http://127.0.0.1:{broker}", AsgiResponder(tunnel.room))
        await tunnel.until(Lost, 2)
        tunnel.stop.set()
        with trio.fail_after(SECONDS):
            while tunnel.ended is None:
                await tunnel.changed.wait()
        nursery.cancel_scope.cancel()
    assert {found for _, found in dialled} == {broker}
    assert all(SECRET.encode() not in data for data in asked)
    await trap[0].aclose()


# --- What takes long ------------------------------------------------------------------------
async def run_for(seconds: float, *behaviours: Behaviour) -> tuple[Tunnel, FakeBroker]:
    broker = FakeBroker(*behaviours)
    tunnel = Tunnel(Room())
    with trio.move_on_after(seconds):
        await tunnel.run(BROKER, AsgiResponder(tunnel.room), dial=broker.dial)
    return tunnel, broker


async def go_away(visit: Visit) -> None:
    channel = await visit.register()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.run)
        channel.go_away("going_away")
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()


@pytest.mark.hostile("T15", "T17")
async def test_a_broker_that_always_goes_away_is_not_asked_without_end(
    autojump_clock: MockClock,
) -> None:
    tunnel, broker = await run_for(3600, go_away)
    assert 100 < len(broker.dialled_at) < 1000
    assert tunnel.count(Opened) == len(broker.dialled_at)
    assert tunnel.ended is None


@pytest.mark.hostile("T17")
async def test_a_broker_does_not_send_its_host_away_for_long(autojump_clock: MockClock) -> None:
    async def far_away(visit: Visit) -> None:
        await visit.register()
        # More than the frame may say is no frame; the most is ten minutes.
        await visit.transport.send(
            encode_frame(GoingAway(code="going_away", return_after_ms=600_000))
        )
        visit.transport.cut()

    tunnel, broker = await run_for(1300, far_away)
    assert len(broker.dialled_at) >= 3
    refusing = refuse_with("rate_limited", retry_after_s=366 * 24 * 3600)
    tunnel, broker = await run_for(2.5 * LONGEST_PAUSE_SECONDS, refusing)
    assert len(broker.dialled_at) == 3
    assert tunnel.ended is None


@pytest.mark.hostile("T17")
@pytest.mark.parametrize("more", [601_000, 2**62, -1, 1.5, "x", None])
async def test_a_time_that_is_none_ends_the_link(more: object, autojump_clock: MockClock) -> None:
    async def act(visit: Visit) -> None:
        await visit.register()
        frame = {"t": "going_away", "code": "going_away", "return_after_ms": more}
        await visit.transport.send(msgspec.msgpack.encode(frame))
        await trio.sleep_forever()

    _, broker = await run_for(20, act)
    assert len(broker.dialled_at) >= 3


@pytest.mark.hostile("T17")
async def test_a_broker_that_never_answers_is_asked_again(autojump_clock: MockClock) -> None:
    tunnel, broker = await run_for(120, say_nothing)
    assert 3 <= len(broker.dialled_at) <= 12
    assert tunnel.count(Opened) == 0
    assert tunnel.count(Lost) >= 2


@pytest.mark.hostile("T07")
async def test_a_broker_that_gives_no_credit_holds_no_request(autojump_clock: MockClock) -> None:
    """What it does not take is given up in time."""
    ends: list[float] = []

    class Pouring(Room):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            self.now += 1
            try:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                while True:
                    body = {"type": "http.response.body", "body": bytes(65536), "more_body": True}
                    await send(body)
            finally:
                self.now -= 1
                ends.append(trio.current_time())

    async def starve(visit: Visit) -> None:
        await visit.register()
        await visit.transport.send(encode_frame(asking(1)))
        while True:
            frame = decode_from_host(await visit.transport.receive())
            if isinstance(frame, Ping):
                await visit.transport.send(encode_frame(Pong(id=frame.id)))

    broker = FakeBroker(starve)
    tunnel = Tunnel(Pouring())
    with trio.move_on_after(100):
        await tunnel.run(BROKER, AsgiResponder(tunnel.room), dial=broker.dial)
    assert tunnel.count(Lost) == 0
    assert len(ends) == 1
    assert ends[0] <= ANSWER_SECONDS + 1
    assert tunnel.room.now == 0
