"""A room's server in another process, asked through a tunnel: real sockets, real time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from agentgather.edge.serve import open_listener, serve_http
from agentgather.tunnel.target import TargetResponder
from agentgather.wire.limits import MAX_DATA_BYTES, MAX_STREAMS
from tests.doubles.incoming import FakeIncoming

PUBLIC = "https://rooms.example/review"


class Room:
    """A server that keeps what it was asked, and answers by the path."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[Any] = []
        self.bodies: list[bytes] = []
        self.held = 0
        self.news = trio.Event()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.asked.append(scope)
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body", False):
                break
        self.bodies.append(body)
        await getattr(self, "do_" + scope["path"].split("/")[-1])(receive, send)

    async def answer(self, send: Any, body: bytes, *more: tuple[bytes, bytes]) -> None:
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def do_small(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"small", (b"set-cookie", b"a=b"))

    async def do_large(self, receive: Any, send: Any) -> None:
        await self.answer(send, b"x" * (3 * MAX_DATA_BYTES))

    async def do_wait(self, receive: Any, send: Any) -> None:
        self.held += 1
        self.news.set()
        try:
            assert (await receive())["type"] == "http.disconnect"
        finally:
            self.held -= 1
            self.news.set()

    async def do_events(self, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await self.do_wait(receive, send)

    async def do_broken(self, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        raise ConnectionError

    async def until_held(self, count: int) -> None:
        with trio.fail_after(5):
            while self.held != count:
                self.news = trio.Event()
                await self.news.wait()


@asynccontextmanager
async def open_target() -> AsyncIterator[tuple[Room, TargetResponder]]:
    room, stop = Room(), trio.Event()
    sockets = open_listener("127.0.0.1", 0)
    room.port = sockets[0].getsockname()[1]
    responder = TargetResponder(f"http://127.0.0.1:{room.port}")
    responder.serve_at(PUBLIC)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve_http, room.app, sockets, stop=stop))
        yield room, responder
        await responder.close()
        stop.set()


async def ask(responder: TargetResponder, stream: FakeIncoming) -> FakeIncoming:
    await responder.respond(stream)
    return stream


def error_of(stream: FakeIncoming) -> tuple[int, str]:
    assert stream.answer is not None
    return stream.answer.status, json.loads(stream.body)["error"]


async def test_a_request_goes_to_the_target_under_the_public_name() -> None:
    async with open_target() as (room, responder):
        stream = FakeIncoming(
            "POST",
            b"/a%20b/small",
            query=b"x=1&y=%2F",
            headers=((b"content-type", b"application/json"), (b"host", b"evil.example")),
            body=b'{"text":"hi"}',
        )
        await ask(responder, stream)
        [scope] = room.asked
        assert (scope["raw_path"], scope["query_string"]) == (b"/a%20b/small", b"x=1&y=%2F")
        assert dict(scope["headers"]) == {
            b"host": b"rooms.example",
            b"content-type": b"application/json",
            b"content-length": b"13",
        }
        assert room.bodies == [b'{"text":"hi"}']
    # What fits is one frame, with the headers that a broker passes on.
    assert stream.frames == [("head", b"small", True)]
    assert stream.headers == {b"content-type": b"text/plain", b"content-length": b"5"}


async def test_a_target_may_have_a_path_of_its_own() -> None:
    async with open_target() as (room, _):
        prefixed = TargetResponder(f"http://127.0.0.1:{room.port}/rooms/one")
        await ask(prefixed, FakeIncoming(path=b"/small"))
        await prefixed.close()
        assert room.asked[0]["raw_path"] == b"/rooms/one/small"
        # Not told yet where it is public, it asks under the target's own name.
        assert dict(room.asked[0]["headers"])[b"host"] == b"127.0.0.1:%d" % room.port


@pytest.mark.hostile("T17")
async def test_whatever_the_broker_says_only_the_target_is_asked() -> None:
    async with open_target() as (room, responder):
        for path in (b"http://evil.example/small", b"//evil.example/small", b"@evil.example/small"):
            stream = await ask(responder, FakeIncoming(path=path))
            assert error_of(stream) == (400, "bad_request_target")
        assert error_of(await ask(responder, FakeIncoming("CONNECT"))) == (
            405,
            "method_not_allowed",
        )
        assert room.asked == []


async def test_a_large_answer_is_streamed() -> None:
    async with open_target() as (_, responder):
        stream = await ask(responder, FakeIncoming(path=b"/large"))
    assert stream.body == b"x" * (3 * MAX_DATA_BYTES)
    assert len(stream.frames) > 1
    assert stream.is_answered


async def test_an_answer_to_head_has_no_body() -> None:
    async with open_target() as (_, responder):
        for path in (b"/small", b"/large"):
            stream = await ask(responder, FakeIncoming("HEAD", path))
            assert stream.frames == [("head", b"", True)]


@pytest.mark.hostile("T20")
async def test_a_stream_that_nobody_takes_is_not_read_on() -> None:
    async with open_target() as (_, responder):
        stream = FakeIncoming(path=b"/large")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, responder, stream)
            await stream.wait_frames(1)
            stream.room = trio.Event()
            await wait_all_tasks_blocked(0.05)
            before = len(stream.frames)
            await wait_all_tasks_blocked(0.05)
            assert len(stream.frames) == before < 4
            stream.room.set()
        assert len(stream.body) == 3 * MAX_DATA_BYTES


async def test_a_participant_who_leaves_ends_the_wait_at_the_target() -> None:
    async with open_target() as (room, responder):
        for path in (b"/wait", b"/events"):
            stream = FakeIncoming(path=path)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, responder, stream)
                await room.until_held(1)
                stream.leave()
                await room.until_held(0)


async def test_who_left_before_is_not_asked_for() -> None:
    async with open_target() as (_, responder):
        stream = FakeIncoming(path=b"/wait")
        stream.leave()
        with trio.fail_after(5):
            await ask(responder, stream)
        assert stream.frames == []


async def test_as_many_waits_are_held_as_a_link_has_streams() -> None:
    async with open_target() as (room, responder):
        streams = [FakeIncoming(path=b"/wait") for _ in range(MAX_STREAMS - 1)]
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(ask, responder, stream)
            await room.until_held(len(streams))
            # And what ends soon has a place beside them.
            stream = await ask(responder, FakeIncoming(path=b"/small"))
            assert stream.is_answered
            for stream in streams:
                stream.leave()


@pytest.mark.hostile("T06")
async def test_an_answer_that_breaks_off_is_not_a_whole_one(caplog: Any) -> None:
    async with open_target() as (_, responder):
        stream = await ask(responder, FakeIncoming(path=b"/broken"))
    assert not stream.is_answered
    assert stream.reset_by_us == "host_unavailable"


async def test_without_a_server_the_room_is_away_for_now() -> None:
    sockets = open_listener("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    for one in sockets:
        one.close()
    responder = TargetResponder(f"http://127.0.0.1:{port}")
    stream = await ask(responder, FakeIncoming(path=b"/small"))
    assert error_of(stream) == (504, "host_unavailable")
    assert int(stream.headers[b"retry-after"]) >= 1
    await responder.close()


async def test_what_speaks_no_http_is_no_room() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        responder = TargetResponder(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
        stream = await ask(responder, FakeIncoming(path=b"/small"))
        assert error_of(stream) == (504, "host_unavailable")
        await responder.close()
        nursery.cancel_scope.cancel()
