"""A broker as a process: what it opens, what it says, and how it ends, whatever peers do."""

import json
import signal
import socket
import sqlite3
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from agentgather.link.channel import Channel
from agentgather.link.handshake import register
from agentgather.link.machine import End
from agentgather.link.proof import owner_of, prove
from agentgather.link.stream import Stream, StreamOver
from agentgather.tunnel.websocket import open_websocket
from agentgather.wire.link import (
    Challenge,
    GoingAway,
    Ping,
    Register,
    Registered,
    Request,
    Reset,
    encode_frame,
)
from tests.doubles.broker_process import BrokerProcess, run_broker
from tests.doubles.broker_server import BrokerServer, open_server
from tests.doubles.broker_stage import SECRET, Serve, echo, hold, response
from tests.doubles.raw_http import RawServer, request
from tests.doubles.raw_link import RawLink, handshake
from tests.edge.frames import BINARY, CLOSE, PING, TEXT, frame

STOP_SECONDS = 10


@asynccontextmanager
async def open_host(url: str, serve: Serve, slug: str = "demo") -> AsyncIterator[Channel]:
    """Have a host on a link for the length of the block."""
    async with trio.open_nursery() as nursery:

        async def serve_one(stream: Stream) -> None:
            try:
                await serve(stream)
            except StreamOver:
                return

        async def run(task_status: trio.TaskStatus[Channel]) -> None:
            async with open_websocket(url) as websocket:
                await register(websocket, slug=slug, secret=SECRET)
                channel = Channel(End.HOST, websocket)
                task_status.started(channel)
                await channel.run(on_request=lambda one: nursery.start_soon(serve_one, one))

        yield await nursery.start(run)
        nursery.cancel_scope.cancel()


# --- Nothing outward ------------------------------------------------------------------------
OUTWARD = (
    "http://127.0.0.1:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "//127.0.0.1:{port}/",
    "/demo/http://127.0.0.1:{port}/",
    "/http://127.0.0.1:{port}/x",
    "/demo/..//127.0.0.1:{port}/",
)


@pytest.mark.hostile("B01")
async def test_a_broker_connects_to_nobody(tmp_path: Path) -> None:
    """Whatever it is told: of all its sockets none is one that it opened outward."""
    trap = await trio.open_tcp_listeners(0, host="127.0.0.1")
    trapped = trap[0].socket.getsockname()[1]
    async with run_broker(tmp_path / "broker") as broker, open_host(broker.url, echo):
        ports = {broker.port}
        targets = [target.format(port=trapped) for target in OUTWARD]
        for target in targets:
            async with await trio.open_tcp_stream("127.0.0.1", broker.port) as stream:
                await stream.send_all(request("GET", target, f"Host: 127.0.0.1:{trapped}"))
                await stream.receive_some()
            body = json.dumps({"route_slug": "other", "target": target}).encode()
            reply = await broker.ask(request("POST", "/_host/register", body=body))
            assert reply.outcome == (400, "invalid_registration")
            assert {local for local, _ in broker.sockets()} <= ports
        fields = ("X-Forwarded-Host: 127.0.0.1", f"Forwarded: host=127.0.0.1:{trapped}")
        assert (await broker.ask(request("GET", "/demo/x", *fields))).status == 200
        assert {local for local, _ in broker.sockets()} <= ports
    with trio.move_on_after(0) as nobody_came:
        await trap[0].accept()
    assert nobody_came.cancelled_caught
    for listener in trap:
        await listener.aclose()


# --- Its end --------------------------------------------------------------------------------
async def pour_or_hold(stream: Stream) -> None:
    assert isinstance(stream.head, Request)
    if stream.head.path != b"/export":
        await hold(stream)
        return
    await stream.send_head(response(stream, end=False))
    while True:
        await stream.send(b"x" * 65536, end=False)


