"""One connection, in virtual time."""

import json
import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agentgather.edge.answers import SECURITY_HEADERS
from agentgather.edge.bounds import MAX_PIPELINED_BYTES
from agentgather.edge.exchange import ABORT
from agentgather.wire.limits import (
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    UNREAD_ANSWER_SECONDS,
    UNSENT_BODY_SECONDS,
)
from tests.edge.peers import (
    GET,
    Answer,
    answer,
    echo,
    get,
    hello,
    one_connection,
    post,
    read_all,
    serving,
    within,
)

MIB = 1024 * 1024


def is_refusal(found: Answer, status: int, code: str) -> bool:
    """Say whether it is an error as every error is: JSON, with all headers, and the last."""
    document = json.loads(found.body)
    assert list(document) == ["ok", "error", "message"]
    assert found.headers["content-type"] == "application/json; charset=utf-8"
    assert found.headers["cache-control"] == "no-store"
    assert found.headers["connection"] == "close"
    assert "server" not in found.headers
    for name, value in SECURITY_HEADERS:
        assert found.headers[name.decode()] == value.decode()
    return found.status == status and document["error"] == code


async def test_requests_follow_each_other_on_one_connection() -> None:
    async with one_connection(echo) as peer:
        for number in range(3):
            found = await peer.ask(post(b"number %d" % number))
            assert (found.status, found.body) == (200, b"number %d" % number)
            assert "connection" not in found.headers
            assert "server" not in found.headers


