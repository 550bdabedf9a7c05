"""The whole server: listening, bounds, stopping."""

import errno
import logging
import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio

from agentgather.edge.bounds import Bounds
from agentgather.edge.serve import open_listener, serve_http
from agentgather.edge.traffic import Traffic
from agentgather.wire.limits import RESERVED_DESCRIPTORS, UNREAD_ANSWER_SECONDS
from tests.doubles.raw_http import descriptors
from tests.edge.peers import (
    GET,
    RawPeer,
    answer,
    echo,
    get,
    hello,
    post,
    read_all,
    serving,
    within,
)

QUICK = Bounds(
    headers_seconds=0.2,
    keep_alive_seconds=0.2,
    unread_answer_seconds=0.2,
    unsent_body_seconds=0.2,
)
MIB = 1024 * 1024


# --- Listening ------------------------------------------------------------------------


@pytest.fixture
def closed_after() -> Iterator[list[socket.socket]]:
    sockets: list[socket.socket] = []
    yield sockets
    for sock in sockets:
        sock.close()


def test_an_address_is_one_listener_with_all_its_options(
    closed_after: list[socket.socket],
) -> None:
    closed_after += open_listener("127.0.0.1", 0)
    [listener] = closed_after
    assert not listener.getblocking()

    def option(level: int, name: int) -> int:
        return listener.getsockopt(level, name)

    assert option(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert option(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
    assert option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNREAD_ANSWER_SECONDS * 1000


def test_what_is_accepted_inherits_the_options(closed_after: list[socket.socket]) -> None:
    closed_after += open_listener("127.0.0.1", 0)
    listener = closed_after[0]
    listener.setblocking(True)
    closed_after.append(socket.create_connection(listener.getsockname()))
    accepted, _ = listener.accept()
    closed_after.append(accepted)
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    for name in (socket.TCP_USER_TIMEOUT, socket.TCP_NODELAY, socket.TCP_NOTSENT_LOWAT):
        assert accepted.getsockopt(socket.IPPROTO_TCP, name) == listener.getsockopt(
            socket.IPPROTO_TCP, name
        )


def test_a_name_is_a_listener_for_each_of_its_addresses_on_one_port(
    closed_after: list[socket.socket],
) -> None:
    closed_after += open_listener("localhost", 0)
    assert len({sock.getsockname()[1] for sock in closed_after}) == 1
    known = {info[4][0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    assert {sock.getsockname()[0] for sock in closed_after} <= known


def test_a_taken_address_is_a_plain_error(closed_after: list[socket.socket]) -> None:
    closed_after += open_listener("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use") as taken:
        open_listener("127.0.0.1", closed_after[0].getsockname()[1])
    assert taken.value.errno == errno.EADDRINUSE


@pytest.mark.parametrize("host", ["192.0.2.1", "nobody.invalid"])
def test_an_address_that_is_not_ours_is_a_plain_error(host: str) -> None:
    with pytest.raises(OSError, match=r"assign|known|resolution"):
        open_listener(host, 0)


async def test_a_port_is_free_again_at_once() -> None:
    async with serving(hello) as server:
        assert (await server.ask(get("/", "Connection: close"))).status == 200
        server.stop.set()
        await server.ended.wait()
    for sock in open_listener("127.0.0.1", server.port):
        sock.close()


async def test_ipv6_is_served() -> None:
    try:
        sockets = open_listener("::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    stop = trio.Event()
    clients = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            clients.append((scope["client"][0], scope["server"]))
            await answer(send)

    async with trio.open_nursery() as nursery:
        await nursery.start(_serve, app, sockets, stop)
        port = sockets[0].getsockname()[1]
        peer = RawPeer(await trio.open_tcp_stream("::1", port))
        async with peer.stream:
            assert (await peer.ask(GET)).status == 200
        stop.set()
    assert clients == [("::1", ("::1", port))]


async def _serve(
    app: Any,
    sockets: list[socket.socket],
    stop: trio.Event,
    task_status: trio.TaskStatus[None],
    **options: Any,
) -> None:
    await serve_http(app, sockets, stop=stop, task_status=task_status, **options)


# --- Many connections -----------------------------------------------------------------


async def test_a_burst_of_connections_is_served() -> None:
    async with serving(echo) as server:
        answered = 0

        async def ask(number: int) -> None:
            nonlocal answered
            assert (await server.ask(post(b"%d" % number))).body == b"%d" % number
            answered += 1

        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(ask, number)
        assert answered == 300


async def refusal(peer: RawPeer) -> tuple[int, str | None]:
    async with peer.stream:
        found = await peer.answer()
        return found.status, found.headers.get("retry-after")


@pytest.mark.hostile("H27")
@pytest.mark.parametrize("cap", ["connections", "connections_per_client"])
async def test_one_connection_too_many_is_told_to_come_back(cap: str) -> None:
    async with serving(hello, bounds=Bounds(**{cap: 3})) as server:
        peers = [await server.connect() for _ in range(3)]
        for peer in peers:
            assert (await peer.ask(GET)).status == 200
        with within(2):
            assert await refusal(await server.connect()) == (503, "5")
        for peer in peers:
            assert (await peer.ask(GET)).status == 200
        await peers[0].stream.aclose()
        with within(2):
            while True:
                with suppress(trio.BrokenResourceError):
                    if (await server.ask(GET)).status == 200:
                        break


@pytest.mark.hostile("H27")
def test_each_address_has_its_own_count() -> None:
    traffic = Traffic(Bounds(connections=3, connections_per_client=2), 10_000)
    assert [traffic.enter("a"), traffic.enter("a"), traffic.enter("a")] == [True, True, False]
    assert [traffic.enter("b"), traffic.enter("b")] == [True, False]
    traffic.leave("a")
    assert traffic.enter("b")
    assert not traffic.enter("c")


def test_descriptors_are_left_for_files() -> None:
    assert Traffic(Bounds(), 1 << 20).most_connections == Bounds().connections
    assert Traffic(Bounds(), 1024).most_connections == 1024 - RESERVED_DESCRIPTORS
    assert Traffic(Bounds(), 64).most_connections == 32
    assert Traffic(Bounds(), 1).most_connections == 1


@pytest.fixture
def _few_descriptors() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.hostile("S08")
@pytest.mark.usefixtures("_few_descriptors")
async def test_without_descriptors_it_waits_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(hello) as server:
        held = await server.connect()
        assert (await held.ask(GET)).status == 200
        spare = await server.connect()
        assert (await spare.ask(GET)).status == 200
        with trio.socket.socket() as client:
            lowest_free = os.dup(0)
            os.close(lowest_free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            await client.connect(("127.0.0.1", server.port))
            waiting = RawPeer(trio.SocketStream(client))
            await waiting.send(GET)
            with trio.move_on_after(0.4) as patience:
                await waiting.answer()
            assert patience.cancelled_caught
            assert (await held.ask(GET)).status == 200
            assert [r.levelno for r in caplog.records] == [logging.WARNING]
            await spare.stream.aclose()
            with within(2):
                assert (await waiting.answer()).status == 200


@pytest.mark.hostile("H24")
async def test_idle_connections_leave_no_descriptors_behind() -> None:
    # Longer than the collector of a process that has run thousands of tests may stop it for.
    async with serving(hello, bounds=QUICK._replace(keep_alive_seconds=2)) as server:
        before = descriptors()
        peers = []
        for _ in range(100):
            peers.append(await server.connect())
            assert (await peers[-1].ask(GET)).status == 200
        with within(10):
            for peer in peers:
                assert await peer.rest() == b""
                await peer.stream.aclose()
        assert descriptors() == before


# --- What peers do over TCP -----------------------------------------------------------


@pytest.mark.hostile("H26")
async def test_a_peer_that_takes_nothing_is_reset() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send, b"x" * (16 * MIB))

    async with serving(app, bounds=QUICK) as server:
        peer = await server.connect()
        async with peer.stream:
            peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await peer.send(GET)
            await trio.sleep(0.6)
            with within(2):
                assert await peer.is_reset()


@pytest.mark.hostile("H29")
async def test_a_peer_that_resets_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(echo) as server:
        for data in (b"", GET[:10], post(b"", length=10), GET):
            peer = await server.connect()
            await peer.send(data)
            linger = struct.pack("ii", 1, 0)
            peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await peer.stream.aclose()
        assert (await server.ask(GET)).status == 200
    assert not caplog.records


NOISE = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "noise": bytes((number * 7919) % 256 for number in range(65536)),
    "HTTP/0.9": b"GET /\r\n",
    "a flood of headers": get("/", *["A: b"] * 50_000),
}


@pytest.mark.hostile("H11", "H13", "H28")
@pytest.mark.parametrize("data", NOISE.values(), ids=NOISE.keys())
async def test_noise_is_refused_and_the_refusal_can_be_read(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(hello) as server:
        peer = await server.connect()
        async with peer.stream:
            with within(2):
                found = await peer.ask(data)
        assert found.status in (400, 431)
        assert found.headers["connection"] == "close"
        assert (await server.ask(GET)).status == 200
    assert not caplog.records


@pytest.mark.hostile("K11")
async def test_a_bug_in_one_request_ends_no_other() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/bug":
            raise RuntimeError
        await hold(scope, receive, send)

    async with serving(app) as server:
        waiting = await server.connect()
        await waiting.send(get("/wait"))
        assert (await server.ask(get("/bug"))).status == 500
        released.set()
        assert (await waiting.answer()).body == b"released"


# --- Stopping -------------------------------------------------------------------------

released = trio.Event()


@pytest.fixture(autouse=True)
def _nothing_released() -> None:
    global released
    released = trio.Event()


async def hold(scope: Any, receive: Any, send: Any) -> None:
    """Hold every request until ``released``."""
    if scope["type"] == "lifespan":
        return
    await read_all(receive)
    await released.wait()
    await answer(send, b"released")


async def test_stopping_answers_what_is_held_and_closes_what_is_idle() -> None:
    async with serving(hold, on_stop=lambda: released.set(), drain_seconds=5) as server:
        idle = await server.connect()
        half = await server.connect()
        await half.send(GET[:10])
        waiting = [await server.connect() for _ in range(100)]
        for peer in waiting:
            await peer.send(GET)
        await trio.testing.wait_all_tasks_blocked(0.05)
        started = trio.current_time()
        server.stop.set()
        for peer in waiting:
            found = await peer.answer()
            assert (found.body, found.headers["connection"]) == (b"released", "close")
        assert await idle.rest() == await half.rest() == b""
        await server.ended.wait()
        assert trio.current_time() - started < 2
        with pytest.raises(OSError, match="all attempts"):
            await server.connect()


@pytest.mark.hostile("K02")
async def test_stopping_waits_for_nobody_longer_than_it_says() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        if scope["path"] == "/big":
            await answer(send, b"x" * (16 * MIB))
        else:
            await receive()
            await trio.sleep_forever()

    async with serving(app, drain_seconds=0.2) as server:
        peers = [await server.connect() for _ in range(30)]
        for peer in peers[:10]:
            await peer.send(get("/big"))
        for peer in peers[10:20]:
            await peer.send(post(b"half", length=10))
        for peer in peers[20:]:
            await peer.send(GET)
        await trio.testing.wait_all_tasks_blocked(0.05)
        started = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        assert 0.2 <= trio.current_time() - started < 1.2


async def test_stopping_an_idle_server_takes_no_time() -> None:
    async with serving(hello, drain_seconds=5) as server:
        peer = await server.connect()
        await peer.ask(GET)
        started = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        assert trio.current_time() - started < 0.5
        assert await peer.rest() == b""


async def test_cancelling_cuts_everybody() -> None:
    async with serving(hold) as server:
        peer = await server.connect()
        await peer.send(GET)
        await trio.testing.wait_all_tasks_blocked(0.05)
        server.cut()
        assert await peer.rest() == b""


# --- The application's life -----------------------------------------------------------


async def test_the_lifespan_is_around_the_server() -> None:
    steps = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            steps.append("request")
            await answer(send)
            return
        while True:
            kind = (await receive())["type"]
            steps.append(kind)
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return

    async with serving(app) as server:
        assert (await server.ask(GET)).status == 200
        server.stop.set()
        await server.ended.wait()
    assert steps == ["lifespan.startup", "request", "lifespan.shutdown"]


async def test_an_application_may_have_no_lifespan() -> None:
    async def raises(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await answer(send)

    async def returns_later(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await trio.sleep(0.01)
        else:
            await answer(send)

    for app in (raises, returns_later, hello):
        async with serving(app) as server:
            assert (await server.ask(GET)).status == 200
            server.stop.set()
            await server.ended.wait()


async def test_an_application_that_cannot_start_is_not_served() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    sockets = open_listener("127.0.0.1", 0)
    with pytest.raises(ExceptionGroup, match="nursery"):
        await serve_http(app, sockets, stop=trio.Event())
    for sock in sockets:
        sock.close()