async def small_window(port: int) -> trio.SocketStream:
    """Connect as one whose window is soon closed."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


@asynccontextmanager
async def everybody_stuck(broker: BrokerProcess) -> AsyncIterator[None]:
    """Ten who read nothing, ten half bodies, ten silent WebSockets, ten held waits, half heads."""
    opened: list[trio.SocketStream] = []

    async def connect(data: bytes, *, is_small: bool = False) -> trio.SocketStream:
        if is_small:
            stream = await small_window(broker.port)
        else:
            stream = await trio.open_tcp_stream("127.0.0.1", broker.port)
        opened.append(stream)
        await stream.send_all(data)
        return stream

    half = request("POST", "/demo/messages", "Content-Length: 1000", body=None) + b'{"te'
    for _ in range(10):
        await connect(request("GET", "/demo/export"), is_small=True)
        await connect(half)
        await connect(request("GET", "/demo/wait"))
        await connect(b"GET /demo/half HTTP/1.1\r\nHo")
        silent = await connect(handshake(broker.port))
        await silent.receive_some()
    for number in range(4):
        stream = await trio.open_tcp_stream("127.0.0.1", broker.port)
        opened.append(stream)
        link = RawLink(stream)
        await link.upgrade(broker.port)
        await link.register(f"silent-{number}")
    try:
        yield
    finally:
        for stream in opened:
            await trio.aclose_forcefully(stream)


@pytest.mark.hostile("K02")
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_nobody_holds_up_the_end(tmp_path: Path, number: signal.Signals) -> None:
    quotas = ("--client-requests", "1000", "--route-requests", "1000")
    async with (
        run_broker(tmp_path / "broker", *quotas) as broker,
        open_host(broker.url, pour_or_hold) as channel,
        everybody_stuck(broker),
    ):
        with trio.fail_after(STOP_SECONDS):
            while channel.stream_count < 20:  # noqa: ASYNC110 - it happens elsewhere
                await trio.sleep(0.02)
        started = trio.current_time()
        broker.process.send_signal(number)
        assert await broker.wait() == 0
        assert trio.current_time() - started <= STOP_SECONDS
        assert b"Traceback" not in broker.said


@pytest.mark.hostile("K03")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
async def test_a_second_signal_ends_it_at_once(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    async with (
        run_broker(tmp_path / "broker") as broker,
        open_host(broker.url, pour_or_hold),
        await trio.open_tcp_stream("127.0.0.1", broker.port) as stream,
    ):
        # An answer in flight that would take the whole drain.
        await stream.send_all(request("GET", "/demo/export"))
        await stream.receive_some()
        broker.process.send_signal(number)
        with trio.fail_after(STOP_SECONDS):
            # It has begun to stop once nobody is let in any more.
            while await lets_in(broker.port):  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.01)
        started = trio.current_time()
        broker.process.send_signal(number)
        assert await broker.wait() in (code, -number)
        assert trio.current_time() - started < 2
        assert b"Traceback" not in broker.said
    assert leases(tmp_path / "broker") == 1, "what was acknowledged is on the disk"


async def lets_in(port: int) -> bool:
    try:
        await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
    except OSError:
        return False
    return True


def leases(folder: Path) -> int:
    with sqlite3.connect(folder / "state" / "state.sqlite3") as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM leases")
    connection.close()
    return int(count)


@pytest.mark.hostile("K03")
async def test_a_broken_pipe_and_a_quit_are_nothing_special(tmp_path: Path) -> None:
    async with run_broker(tmp_path / "broker") as broker:
        broker.process.send_signal(signal.SIGPIPE)
        assert (await broker.ask(request("GET", "/healthz"))).status == 200
        broker.process.send_signal(signal.SIGQUIT)
        assert await broker.wait() in (-signal.SIGQUIT, 131)


# --- Secrets --------------------------------------------------------------------------------
MARK = "zq7mark"
"""In everything that is planted; as a slug and a code it has to be of their letters."""
CODE = f"{MARK}_code"


def forms_of(text: str) -> list[bytes]:
    return [text.encode(), text.upper().encode(), text.encode().hex().encode()]


async def plant(server: RawServer, url: str) -> None:
    """Say the mark everywhere that anything can be said, well and badly."""

    said: list[bytes] = []
    raw = said.append

    async def serve(stream: Stream) -> None:
        head = stream.head
        assert isinstance(head, Request)
        if b"reset" in head.path:
            stream.reset(CODE)
        elif b"bad" in head.path:
            fields = ((b"content-type", f"text/{MARK}".encode()), (MARK.encode(), MARK.encode()))
            await stream.send_head(response(stream, MARK.encode(), headers=fields))
        elif b"half" in head.path:
            await stream.send_head(response(stream, MARK.encode(), end=False))
            stream.reset(CODE)
        elif b"error" in head.path:
            body = json.dumps({"ok": False, "error": CODE, "message": MARK}).encode()
            await stream.send_head(response(stream, body, 500))
        else:
            await echo(stream)

    slug = f"{MARK}-room"
    async with open_host(url, serve, slug) as channel:
        for path in (f"x/{MARK}", f"messages?q={MARK}", "reset", "bad", "half", "error", "wait"):
            fields = (f"Origin: {url}", f"Last-Event-ID: {MARK}", f"X-{MARK}: {MARK}")
            got = request(
                "POST",
                f"/{slug}/{path}",
                *fields,
                f"Cookie: {MARK}",
                token=MARK,
                body=MARK.encode(),
            )
            raw(got.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
        raw(request("GET", f"/{MARK}/{MARK}?token={MARK}", token=MARK))
        raw(request("GET", f"/{slug}/card?token={MARK}&token={MARK}"))
        raw(request(MARK.upper(), f"/{slug}/{MARK}"))
        raw(request("GET", f"/{slug}/{MARK}", f"Host: {MARK}"))
        raw(request("GET", f"/{slug}/{MARK}", f"Origin: https://{MARK}"))
        raw(request("GET", f"/{slug}/assets/{MARK}"))
        raw(request("POST", f"/{slug}/x", f"Content-Length: {MARK}"))
        raw(request("POST", f"/{slug}/x", f"Transfer-Encoding: {MARK}"))
        raw(request("POST", f"/{slug}/x", "Transfer-Encoding: chunked") + MARK.encode())
        raw(request("GET", MARK))
        raw(request("GET", f"/{slug}/{MARK * 1000}"))
        raw(request("GET", f"/{slug}/", f"X: {MARK * 2000}"))
        raw(f"{MARK} {MARK} {MARK}\r\n\r\n".encode())
        raw(f"GET /{MARK} {MARK}/1.1\r\n{MARK}\r\n\r\n".encode())
        raw(MARK.encode() * 5000)
        body = {"route_slug": f"{MARK}-old", "target": MARK, MARK: MARK}
        for action in ("register", "heartbeat", "poll", "respond", "close", MARK):
            for document in (body, {"route_id": MARK, "host_connection_id": MARK}):
                data = json.dumps(document).encode()
                raw(request("POST", f"/_host/{action}", "Connection: close", body=data))
        await say_all(server, said)
        channel.go_away(CODE)
    older = json.dumps({"route_slug": f"{MARK}-old"}).encode()
    said.clear()
    raw(request("POST", "/_host/register", "Connection: close", body=older))
    endings = (
        frame(CLOSE, struct.pack("!H", 4321) + MARK.encode()),
        frame(PING, MARK.encode()) + frame(CLOSE, b"\x03\xe8" + MARK.encode()),
        frame(BINARY, encode_frame(GoingAway(code=CODE)))
        + frame(CLOSE, b"\x03\xe8" + MARK.encode()),
        # The owner is kept away after a fault, so these are the last of each slug.
        frame(TEXT, MARK.encode()),
        frame(BINARY, MARK.encode()),
        frame(BINARY, encode_frame(Ping(id=1))) + frame(BINARY, MARK.encode()),
    )
    for number, ending in enumerate(endings):
        for is_registered in (True, False):
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                link = RawLink(stream)
                await link.upgrade(server.port, f"X-{MARK}: {MARK}")
                if is_registered:
                    await link.register(f"{MARK}-{number % 3}", secret=f"agh_{MARK}")
                await link.send(ending)
                await link.close_code()
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        link = RawLink(stream)
        await link.upgrade(server.port)
        challenge = await link.hear()
        assert isinstance(challenge, Challenge)
        wrong = Register(
            slug=f"{MARK}_bad",
            owner=owner_of(MARK),
            proof=prove(MARK, f"{MARK}_bad", challenge.nonce),
            registration_token=f"agr_{MARK}",
        )
        await link.say(wrong)
        assert not isinstance(await link.hear(), Registered | Reset)
    raw(request("GET", "/_host/link", f"Sec-WebSocket-Protocol: {MARK}"))
    raw(handshake(server.port, f"Sec-WebSocket-Key: {MARK}", "Upgrade: websocket"))
    await say_all(server, said)


async def say_all(server: RawServer, said: list[bytes]) -> None:
    """Say each thing on a connection of its own, all at once."""

    async def say(data: bytes) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            try:
                await stream.send_all(data)
                with trio.move_on_after(3):
                    while await stream.receive_some():
                        pass
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        for data in said:
            nursery.start_soon(say, data)


@pytest.mark.hostile("B19")
@pytest.mark.slow
async def test_a_process_says_nothing_of_what_it_was_told(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    quotas = ("--client-requests", "1000", "--registrations-per-client", "1000")
    quotas += ("--routes-per-client", "100")
    async with run_broker(folder, *quotas, "--trusted-proxy", "loopback") as broker:
        await plant(broker, broker.url)
        broker.process.send_signal(signal.SIGTERM)
        assert await broker.wait() == 0
    written = {str(one): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    assert len(written) >= 5
    for name, data in written.items():
        for form in forms_of(MARK):
            assert form not in data, name
            assert form not in name.encode()
    assert b"Traceback" not in broker.said
    lines = [json.loads(line) for line in (folder / "stdout").read_bytes().splitlines()]
    statuses = {line.get("status") for line in lines}
    assert {200, 400, 403, 404, 405, 500, 502, 504} <= statuses, "it was said, and heard"
    assert len(lines) > 40


@pytest.mark.hostile("B19")
@pytest.mark.slow
async def test_nor_do_its_metrics_its_warnings_and_its_debugging(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(0)
    async with open_server(tmp_path) as server:
        await plant_and_look(server)
    texts = [server.log.data.decode(), *capfd.readouterr()]
    texts += [
        record.getMessage()
        for record in caplog.records
        # Of the clients in this test, not of the broker.
        if not record.name.startswith(("trio-websocket", "asyncio"))
    ]
    for form in forms_of(MARK):
        assert form.decode() not in "\n".join(texts)
    assert not [record for record in caplog.records if record.exc_info]


async def plant_and_look(server: BrokerServer) -> None:
    await plant(server, server.url)
    text = await server.metrics()
    assert "agentgather_broker_requests_total" in text
    for form in forms_of(MARK):
        assert form.decode() not in text