async def test_the_application_sees_an_ordinary_scope() -> None:
    scopes = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["ours"] = 1
        scope["ours"] = 2
        scopes.append(scope)
        await answer(send)

    async with one_connection(app) as peer:
        await peer.ask(get("/a%20b?c=d", "X-Y: Z"))
        await peer.ask(get("/"))
    first, second = scopes
    assert first["asgi"]["version"] == "3.0"
    assert (first["method"], first["scheme"], first["http_version"]) == ("GET", "http", "1.1")
    assert (first["path"], first["raw_path"], first["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert first["headers"] == [(b"host", b"a"), (b"x-y", b"Z")]
    assert (first["client"], first["server"]) == (("192.0.2.1", 5), ("127.0.0.1", 80))
    assert second["extensions"] == {"ours": 1}
    assert second["extensions"] is not first["extensions"]


# --- Deadlines of a request ---------------------------------------------------------


@pytest.mark.hostile("H21")
async def test_a_head_has_ten_seconds_and_its_bytes_do_not_extend_them(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(hello) as peer, trio.open_nursery() as nursery:
        started = trio.current_time()
        nursery.start_soon(peer.drip, GET[:20], 1)
        found = await peer.answer()
        assert trio.current_time() - started == HEADERS_SECONDS
        assert is_refusal(found, 408, "request_timeout")
        nursery.cancel_scope.cancel()


async def test_a_head_may_take_almost_ten_seconds(autojump_clock: MockClock) -> None:
    async with one_connection(hello) as peer:
        await peer.send(GET[:-1])
        await trio.sleep(HEADERS_SECONDS - 0.001)
        assert (await peer.ask(GET[-1:])).status == 200


async def test_the_ten_seconds_begin_with_the_first_byte(autojump_clock: MockClock) -> None:
    async with one_connection(hello) as peer:
        for _ in range(2):
            await trio.sleep(60)
            await peer.send(GET[:5])
            await trio.sleep(9)
            assert (await peer.ask(GET[5:])).status == 200


@pytest.mark.hostile("H24")
async def test_an_idle_connection_ends_after_its_time(autojump_clock: MockClock) -> None:
    async with one_connection(hello) as peer:
        await peer.ask(GET)
        await trio.sleep(KEEP_ALIVE_SECONDS - 0.001)
        await peer.ask(GET)
        idle_since = trio.current_time()
        assert await peer.rest() == b""
        assert trio.current_time() - idle_since == KEEP_ALIVE_SECONDS


@pytest.mark.hostile("H24")
async def test_a_connection_that_never_speaks_ends_too(autojump_clock: MockClock) -> None:
    async with one_connection(hello) as peer:
        assert await peer.rest() == b""
        assert trio.current_time() <= KEEP_ALIVE_SECONDS + 1


async def test_a_held_wait_outlives_the_time_of_an_idle_connection(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_all(receive)
        with trio.move_on_after(10 * KEEP_ALIVE_SECONDS):
            await receive()
        await answer(send, b"late")

    async with one_connection(app) as peer:
        assert (await peer.ask(GET)).body == b"late"


# --- Who left -------------------------------------------------------------------------


async def hold(scope: Any, receive: Any, send: Any) -> None:
    """Hold a wait of 25 s as the room does, and keep in the scope's list how it ended."""
    with trio.move_on_after(25):
        while (await receive())["type"] != "http.disconnect":
            pass
        held.append(("left", trio.current_time()))
        return
    held.append(("held", trio.current_time()))
    await answer(send, b"heartbeat")


held: list[tuple[str, float]] = []


@pytest.fixture(autouse=True)
def _nothing_held() -> None:
    held.clear()


@pytest.mark.hostile("H29")
async def test_a_held_wait_hears_at_once_that_its_client_left(autojump_clock: MockClock) -> None:
    async with one_connection(hold) as peer:
        await peer.send(GET)
        await trio.sleep(3)
        left_at = trio.current_time()
        await peer.stream.aclose()
        await peer.ended.wait()
        assert held == [("left", left_at)]


async def test_a_held_wait_is_answered_and_the_connection_goes_on(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(hold) as peer:
        for _ in range(2):
            assert (await peer.ask(GET)).body == b"heartbeat"
    assert [how for how, _ in held] == ["held", "held"]


@pytest.mark.hostile("H29", "H30")
async def test_a_pipelined_request_does_not_hide_that_the_client_left(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(hold) as peer:
        await peer.send(GET + GET)
        await trio.sleep(1)
        await peer.send(GET)
        await trio.sleep(1)
        left_at = trio.current_time()
        await peer.stream.aclose()
        await peer.ended.wait()
        assert held == [("left", left_at)]


@pytest.mark.hostile("H30")
async def test_pipelined_requests_are_answered_in_their_order(autojump_clock: MockClock) -> None:
    async with one_connection(echo) as peer:
        await peer.send(b"".join(post(b"%d" % number) for number in range(5)))
        assert [(await peer.answer()).body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    async with one_connection(hold) as peer:
        await peer.send(GET)
        await trio.sleep(1)
        await peer.send(GET)
        assert [(await peer.answer()).body for _ in range(2)] == [b"heartbeat"] * 2


@pytest.mark.hostile("H30")
async def test_what_comes_behind_a_request_is_bounded(autojump_clock: MockClock) -> None:
    async with one_connection(hold) as peer:
        await peer.send(GET)
        await peer.send(b"x" * MAX_PIPELINED_BYTES)
        await trio.sleep(1)
        assert held == []
        await peer.send(b"x")
        await peer.ended.wait()
        assert [how for how, _ in held] == ["left"]


async def test_a_client_that_ended_its_side_still_gets_its_answer() -> None:
    async with one_connection(hello) as peer:
        await peer.send(GET)
        await peer.stream.send_eof()
        assert (await peer.answer()).body == b"hello"


async def test_after_the_answer_there_is_only_the_disconnect() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, await read_all(receive))
        events.append(await receive())
        events.append(await receive())

    async with one_connection(app) as peer:
        await peer.send(post(b"a") + post(b"b"))
        assert [(await peer.answer()).body for _ in range(2)] == [b"a", b"b"]
    assert events == [{"type": "http.disconnect"}] * 4


# --- Bodies ---------------------------------------------------------------------------


async def test_a_body_comes_as_it_is_sent_and_no_faster_than_it_is_asked_for() -> None:
    sizes = []
    asked = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asked.wait()
        while True:
            event = await receive()
            sizes.append(len(event["body"]))
            if not event["more_body"]:
                break
        await answer(send, b"%d" % sum(sizes))

    async with one_connection(app) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, post(b"x" * (8 * MIB)))
        await trio.testing.wait_all_tasks_blocked(0.02)
        # The client stands still: nobody reads, so the kernel's buffer is all there is.
        assert sizes == []
        asked.set()
        assert (await peer.answer()).body == b"%d" % (8 * MIB)
    assert max(sizes) <= 65536


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_000])
async def test_a_body_arrives_whole(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    async with one_connection(echo) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.send, post(body))
        assert (await peer.answer()).body == body


def chunked(*chunks: bytes, method: str = "POST") -> bytes:
    coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get("/", "Transfer-Encoding: chunked", method=method) + coded + b"0\r\n\r\n"


async def test_a_chunked_body_arrives_whole_and_is_the_last() -> None:
    async with one_connection(echo) as peer:
        found = await peer.ask(chunked(b"abc", b"d", b"e" * 5000))
        assert found.body == b"abcd" + b"e" * 5000
        assert found.headers["connection"] == "close"
        assert await peer.rest() == b""


@pytest.mark.hostile("H09")
async def test_a_body_of_chunks_of_one_byte_lets_others_run() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with one_connection(echo) as peer, trio.open_nursery() as nursery:
        nursery.start_soon(count)
        nursery.start_soon(peer.send, chunked(*[b"a"] * 10_000))
        assert (await peer.answer()).body == b"a" * 10_000
        assert turns > 10_000 / 256
        nursery.cancel_scope.cancel()


BAD_CHUNKS = {
    "another end of a chunk": b"3\r\nabcXX0\r\n\r\n",
    "a bare line feed in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "no hexadecimal size": b"xyz\r\nabc\r\n0\r\n\r\n",
    "a negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "an empty size": b"\r\nabc\r\n0\r\n\r\n",
    "a size of 21 digits": b"0" * 20 + b"3\r\nabc\r\n0\r\n\r\n",
    "a size without an end": b"3" * 9000,
    "a trailer with a control character": b"0\r\nX: \0\r\n\r\n",
    "a trailer without an end": b"0\r\nX: " + b"a" * 9000,
}


@pytest.mark.hostile("H09")
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_malformed_chunks_are_refused(body: bytes) -> None:
    async with one_connection(echo) as peer:
        found = await peer.ask(get("/", "Transfer-Encoding: chunked", method="POST") + body)
        assert is_refusal(found, 400, "bad_request")
        await peer.stream.send_eof()
        assert await peer.rest() == b""


@pytest.mark.hostile("H29")
async def test_a_client_that_leaves_within_its_body_is_heard_of() -> None:
    async with one_connection(echo) as peer:
        await peer.send(post(b"abc", length=10))
        await peer.stream.aclose()
        await peer.ended.wait()


# --- Expect: 100-continue -------------------------------------------------------------


async def test_a_body_is_asked_for_only_when_the_application_wants_it() -> None:
    async with one_connection(echo) as peer:
        await peer.send(post(b"", "Expect: 100-continue", length=3))
        assert (await peer.answer(head_only=True)).status == 100
        assert (await peer.ask(b"abc")).body == b"abc"


@pytest.mark.hostile("H16")
async def test_a_body_that_is_refused_by_its_length_is_not_asked_for(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"too large", status=413)

    async with one_connection(app) as peer:
        found = await peer.ask(post(b"", "Expect: 100-continue", length=70_000))
        assert found.status == 413
        assert found.headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_a_body_that_came_unasked_is_not_asked_for() -> None:
    async with one_connection(echo) as peer:
        assert (await peer.ask(post(b"abc", "Expect: 100-continue"))).body == b"abc"


# --- Answers before the body ----------------------------------------------------------


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"no", status=401)


async def test_a_body_that_nobody_asked_for_but_that_is_here_ends_nothing() -> None:
    async with one_connection(refuse) as peer:
        for _ in range(2):
            found = await peer.ask(post(b"abc"))
            assert (found.status, "connection" in found.headers) == (401, False)


@pytest.mark.hostile("H23")
async def test_a_refused_client_may_finish_and_read_its_answer(autojump_clock: MockClock) -> None:
    async with one_connection(refuse) as peer:
        await peer.send(post(b"x" * 1000, length=60_000))
        await trio.sleep(1)
        for _ in range(3):
            await peer.send(b"x" * 1000)
            await trio.sleep(1)
        found = await peer.answer()
        assert (found.status, found.headers["connection"]) == (401, "close")
        assert await peer.rest() == b""


@pytest.mark.hostile("H23")
async def test_a_refused_client_that_sends_nothing_is_gone_after_a_while(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(refuse) as peer:
        await peer.send(post(b"", length=5))
        started = trio.current_time()
        await peer.ended.wait()
        assert trio.current_time() - started == UNSENT_BODY_SECONDS
        assert (await peer.answer()).status == 401


@pytest.mark.hostile("H23")
async def test_a_refused_client_that_sends_on_and_on_is_cut() -> None:
    async with one_connection(refuse) as peer, trio.open_nursery() as nursery:

        async def flood() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await peer.send(post(b"x" * (64 * MIB)))

        nursery.start_soon(flood)
        await peer.ended.wait()


# --- Answers --------------------------------------------------------------------------


@pytest.mark.hostile("H17")
async def test_head_gets_the_headers_alone() -> None:
    async with one_connection(hello) as peer:
        await peer.send(get(method="HEAD") + GET)
        assert (await peer.answer(head_only=True)).headers["content-length"] == "5"
        assert (await peer.answer()).body == b"hello"


async def test_http_1_0_gets_one_answer() -> None:
    async with one_connection(hello) as peer:
        found = await peer.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (found.status, found.headers["connection"]) == (200, "close")
        assert await peer.rest() == b""


async def test_a_peer_that_asks_for_the_end_gets_it() -> None:
    async with one_connection(hello) as peer:
        assert (await peer.ask(get("/", "Connection: close"))).headers["connection"] == "close"
        assert await peer.rest() == b""


async def test_a_stream_arrives_chunk_by_chunk(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            await trio.sleep(20)
        await send({"type": "http.response.body", "body": b""})

    async with one_connection(app) as peer:
        for _ in range(2):
            started = trio.current_time()
            found = await peer.ask(GET)
            assert found.body == b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n"
            assert trio.current_time() - started == 60


def big(size: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"x" * size)

    return app


@pytest.mark.hostile("H26")
async def test_a_client_that_takes_nothing_is_cut(autojump_clock: MockClock) -> None:
    async with one_connection(big(8 * MIB)) as peer:
        await peer.send(GET)
        started = trio.current_time()
        await peer.ended.wait()
        assert trio.current_time() - started == UNREAD_ANSWER_SECONDS


@pytest.mark.hostile("H26")
async def test_a_client_that_takes_a_little_now_and_then_is_cut_too(
    autojump_clock: MockClock,
) -> None:
    async with one_connection(big(8 * MIB)) as peer:
        await peer.send(GET)
        started = trio.current_time()
        while not peer.ended.is_set():
            await peer.stream.receive_some(10_000)
            await trio.sleep(1)
        assert trio.current_time() - started <= UNREAD_ANSWER_SECONDS + 1


async def test_a_slow_client_of_a_stream_has_the_time_for_each_chunk(
    autojump_clock: MockClock,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4):
            await send({"type": "http.response.body", "body": b"x" * MIB, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with one_connection(app) as peer:
        await peer.send(GET)
        received = 0
        started = trio.current_time()
        while received < 4 * MIB:
            received += len(await peer.stream.receive_some(65536))
            await trio.sleep(0.4)
        assert trio.current_time() - started > UNREAD_ANSWER_SECONDS
    async with one_connection(app) as peer:
        await peer.send(GET)
        await peer.ended.wait()


async def test_a_stream_to_a_client_that_left_is_cancelled() -> None:
    ended = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.set()

    async with one_connection(app) as peer:
        await peer.send(GET)
        await peer.stream.receive_some(1)
        await peer.stream.aclose()
        await ended.wait()
        await peer.ended.wait()


@pytest.mark.hostile("H29")
async def test_an_answer_to_a_client_that_left_is_no_error(caplog: Any) -> None:
    after = trio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await read_all(receive)
        await receive()
        await answer(send)
        after.set()

    async with one_connection(app) as peer:
        await peer.send(GET)
        await peer.stream.aclose()
        await peer.ended.wait()
    assert after.is_set()
    assert not caplog.records


async def test_nothing_is_written_behind_half_of_an_answer(autojump_clock: MockClock) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with trio.move_on_after(1):
            await answer(send, b"x" * (8 * MIB))
        await send({"type": "http.response.body", "body": b"behind"})

    async with one_connection(app) as peer:
        await peer.send(GET + GET)
        await peer.ended.wait()
        rest = await peer.rest()
        assert rest.count(b"HTTP/1.1") == 1
        assert b"behind" not in rest


# --- Applications with bugs ---------------------------------------------------------


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("with a secret in it")


async def raises_late(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("with a secret in it")


async def raises_group(scope: Any, receive: Any, send: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(raises, scope, receive, send)
        await receive()
        await receive()


async def gives_nothing(scope: Any, receive: Any, send: Any) -> None:
    await read_all(receive)


async def adds_a_line(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"location", b"/\r\nset-cookie: a")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


async def sends_a_body_alone(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.body", "body": b"x"})


BUGS = [raises, raises_late, raises_group, gives_nothing, adds_a_line, sends_a_body_alone]


@pytest.mark.hostile("K11")
@pytest.mark.parametrize("app", BUGS)
async def test_a_bug_is_answered_with_constant_text_and_logged(app: Any, caplog: Any) -> None:
    async with one_connection(app) as peer:
        found = await peer.ask(GET)
        assert is_refusal(found, 500, "internal_error")
        assert b"secret" not in found.body
        assert await peer.rest() == b""
    [record] = caplog.records
    assert (record.name, record.levelno) == ("agentgather.edge", logging.ERROR)


async def breaks_off(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


async def breaks_off_loudly(scope: Any, receive: Any, send: Any) -> None:
    await breaks_off(scope, receive, send)
    raise RuntimeError


async def gives_too_much(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    await send({"type": "http.response.body", "body": b"more"})


@pytest.mark.hostile("K11")
@pytest.mark.parametrize("app", [breaks_off, breaks_off_loudly, gives_too_much])
async def test_half_an_answer_does_not_look_whole(app: Any, caplog: Any) -> None:
    async with one_connection(app) as peer:
        await peer.send(GET)
        rest = await peer.rest()
        assert b"half" in rest
        assert not rest.endswith(b"0\r\n\r\n")
        assert b"more" not in rest
        assert b"internal_error" not in rest
    assert len(caplog.records) == 1


@pytest.mark.parametrize("pieces", [0, 1, 3])
async def test_an_answer_that_the_application_breaks_off_is_cut(pieces: int, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await send({"type": ABORT})

    async with serving(app) as server:
        peer = await server.connect()
        await peer.send(GET)
        with within(10):
            assert await peer.is_reset(), "it looks like an end"
    assert not caplog.records
