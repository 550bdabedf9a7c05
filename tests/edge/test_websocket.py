"""WebSockets: what is offered, what ends them, and what must not end anything else."""

import gc
import struct
import zlib
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock
from wsproto.connection import Connection as WSConnection
from wsproto.frame_protocol import FrameProtocol

from agentgather.edge.bounds import Bounds
from agentgather.edge.websocket import WebSocketProtocol
from agentgather.edge.websocket_frames import MAX_TURN_FRAMES, SocketStream
from agentgather.wire.limits import MAX_CONTROL_FRAMES_PER_SECOND, SMALL_BYTES
from tests.edge.frames import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    frame,
    handshake,
    parse_frames,
    upgrade,
)
from tests.edge.peers import GET, RawPeer, answer, get, one_connection, serving, within

MIB = 1024 * 1024


async def repeat(scope: Any, receive: Any, send: Any) -> None:
    """Accept, send every message back, and end with the peer."""
    if scope["type"] == "http":
        await answer(send)
        return
    assert (await receive()) == {"type": "websocket.connect"}
    await send({"type": "websocket.accept"})
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return
        await send({"type": "websocket.send", "bytes": event["bytes"], "text": event["text"]})


async def read_frame(peer: RawPeer) -> Frame:
    """Read one short frame."""
    data = await peer.stream.receive_some(2)
    while len(data) < 2 + data[1]:
        data += await peer.stream.receive_some(2 + data[1] - len(data))
    [found] = parse_frames(data)
    return found


async def test_messages_go_both_ways() -> None:
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await repeat(scope, receive, send)

    async with one_connection(app) as peer:
        headers = await upgrade(peer)
        assert headers["sec-websocket-accept"] == ACCEPT
        assert "sec-websocket-extensions" not in headers
        assert "server" not in headers
        for opcode, payload in ((TEXT, "é".encode()), (BINARY, b"\0\xff")):
            await peer.send(frame(opcode, payload))
            assert await read_frame(peer) == (opcode, payload)
        await peer.send(frame(BINARY, b"a", fin=False) + frame(PING, b"p"))
        assert await read_frame(peer) == (PONG, b"p")
        await peer.send(frame(CONTINUATION, b"b"))
        assert await read_frame(peer) == (BINARY, b"ab")
        await peer.send(frame(CLOSE, b"\x03\xe8bye"))
        assert (await read_frame(peer)).code == 1000
    [scope] = scopes
    assert (scope["type"], scope["path"], scope["query_string"]) == ("websocket", "/link", b"a=b")
    assert scope["client"] == ("192.0.2.1", 5)


@pytest.mark.parametrize("last", [frame(CLOSE, b"\x03\xe8"), frame(CLOSE, b"\x03"), b""])
async def test_nothing_of_one_that_ended_waits_for_the_collector(last: bytes) -> None:
    """A server's collector comes by seldom, and hosts that come and go may be many."""
    gc.collect()
    gc.disable()
    try:
        async with one_connection(repeat) as peer:
            await upgrade(peer)
            await peer.send(frame(BINARY, b"x"))
            assert await read_frame(peer) == (BINARY, b"x")
            if last:
                await peer.send(last)
                await peer.ended.wait()
        kinds = WebSocketProtocol, SocketStream, WSConnection, FrameProtocol
        left = [one for one in gc.get_objects() if type(one) in kinds]
        assert left == []
    finally:
        gc.enable()


async def test_a_subprotocol_is_chosen_by_the_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["subprotocols"] == ["other", "agentgather-link.1"]
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "agentgather-link.1"})
        await receive()

    async with one_connection(app) as peer:
        headers = await upgrade(peer, "Sec-WebSocket-Protocol: other, agentgather-link.1")
        assert headers["sec-websocket-protocol"] == "agentgather-link.1"


