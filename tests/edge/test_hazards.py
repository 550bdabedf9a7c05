"""What the bare stack does with each hazard, and what ours does.

The bare half says why the cure is there. Where it fails after an upgrade, hypercorn or
quart may have been mended, and ours may be thrown away.
"""

import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from quart import websocket
from quart_trio import QuartTrio

from agentgather.edge.bounds import Bounds
from tests.edge.frames import BINARY, CLOSE, TEXT, frame, handshake, parse_frames, upgrade
from tests.edge.peers import (
    GET,
    App,
    Server,
    answer,
    echo,
    get,
    hello,
    post,
    read_all,
    serving,
    serving_bare,
    within,
)

MIB = 1024 * 1024
QUICK = Bounds(
    headers_seconds=0.2,
    keep_alive_seconds=0.2,
    unread_answer_seconds=0.2,
    unsent_body_seconds=0.2,
)


async def accepting(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket and read it to its end; answer requests with hello."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def quart_app() -> QuartTrio:
    app = QuartTrio(__name__)

    async def index() -> str:
        return "hello"

    app.add_url_rule("/", view_func=index, methods=["GET", "POST"])
    return app


# --- 0: one connection ends the process -------------------------------------------------

KILLERS = {
    "bytes behind the upgrade": handshake() + frame(TEXT, b"x"),
    "a subprotocol that is not ASCII": handshake("Sec-WebSocket-Protocol: \xe9"),
}


@pytest.mark.parametrize("data", KILLERS.values(), ids=KILLERS.keys())
async def test_one_packet_ends_the_bare_server(data: bytes) -> None:
    async with serving_bare(accepting) as server:
        peer = await server.connect()
        await peer.send(data)
        with within(2):
            await server.ended.wait()
        assert server.error is not None


@pytest.mark.hostile("W08", "K11")
@pytest.mark.parametrize("data", KILLERS.values(), ids=KILLERS.keys())
async def test_one_packet_ends_one_connection(data: bytes) -> None:
    async with serving(accepting, bounds=QUICK) as server:
        peer = await server.connect()
        assert (await peer.ask(data)).status == 400
        assert await server.is_alive()
        assert not server.ended.is_set()


@pytest.mark.hostile("K11")
async def test_what_nobody_thought_of_ends_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async with serving(hello) as server:
        with monkeypatch.context() as patch:
            patch.setattr("agentgather.edge.connection.parse_head", broken)
            peer = await server.connect()
            await peer.send(GET)
            assert await peer.rest() == b""
        assert await server.is_alive()
    assert [record.getMessage() for record in caplog.records] == ["a connection failed"]


# --- 1: idle and half-read connections stay for ever ------------------------------------


async def test_the_bare_server_keeps_idle_connections() -> None:
    async with serving_bare(quart_app(), keep_alive_timeout=0.1) as server:
        peer = await server.connect()
        await peer.ask(GET)
        with trio.move_on_after(0.5) as patience:
            await peer.rest()
        assert patience.cancelled_caught


@pytest.mark.hostile("H24")
@pytest.mark.parametrize("app", [quart_app(), hello], ids=["quart", "plain"])
async def test_idle_connections_end(app: App) -> None:
    async with serving(app, bounds=QUICK) as server:
        peer = await server.connect()
        await peer.ask(GET)
        with within(2):
            assert await peer.rest() == b""


async def test_the_bare_server_keeps_connections_whose_body_never_comes() -> None:
    async with serving_bare(quart_app(), keep_alive_timeout=0.1) as server:
        peer = await server.connect()
        await peer.ask(post(b"", length=5))
        with trio.move_on_after(0.5) as patience:
            await peer.rest()
        assert patience.cancelled_caught


@pytest.mark.hostile("H23")
async def test_connections_whose_body_never_comes_end() -> None:
    async with serving(quart_app(), bounds=QUICK) as server:
        peer = await server.connect()
        assert (await peer.ask(post(b"", length=5))).status == 200
        with within(2):
            assert await peer.rest() == b""


# --- 2: who never reads keeps the server from stopping ----------------------------------


async def big(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answer(send, b"x" * (32 * MIB))


async def test_the_bare_server_does_not_stop_while_a_client_does_not_read() -> None:
    async with serving_bare(big, graceful_timeout=0.1) as server:
        peer = await server.connect()
        await peer.send(GET)
        await trio.sleep(0.1)
        server.stop.set()
        with trio.move_on_after(0.7) as patience:
            await server.ended.wait()
        assert patience.cancelled_caught
        await trio.aclose_forcefully(peer.stream)
        with within(5):
            await server.ended.wait()


@pytest.mark.hostile("H26", "K02")
async def test_a_server_stops_whoever_does_not_read() -> None:
    async with serving(big, drain_seconds=0.1) as server:
        peer = await server.connect()
        await peer.send(GET)
        await trio.sleep(0.1)
        started = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        assert trio.current_time() - started < 1.1


# --- 3 and 4: WebSockets that grow ------------------------------------------------------


async def close_then_flood(server: Server) -> int:
    """Send a message too long, read the close, send on; say how much more was taken."""
    peer = await server.connect()
    await upgrade(peer)
    await peer.send(frame(BINARY, b"x" * 2000, length=64 * MIB))
    [closing] = parse_frames(await peer.stream.receive_some(1000))
    assert closing.code == 1009
    taken = 0
    with trio.move_on_after(1):
        try:
            while taken < 32 * MIB:
                await peer.stream.send_all(b"x" * 65536)
                taken += 65536
        except trio.BrokenResourceError:
            pass
    return taken


async def test_the_bare_server_takes_on_after_it_has_closed_a_websocket() -> None:
    async with serving_bare(accepting, websocket_max_message_size=1000) as server:
        assert await close_then_flood(server) == 32 * MIB


@pytest.mark.hostile("W04")
async def test_a_websocket_past_its_bound_is_cut() -> None:
    async with serving(accepting, bounds=Bounds(websocket_message_bytes=1000)) as server:
        assert await close_then_flood(server) < 16 * MIB


async def test_the_bare_server_inflates_what_it_is_sent() -> None:
    taken = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            assert len((await receive())["bytes"]) == 8 * MIB
            taken.set()

    bomb = zlib.compressobj(wbits=-15)
    data = (bomb.compress(bytes(8 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH))[:-4]
    async with serving_bare(app) as server:
        peer = await server.connect()
        headers = await upgrade(peer, "Sec-WebSocket-Extensions: permessage-deflate")
        assert headers["sec-websocket-extensions"].startswith("permessage-deflate")
        await peer.send(frame(BINARY, data, rsv=4))
        assert len(data) < 10_000
        with within(5):
            await taken.wait()


@pytest.mark.hostile("W03")
async def test_nothing_is_inflated() -> None:
    async with serving(accepting, bounds=QUICK) as server:
        peer = await server.connect()
        headers = await upgrade(peer, "Sec-WebSocket-Extensions: permessage-deflate")
        assert "sec-websocket-extensions" not in headers
        await peer.send(frame(BINARY, b"x", rsv=4))
        [closing] = parse_frames(await peer.rest())
        assert closing.code == 1002


# --- 5: requests with two readings ------------------------------------------------------

CODING = "Transfer-Encoding: chunked"
TWO_READINGS = {
    "HTTP/3.0": (get(version="3.0"), 505),
    "a target with a host": (get("http://evil.example/messages"), 400),
    "a length and a coding": (post(b"0\r\n\r\n", CODING, length=3), 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "a folded header": (get("/", "X: a\r\n b"), 400),
    "60 KiB of headers": (get("/", *[f"X: {'a' * 1000}"] * 60), 431),
    "3,000 headers": (get("/", *["A: b"] * 3000), 431),
    "a target of 17 KiB": (get("/" + "a" * 17_000), 414),
    "two equal lengths": (post(b"abc", "Content-Length: 3"), 400),
}


@pytest.mark.parametrize(("data", "status"), TWO_READINGS.values(), ids=TWO_READINGS.keys())
async def test_the_bare_server_reads_one_of_two(data: bytes, status: int) -> None:
    async with serving_bare(echo) as server:
        with within(2):
            assert (await server.ask(data)).status == 200


@pytest.mark.hostile("H04", "H06", "H08", "H10", "H11", "H12", "H13")
@pytest.mark.parametrize(("data", "status"), TWO_READINGS.values(), ids=TWO_READINGS.keys())
async def test_what_has_two_readings_is_read_by_nobody(data: bytes, status: int) -> None:
    async with serving(echo, bounds=QUICK) as server:
        peer = await server.connect()
        with within(2):
            found = await peer.ask(data)
            assert (found.status, found.headers["connection"]) == (status, "close")
            assert await peer.rest() == b""
        assert await server.is_alive()


H2C = get("/", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\0\0\0\0\0"


async def test_the_bare_server_speaks_http_2() -> None:
    async with serving_bare(hello) as server:
        peer = await server.connect()
        await peer.send(H2C)
        assert (await peer.answer(head_only=True)).status == 101
        peer = await server.connect()
        await peer.send(PREFACE)
        assert (await peer.stream.receive_some(9))[3] == 4  # SETTINGS


@pytest.mark.hostile("H14")
@pytest.mark.parametrize(("data", "status"), [(H2C, 400), (PREFACE, 505)])
async def test_http_2_is_not_spoken(data: bytes, status: int) -> None:
    async with serving(hello) as server:
        assert (await server.ask(data)).status == status


async def test_the_bare_server_changes_a_method() -> None:
    async with serving_bare(method) as server:
        assert (await server.ask(get(method="post"))).body == b"POST"


@pytest.mark.hostile("H05")
async def test_a_method_stays_as_it_was_sent() -> None:
    async with serving(method) as server:
        assert (await server.ask(get(method="post"))).body == b"post"


async def method(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await answer(send, scope["method"].encode())


# --- 6: a pipelined request hides the disconnect ----------------------------------------


async def left_within(
    serving_with: Callable[..., AbstractAsyncContextManager[Server]], seconds: float
) -> bool:
    """Hold a wait, pipeline a request, leave; say whether the wait hears of it in time."""
    left = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await read_all(receive)
            with trio.move_on_after(1.5):
                await receive()
                left.set()
                return
            await answer(send)

    async with serving_with(app) as server:
        peer = await server.connect()
        await peer.send(GET + GET)
        await trio.sleep(0.1)
        await peer.stream.aclose()
        with trio.move_on_after(seconds):
            await left.wait()
        heard = left.is_set()
        server.stop.set()
        await server.ended.wait()
        return heard


async def test_a_pipelined_request_hides_the_disconnect_from_the_bare_server() -> None:
    assert not await left_within(serving_bare, 0.5)


@pytest.mark.hostile("H30")
async def test_a_pipelined_request_hides_no_disconnect() -> None:
    assert await left_within(serving, 0.5)


# --- 7: stopping cuts what is held ------------------------------------------------------


async def test_the_bare_server_cuts_what_is_held() -> None:
    async with serving_bare(hold_for_ever, graceful_timeout=0.1) as server:
        peer = await server.connect()
        await peer.send(GET)
        await trio.sleep(0.1)
        server.stop.set()
        assert await peer.rest() == b""


async def test_what_is_held_is_released_and_answered() -> None:
    released = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await released.wait()
            await answer(send, b"come back")

    async with serving(app, on_stop=lambda: released.set()) as server:
        peer = await server.connect()
        await peer.send(GET)
        await trio.sleep(0.1)
        server.stop.set()
        assert (await peer.answer()).body == b"come back"


async def hold_for_ever(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await trio.sleep_forever()


# --- 7b: a body is read before anybody asks for it --------------------------------------


async def taken_unasked(app: App, serving_with: Any, *, seconds: float) -> int:
    """Say how much of a long body the server takes in so long, while its application sleeps."""
    taken = 0
    async with serving_with(app) as server:
        peer = await server.connect()
        peer.stream.setsockopt(1, 7, 65536)  # SOL_SOCKET, SO_SNDBUF
        await peer.send(post(b"", length=64 * MIB))
        with trio.move_on_after(seconds):
            while taken < 48 * MIB:
                await peer.stream.send_all(b"x" * 65536)
                taken += 65536
    return taken


async def test_quart_reads_a_body_that_nobody_asked_for() -> None:
    app = QuartTrio(__name__)
    app.config["MAX_CONTENT_LENGTH"] = None

    async def sleep() -> str:
        await trio.sleep_forever()
        return ""

    app.add_url_rule("/", view_func=sleep, methods=["POST"])
    assert await taken_unasked(app, serving_bare, seconds=60) == 48 * MIB


@pytest.mark.hostile("H26")
async def test_a_body_waits_until_it_is_asked_for() -> None:
    assert await taken_unasked(hold_for_ever, serving, seconds=0.5) < 16 * MIB


# --- 8: answers that are not ours -------------------------------------------------------


async def test_the_bare_stack_answers_a_target_without_a_path_with_nothing() -> None:
    async with serving_bare(quart_app()) as server:
        found = await server.ask(get("?x"))
        assert (found.status, found.body) == (500, b"")
        assert found.headers["server"].startswith("hypercorn")


@pytest.mark.hostile("H03")
@pytest.mark.parametrize("app", [quart_app(), hello], ids=["quart", "plain"])
async def test_a_target_without_a_path_is_refused_in_json(app: App) -> None:
    async with serving(app) as server:
        found = await server.ask(get("?x"))
        assert found.status == 400
        assert b'"bad_request_target"' in found.body
        assert "server" not in found.headers


# --- 9: no caps, and a deadline that ends what is held -----------------------------------


async def test_the_read_timeout_of_the_bare_server_ends_what_is_held() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await read_all(receive)
            await receive()

    async with serving_bare(app, read_timeout=0.2) as server:
        peer = await server.connect()
        await peer.send(GET)
        with within(2):
            assert await peer.rest() == b""


async def test_no_deadline_ends_what_is_held() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await read_all(receive)
            with trio.move_on_after(0.6):
                await receive()
            await answer(send, b"held")

    async with serving(app, bounds=QUICK) as server:
        assert (await server.ask(GET)).body == b"held"


# --- 10: empty frames -------------------------------------------------------------------


async def first_message(app: App, got: list[Any], serving_with: Any) -> Any:
    async with serving_with(app) as server:
        peer = await server.connect()
        await upgrade(peer)
        await peer.send(frame(BINARY) + frame(CLOSE))
        with within(2):
            await peer.rest()
    return got[0]


async def test_quart_makes_nothing_of_an_empty_frame() -> None:
    got: list[Any] = []
    app = QuartTrio(__name__)

    async def link() -> None:
        got.append(await websocket.receive())

    app.add_websocket("/link", view_func=link)
    assert await first_message(app, got, serving_bare) is None


@pytest.mark.hostile("W05")
async def test_an_empty_frame_is_an_empty_message() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            got.append((await receive())["bytes"])

    assert await first_message(app, got, serving) == b""
