"""A room's application, asked through a tunnel."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.tunnel.responder import AsgiResponder
from agentgather.wire.limits import ANSWER_SECONDS, BODY_SECONDS, HOLD_SECONDS, MAX_BODY_BYTES
from agentgather.wire.link import Headers
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.incoming import FakeIncoming
from tests.doubles.table import TOKENS, Table, make_home, open_table

PUBLIC = "https://rooms.example/review"
JSON: Headers = ((b"content-type", b"application/json"),)


def auth(alias: str) -> Headers:
    return ((b"authorization", b"Bearer " + TOKENS[alias].encode()),)


def responder(app: Any, public_url: str = PUBLIC) -> AsgiResponder:
    made = AsgiResponder(app)
    made.serve_at(public_url)
    return made


async def ask(app: Any, stream: FakeIncoming) -> FakeIncoming:
    await responder(app).respond(stream)
    return stream


def answering(
    *pieces: bytes, status: int = 200, headers: Headers = ()
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Make an application that sends one answer, in pieces."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, piece in enumerate(pieces, 1):
            more = number < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return app


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    async with open_table(make_home(tmp_path / "home"), public_urls=(PUBLIC,)) as table:
        yield table


# --- What the application is told --------------------------------------------------------
async def test_an_application_is_asked_as_if_it_were_at_the_public_url() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive()))
        await answering(b"ok")(scope, receive, send)

    stream = FakeIncoming(
        "POST",
        b"/messages/%41",
        query=b"a=1&b=%20",
        headers=(*JSON, (b"host", b"evil.example"), (b"cookie", b"x")),
        body=b"{}",
    )
    await ask(app, stream)
    [(scope, event)] = seen
    assert event == {"type": "http.request", "body": b"{}", "more_body": False}
    assert scope["headers"] == [(b"host", b"rooms.example"), *JSON, (b"content-length", b"2")]
    assert (scope["scheme"], scope["method"], scope["path"]) == ("https", "POST", "/messages/A")
    assert (scope["raw_path"], scope["query_string"]) == (b"/messages/%41", b"a=1&b=%20")
    # No address: whoever asks is on no machine that the application could trust.
    assert scope["client"] == ("tunnel", 0)


async def test_a_public_url_with_a_port_is_one_for_the_application_too() -> None:
    hosts: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        hosts.append(dict(scope["headers"])[b"host"])
        await answering(b"")(scope, receive, send)

    await responder(app, "http://127.0.0.1:8799/review").respond(FakeIncoming())
    assert hosts == [b"127.0.0.1:8799"]


# --- What comes back ---------------------------------------------------------------------
async def test_a_whole_answer_is_one_frame_with_the_headers_that_a_broker_passes_on() -> None:
    headers = (
        *JSON,
        *((b"content-length", b"2"), (b"retry-after", b"3"), (b"set-cookie", b"a=b")),
        *((b"content-security-policy", b"x"), (b"connection", b"close")),
    )
    stream = await ask(answering(b"ok", status=429, headers=headers), FakeIncoming())
    assert stream.answer is not None
    assert stream.answer.status == 429
    assert stream.frames == [("head", b"ok", True)]
    assert stream.headers == {
        b"content-type": b"application/json",
        b"content-length": b"2",
        b"retry-after": b"3",
    }


async def test_a_stream_is_sent_as_it_comes() -> None:
    stream = await ask(answering(b"one", b"two", b""), FakeIncoming())
    assert stream.frames == [("head", b"one", False), ("data", b"two", False), ("data", b"", True)]


@pytest.mark.parametrize("pieces", [(b"whole",), (b"one", b"two", b"")])
async def test_an_answer_to_head_has_no_body(pieces: tuple[bytes, ...]) -> None:
    headers = ((b"content-length", b"5"),)
    stream = await ask(answering(*pieces, headers=headers), FakeIncoming("HEAD"))
    assert stream.frames == [("head", b"", True)]
    assert stream.headers == dict(headers)


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_can_have_no_body_has_none(status: int) -> None:
    stream = await ask(answering(b"oops", status=status), FakeIncoming())
    assert stream.frames == [("head", b"", True)]


async def test_a_failing_application_fails_its_own_request(caplog: Any) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        raise RuntimeError("secret detail")

    stream = await ask(app, FakeIncoming())
    assert stream.answer is not None
    assert stream.answer.status == 500
    assert json.loads(stream.body)["error"] == "internal_error"
    assert b"secret" not in stream.body
    assert "secret detail" in caplog.text


@pytest.mark.hostile("T06")
async def test_half_an_answer_does_not_look_like_a_whole_one(caplog: Any) -> None:
    async def breaking(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    for app in (breaking, leaving):
        stream = await ask(app, FakeIncoming())
        assert (stream.body, stream.is_answered) == (b"half", False)
        assert stream.reset_by_us == "internal_error"
    assert caplog.records


async def test_an_application_that_says_nothing_is_answered_for(caplog: Any) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        pass

    stream = await ask(app, FakeIncoming())
    assert json.loads(stream.body)["error"] == "internal_error"


# --- What is refused before it gets there ----------------------------------------------------
async def no_app(_scope: Any, _receive: Any, _send: Any) -> None:
    raise AssertionError("nobody may ask this")


@pytest.mark.parametrize(
    ("stream", "status", "code"),
    [
        (FakeIncoming("CONNECT"), 405, "method_not_allowed"),
        (FakeIncoming(path=b"//x"), 400, "bad_request_target"),
        (FakeIncoming(path=b"http://x"), 400, "bad_request_target"),
        (FakeIncoming(headers=((b"a\r\nb", b""),)), 400, "bad_request"),
        (FakeIncoming(body=b"x"), 400, "unexpected_body"),
        (FakeIncoming("POST", body=b"x" * (MAX_BODY_BYTES + 1)), 413, "body_too_large"),
    ],
)
async def test_what_the_guard_refuses_is_answered(
    stream: FakeIncoming, status: int, code: str
) -> None:
    await ask(no_app, stream)
    assert stream.answer is not None
    assert (stream.answer.status, json.loads(stream.body)["error"]) == (status, code)
    assert stream.is_answered


async def test_a_body_may_come_in_pieces_up_to_the_limit() -> None:
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        sizes.append(len((await receive())["body"]))
        await answering(b"")(scope, receive, send)

    stream = FakeIncoming("POST", body=b"x", whole=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, stream)
        await wait_all_tasks_blocked()
        stream.give(b"y" * (MAX_BODY_BYTES - 2))
        await wait_all_tasks_blocked()
        stream.give(b"z", end=True)
    assert sizes == [MAX_BODY_BYTES]


async def test_a_body_without_end_is_refused_as_soon_as_it_is_too_long() -> None:
    stream = FakeIncoming("POST", whole=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, no_app, stream)
        for _ in range(3):
            await wait_all_tasks_blocked()
            stream.give(b"x" * 32 * 1024)
    assert json.loads(stream.body)["error"] == "body_too_large"


async def test_a_body_that_does_not_come_is_refused_in_time(autojump_clock: MockClock) -> None:
    stream = await ask(no_app, FakeIncoming("POST", body=b"x", whole=False))
    assert json.loads(stream.body)["error"] == "body_timeout"
    assert trio.current_time() == BODY_SECONDS


async def test_who_leaves_before_its_body_is_whole_is_not_answered() -> None:
    stream = FakeIncoming("POST", whole=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, no_app, stream)
        await wait_all_tasks_blocked()
        stream.leave()
    assert stream.frames == []


# --- Who leaves, and who does not take ------------------------------------------------------
async def test_a_stream_to_somebody_who_left_ends_the_application() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    stream = FakeIncoming()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, stream)
        await stream.wait_frames(3)
        stream.leave()


async def test_a_whole_answer_to_somebody_who_left_goes_nowhere() -> None:
    finished: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await answering(b"late")(scope, receive, send)
        finished.append(True)

    stream = FakeIncoming()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, app, stream)
        await wait_all_tasks_blocked()
        stream.leave()
    assert finished == [True]
    assert stream.frames == []


@pytest.mark.hostile("T20")
async def test_an_answer_that_nobody_takes_ends_in_time(autojump_clock: MockClock) -> None:
    whole, streamed = FakeIncoming(), FakeIncoming()
    whole.room = streamed.room = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, answering(b"ok"), whole)
        nursery.start_soon(ask, answering(b"one", b"two"), streamed)
    assert trio.current_time() == ANSWER_SECONDS
    assert (whole.reset_by_us, streamed.reset_by_us) == ("unread_answer", "unread_answer")


# --- A real room behind it -------------------------------------------------------------------
@VIRTUAL_TIME
async def test_a_post_and_a_wait_are_one_frame_each(table: Table) -> None:
    post = FakeIncoming(
        "POST", b"/messages", headers=(*auth("ada"), *JSON), body=b'{"text":"hello"}'
    )
    await ask(table.app, post)
    assert [(kind, end) for kind, _, end in post.frames] == [("head", True)]
    assert json.loads(post.body)["message"]["text"] == "hello"
    wait = await ask(table.app, FakeIncoming(path=b"/wait", headers=auth("rev")))
    assert len(wait.frames) == 1
    # The command goes on at the URL through which it was asked.
    assert f'"{PUBLIC}/wait?participant=rev' in json.loads(wait.body)["next_cmd"]


@VIRTUAL_TIME
async def test_a_held_wait_is_one_task_that_ends_with_its_participant(table: Table) -> None:
    stream = FakeIncoming(path=b"/wait", headers=auth("rev"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, table.app, stream)
        await table.settled()
        assert len(table.live.hub) == 1
        [task] = nursery.child_tasks
        assert not task.child_nurseries
        before = trio.current_time()
        stream.leave()
        await wait_all_tasks_blocked()
        assert len(table.live.hub) == 0
    assert trio.current_time() == before
    assert stream.frames == []


@VIRTUAL_TIME
async def test_a_wait_without_news_is_a_heartbeat_after_the_hold(table: Table) -> None:
    stream = await ask(table.app, FakeIncoming(path=b"/wait", headers=auth("rev")))
    assert json.loads(stream.body)["heartbeat"] is True
    assert trio.current_time() == HOLD_SECONDS


@VIRTUAL_TIME
async def test_events_come_as_they_happen_until_the_participant_leaves(table: Table) -> None:
    stream = FakeIncoming(path=b"/events", headers=auth("rev"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, table.app, stream)
        await stream.wait_frames(1)
        await table.ada.say("live")
        while b'"text":"live"' not in stream.body:
            await stream.wait_frames(len(stream.frames) + 1)
        assert stream.headers[b"content-type"] == b"text/event-stream"
        stream.leave()


@pytest.mark.hostile("A14")
@VIRTUAL_TIME
async def test_what_is_for_this_machine_is_not_for_the_tunnel(table: Table) -> None:
    stream = await ask(table.app, FakeIncoming(path=b"/healthz"))
    assert json.loads(stream.body)["error"] == "not_found"
    app = responder(table.app, "http://127.0.0.1:8787/review")
    stream = FakeIncoming(path=b"/healthz")
    await app.respond(stream)
    assert json.loads(stream.body)["error"] == "not_found"


@pytest.mark.hostile("A09")
@VIRTUAL_TIME
async def test_wrong_tokens_from_the_tunnel_shut_nobody_out(table: Table) -> None:
    wrong: Headers = ((b"authorization", b"Bearer agp_" + b"x" * 43),)
    statuses = set()
    for _ in range(40):
        stream = await ask(table.app, FakeIncoming(path=b"/brief", headers=wrong))
        assert stream.answer is not None
        statuses.add(stream.answer.status)
    assert statuses == {403, 429}
    for alias in ("ada", "rev"):
        stream = await ask(table.app, FakeIncoming(path=b"/brief", headers=auth(alias)))
        assert stream.answer is not None
        assert stream.answer.status == 200
    table.anyone.token = "agp_" + "x" * 43
    assert (await table.anyone.get("/brief")).status == 403


@pytest.mark.hostile("O06")
@VIRTUAL_TIME
async def test_a_page_of_another_origin_is_refused_through_the_tunnel_too(table: Table) -> None:
    for origin, status in ((b"https://rooms.example", 200), (b"https://evil.example", 403)):
        headers = (*auth("ada"), (b"origin", origin))
        stream = await ask(table.app, FakeIncoming(path=b"/brief", headers=headers))
        assert stream.answer is not None
        assert stream.answer.status == status