@pytest.mark.hostile("W05")
async def test_an_empty_message_is_empty_and_not_missing(autojump_clock: MockClock) -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        events.extend([await receive(), await receive()])

    async with one_connection(app) as peer:
        await upgrade(peer)
        await peer.send(frame(BINARY) + frame(TEXT))
        await peer.ended.wait()
    assert [(event["bytes"], event["text"]) for event in events] == [(b"", None), (None, "")]


# --- Before the handshake is answered -------------------------------------------------


async def reject(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": ""})


async def test_an_application_without_websockets_says_so_in_json() -> None:
    async with one_connection(reject) as peer:
        found = await peer.ask(handshake())
        assert found.status == 403
        assert found.headers["content-type"] == "application/json; charset=utf-8"
        assert found.headers["connection"] == "close"
        assert b'"ok":false' in found.body


async def test_a_handshake_may_be_answered_like_any_request() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2"), (b"connection", b"close")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async with one_connection(app) as peer:
        found = await peer.ask(handshake())
        assert (found.status, found.body) == (401, b"no")


@pytest.mark.hostile("W08")
async def test_bytes_behind_a_handshake_are_refused() -> None:
    async with one_connection(repeat) as peer:
        found = await peer.ask(handshake() + frame(TEXT, b"early"))
        assert found.status == 400


@pytest.mark.hostile("W08")
async def test_bytes_before_the_acceptance_are_refused(autojump_clock: MockClock) -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        events.append(await receive())
        events.append(await receive())
        await send({"type": "websocket.accept"})

    async with one_connection(app) as peer:
        await peer.send(handshake())
        await trio.sleep(1)
        assert (await peer.ask(frame(TEXT, b"early"))).status == 400
        await peer.stream.aclose()
        await peer.ended.wait()
    assert [event["type"] for event in events] == ["websocket.disconnect"] * 2


async def test_a_client_that_leaves_before_the_acceptance_is_heard_of() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        events.extend([await receive(), await receive()])

    async with one_connection(app) as peer:
        await peer.send(handshake())
        await peer.stream.aclose()
        await peer.ended.wait()
    assert events[1]["type"] == "websocket.disconnect"


@pytest.mark.hostile("K11")
async def test_a_bug_before_the_acceptance_is_answered(caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError

    async with one_connection(app) as peer:
        assert (await peer.ask(handshake())).status == 500
    assert len(caplog.records) == 1


# --- Frames that break the protocol -----------------------------------------------------

BROKEN = {
    "not masked": (frame(TEXT, b"a", masked=False), 1002),
    "rsv1": (frame(BINARY, b"a", rsv=4), 1002),
    "rsv2": (frame(BINARY, b"a", rsv=2), 1002),
    "rsv3": (frame(PING, b"a", rsv=1), 1002),
    "opcode 3": (frame(3, b"a"), 1002),
    "opcode 11": (frame(11, b"a"), 1002),
    "a ping in parts": (frame(PING, b"a", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"a" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "a message within a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "a close with 1006": (frame(CLOSE, b"\x03\xee"), 1002),
    "a close with 999": (frame(CLOSE, b"\x03\xe7"), 1002),
    "a close whose reason is no text": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "a text that is none": (frame(TEXT, b"\xc3\x28"), 1007),
    "a length of 2^63": (frame(BINARY, length=1 << 63), 1002),
}


@pytest.mark.hostile("W04")
@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_ends_the_connection_with_its_code(
    data: bytes, code: int, caplog: Any, autojump_clock: MockClock
) -> None:
    async with one_connection(repeat) as peer:
        await upgrade(peer)
        await peer.send(data)
        [closing] = parse_frames(await peer.rest())
        assert closing.code == code
        await peer.ended.wait()
    assert not caplog.records


@pytest.mark.hostile("W03")
async def test_a_deflated_bomb_is_a_broken_frame() -> None:
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(32 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    async with one_connection(repeat) as peer:
        headers = await upgrade(peer, "Sec-WebSocket-Extensions: permessage-deflate")
        assert "sec-websocket-extensions" not in headers
        await peer.send(frame(BINARY, data[:-4], rsv=4))
        [closing] = parse_frames(await peer.rest())
        assert closing.code == 1002


ODD_OFFERS = [
    "permessage-deflate; client_max_window_bits=abc",
    "permessage-deflate; server_max_window_bits=99",
    ", ".join(["x-webkit-deflate-frame"] * 300),
]


@pytest.mark.hostile("W08")
@pytest.mark.parametrize("offer", ODD_OFFERS, ids=["no number", "99 bits", "three hundred"])
async def test_odd_offers_are_not_even_read(offer: str) -> None:
    async with one_connection(repeat) as peer:
        headers = await upgrade(peer, f"Sec-WebSocket-Extensions: {offer}")
        assert "sec-websocket-extensions" not in headers


# --- Bounds ---------------------------------------------------------------------------

SMALL = Bounds(websocket_message_bytes=1000)


@pytest.mark.hostile("W04")
async def test_a_message_has_a_bound() -> None:
    async with one_connection(repeat, SMALL) as peer:
        await upgrade(peer)
        await peer.send(frame(BINARY, b"x" * 500, fin=False) + frame(CONTINUATION, b"x" * 500))
        data = b""
        while len(data) < 1004:
            data += await peer.stream.receive_some(2000)
        assert parse_frames(data) == [(BINARY, b"x" * 1000)]
        await peer.send(frame(BINARY, b"x" * 500, fin=False) + frame(CONTINUATION, b"x" * 501))
        [closing] = parse_frames(await peer.rest())
        assert closing.code == 1009


@pytest.mark.hostile("W04", "T08")
@pytest.mark.parametrize("size", [1001, 1 << 32, 1 << 62])
async def test_a_length_past_the_bound_is_not_waited_for(size: int) -> None:
    async with one_connection(repeat, SMALL) as peer:
        await upgrade(peer)
        length = struct.pack("!BH", 254, size) if size < 1 << 16 else struct.pack("!BQ", 255, size)
        await peer.send(bytes([0x80 | BINARY]) + length + bytes(4))
        with trio.fail_after(5):
            [closing] = parse_frames(await peer.rest())
        assert closing.code == 1009


@pytest.mark.hostile("W04")
async def test_a_peer_that_goes_on_past_the_bound_is_cut() -> None:
    async with one_connection(repeat, SMALL) as peer, trio.open_nursery() as nursery:
        await upgrade(peer)

        async def flood() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await peer.send(frame(BINARY, b"x" * (64 * MIB)))

        nursery.start_soon(flood)
        await peer.ended.wait()


async def test_messages_wait_until_the_application_takes_them() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await trio.sleep_forever()

    async with one_connection(app) as peer, trio.open_nursery() as nursery:
        await upgrade(peer)
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await peer.send(frame(BINARY, b"x" * 10_000))
                sent += 1

        nursery.start_soon(flood)
        await trio.testing.wait_all_tasks_blocked(0.05)
        # What the two kernels hold, and none of it with us.
        assert sent < 200
        nursery.cancel_scope.cancel()


FLOODS = {
    "pings": frame(PING),
    "pongs": frame(PONG),
    "fragments of one byte": frame(CONTINUATION, b"x", fin=False),
    "fragments of nothing": frame(CONTINUATION, fin=False),
}


@pytest.mark.hostile("W06")
@pytest.mark.parametrize("kind", FLOODS)
async def test_frames_without_a_message_may_not_come_without_end(kind: str) -> None:
    async with serving(repeat) as server:
        flooder = await server.connect()
        await upgrade(flooder)
        taken: list[bytes] = []

        async def flood() -> None:
            if "fragments" in kind:
                await flooder.send(frame(BINARY, b"x", fin=False))
            with suppress(trio.BrokenResourceError):
                while True:
                    await flooder.send(FLOODS[kind] * 1000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with within(20):
                taken.append(await flooder.rest())
        [data] = taken
        assert data.endswith(b"\x88\x02\x03\xf0")  # a close with 1008
        assert await server.is_alive()


async def test_pings_now_and_then_and_fragments_of_a_message_are_no_flood(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(repeat) as peer:
        await upgrade(peer)
        for _ in range(30):
            await peer.send(frame(PING) * 190)
            data = b""
            while len(data) < 2 * 190:
                data += await peer.stream.receive_some(65536)
            await trio.sleep(1)
        await peer.send(frame(BINARY, b"x"))
        assert await read_frame(peer) == (BINARY, b"x")


@pytest.mark.hostile("W06")
@pytest.mark.parametrize(("over", "is_flood"), [(0, False), (1, True)])
async def test_so_many_small_fragments_may_come_at_once(
    over: int, is_flood: bool, autojump_clock: MockClock
) -> None:
    async with one_connection(repeat) as peer:
        await upgrade(peer)
        fragments = MAX_CONTROL_FRAMES_PER_SECOND - 1 + over
        data = frame(BINARY, b"x", fin=False)
        data += frame(CONTINUATION, b"x", fin=False) * fragments
        await peer.send(data + frame(CONTINUATION))
        first = await peer.stream.receive_some(1)
        assert first[0] & 15 == (CLOSE if is_flood else BINARY)


async def test_fragments_that_bring_something_are_no_flood(autojump_clock: MockClock) -> None:
    """Some libraries cut every long message into pieces of 4 KiB."""
    pieces = 64
    async with one_connection(repeat, bounds=Bounds(websocket_message_bytes=MIB)) as peer:
        await upgrade(peer)
        for _ in range(2 * MAX_CONTROL_FRAMES_PER_SECOND // pieces):
            await peer.send(frame(BINARY, bytes(SMALL_BYTES), fin=False))
            await peer.send(frame(CONTINUATION, bytes(SMALL_BYTES), fin=False) * pieces)
            await peer.send(frame(CONTINUATION))
            whole = await peer.stream.receive_some(MIB)
            while len(whole) < (pieces + 1) * SMALL_BYTES:
                whole += await peer.stream.receive_some(MIB)
            assert whole[0] & 15 == BINARY


CUT_FOR = {
    "a flood": (frame(PING) * (MAX_CONTROL_FRAMES_PER_SECOND + 1), 1008),
    "a message without end": (frame(BINARY, bytes(3000)), 1009),
    "a frame that is none": (frame(3, b"x"), 1002),
    "a text that is none": (frame(TEXT, b"\xc3\x28"), 1007),
    # The peer's own word is no proof of a fault.
    "its own close": (frame(CLOSE, b"\x03\xf0"), 1006),
    "no word at all": (b"", 1006),
}


@pytest.mark.hostile("W06")
@pytest.mark.parametrize("what", CUT_FOR)
async def test_the_application_is_told_what_its_peer_was_cut_for(
    what: str, autojump_clock: MockClock
) -> None:
    told = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.append(await receive())

    data, code = CUT_FOR[what]
    async with one_connection(app, bounds=Bounds(websocket_message_bytes=2000)) as peer:
        await upgrade(peer)
        await peer.send(data)
        if not data:
            await peer.stream.aclose()
        await peer.ended.wait()
    assert told == [{"type": "websocket.disconnect", "code": code}]


@pytest.mark.hostile("W06")
async def test_a_flood_of_pings_lets_others_run() -> None:
    async with serving(repeat) as server:
        flooder = await server.connect()
        await upgrade(flooder)

        async def flood() -> None:
            while True:
                await flooder.send(frame(PING) * 1000)
                await flooder.stream.receive_some(65536)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            with within(5):
                for _ in range(5):
                    assert (await server.ask(GET)).status == 200
            nursery.cancel_scope.cancel()


async def test_a_read_full_of_small_messages_lets_others_run_in_between() -> None:
    turns = at_once = most = 0
    taken = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal at_once, most
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(5_000):
            await receive()
            at_once += 1
            most = max(most, at_once)
        taken.set()

    async def others() -> None:
        nonlocal at_once, turns
        while True:
            await trio.lowlevel.checkpoint()
            at_once = 0
            turns += 1

    async with one_connection(app) as peer:
        await upgrade(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            with within(5):
                await peer.send(frame(BINARY) * 5_000)
                await taken.wait()
            nursery.cancel_scope.cancel()
    assert most <= 2 * MAX_TURN_FRAMES
    assert turns >= 5_000 // (2 * MAX_TURN_FRAMES)


async def test_messages_come_whole_and_in_order_however_they_were_read() -> None:
    payloads = [bytes([number]) * (number * 97 % 3_000) for number in range(200)]
    found: list[bytes] = []
    ended = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] != "websocket.disconnect":
            found.append(event["bytes"])
        ended.set()

    async with one_connection(app) as peer:
        await upgrade(peer)
        with within(5):
            await peer.send(b"".join(frame(BINARY, payload) for payload in payloads))
            await peer.send(frame(CLOSE, b"\x03\xe8"))
            await ended.wait()
    assert found == payloads


# --- Ends -----------------------------------------------------------------------------


async def test_the_application_may_end_it(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "last"})
        await send({"type": "websocket.close", "code": 4409, "reason": "superseded"})

    async with one_connection(app) as peer:
        await upgrade(peer)
        last, closing = parse_frames(await peer.rest())
        assert last == (TEXT, b"last")
        assert (closing.code, closing.payload[2:]) == (4409, b"superseded")


async def test_an_application_that_just_returns_has_ended_it() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async with one_connection(app) as peer:
        await upgrade(peer)
        [closing] = parse_frames(await peer.rest())
        assert closing.code == 1011


async def test_one_task_may_read_and_another_write() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with trio.open_nursery() as nursery:

            async def write() -> None:
                for _ in range(20):
                    await send({"type": "websocket.send", "bytes": b"x" * 100_000})

            nursery.start_soon(write)
            while (await receive())["type"] != "websocket.disconnect":
                pass

    async with one_connection(app) as peer:
        await upgrade(peer)
        await peer.send(frame(PING, b"p") * 50)
        data = b""
        while len(data) < 20 * 100_010 + 50 * 3:
            data += await peer.stream.receive_some(1 << 20)
        frames = parse_frames(data)
        assert sum(len(payload) for opcode, payload in frames if opcode == BINARY) == 2_000_000
        assert frames.count(Frame(PONG, b"p")) == 50


async def test_a_writer_to_a_client_that_left_is_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": b"x"})

    async with one_connection(app) as peer:
        await upgrade(peer)
        await peer.stream.aclose()
        with within(5):
            await peer.ended.wait()


@pytest.mark.hostile("T20")
async def test_a_writer_to_a_client_that_takes_nothing_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 100_000})

    async with one_connection(app) as peer:
        await upgrade(peer)
        started = trio.current_time()
        await peer.ended.wait()
        assert trio.current_time() - started == Bounds().unread_answer_seconds


@pytest.mark.hostile("K02")
async def test_a_silent_websocket_is_cut_when_the_server_stops() -> None:
    async with serving(repeat, drain_seconds=0.1) as server:
        peer = await server.connect()
        await upgrade(peer)
        started = trio.current_time()
        server.stop.set()
        await server.ended.wait()
        assert trio.current_time() - started < 1.1
        assert await peer.rest() == b""


@pytest.mark.hostile("W08")
async def test_what_is_no_handshake_is_refused_before_the_application() -> None:
    async with one_connection(repeat) as peer:
        fields = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 8")
        found = await peer.ask(get("/", *fields))
        assert found.status == 400
        assert found.headers["sec-websocket-version"] == "13"
