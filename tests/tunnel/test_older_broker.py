"""Our host at a broker of 0.1.0 to 0.2.5."""

import json
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.edge.answers import SECURITY_HEADERS
from agentgather.link.channel import LinkEnd
from agentgather.link.handshake import RegistrationRefused
from agentgather.tunnel import older_broker
from agentgather.tunnel.events import TunnelPlan
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.older_broker import OlderAttempt, is_older_broker
from agentgather.tunnel.older_calls import OlderCalls
from agentgather.tunnel.responder import AsgiResponder
from agentgather.wire.limits import HOST_SILENT_SECONDS, MAX_HOST_ANSWER_BYTES
from tests.doubles.older_broker import GRACE_SECONDS, OlderBroker

PLAN = TunnelPlan("https://rooms.example", "room", "agh_secret")
JSON = (b"content-type", b"application/json; charset=utf-8")


class Room:
    """An ASGI application that says what it was asked; ``/wait`` is held for 25 s."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.body = b""
        self.more_headers: tuple[tuple[bytes, bytes], ...] = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        event = await receive()
        if scope["path"] == "/wait":
            with trio.move_on_after(25):
                await receive()
        content = (
            self.body
            or json.dumps(
                {
                    "method": scope["method"],
                    "target": f"{scope['path']}?{scope['query_string'].decode()}",
                    "headers": {k.decode(): v.decode() for k, v in scope["headers"]},
                    "body": event["body"].decode(),
                }
            ).encode()
        )
        headers = [
            *(JSON, (b"retry-after", b"3"), (b"content-length", b"%d" % len(content))),
            *self.more_headers,
        ]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        for start in range(0, len(content), 30_000):
            piece = content[start : start + 30_000]
            more = start + 30_000 < len(content)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


class Tunnel:
    """An attempt under way, and all around it."""

    def __init__(self, nursery: trio.Nursery, broker: OlderBroker | None = None) -> None:
        self.broker = broker or OlderBroker(nursery)
        self.room = Room()
        self.ended: list[LinkEnd | None] = []
        self.attempt = self.new_attempt()

    def new_attempt(self) -> OlderAttempt:
        calls = partial(OlderCalls, backend=self.broker.backend)
        return OlderAttempt(PLAN, AsgiResponder(self.room), calls)

    async def run(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        self.ended.append(await self.attempt.run(task_status.started))


# --- Which broker it is --------------------------------------------------------------


def test_what_an_older_broker_answers_to_a_handshake_tells_it() -> None:
    body = b'{"ok":false,"error":"unsupported_route","message":"host control requires POST"}'
    assert is_older_broker(405, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b'{"ok":false,"error":"unsupported_route","message":""}'),
        (405, b'{"ok":false,"error":"method_not_allowed","message":""}'),
        (405, b"<html>"),
        (405, b""),
        (405, b"\xff"),
        (405, b"[" * 100_000),
        (502, b""),
        (0, b""),
    ],
)
def test_nothing_else_does(status: int, body: bytes) -> None:
    assert not is_older_broker(status, body)


# --- Serving -----------------------------------------------------------------------


async def test_a_participant_reaches_the_room(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    assert await nursery.start(tunnel.run) == "https://rooms.example/room"
    assert set(tunnel.broker.backend.asked) == {("rooms.example", 443)}
    status, headers, body = await tunnel.broker.visit(
        "POST",
        "/room/messages?a=%20b",
        '{"text":"hé"}'.encode(),
        authorization="Bearer agp_x",
        content_type="application/json",
        referer="https://rooms.example/room/",
        origin="https://rooms.example",
    )
    assert (status, headers) == (201, {"content-type": JSON[1].decode()})
    assert json.loads(body) == {
        "method": "POST",
        "target": "/messages?a=%20b",
        "headers": {
            "host": "rooms.example",
            "authorization": "Bearer agp_x",
            "content-type": "application/json",
            "origin": "https://rooms.example",
            "content-length": "14",
        },
        "body": '{"text":"hé"}',
    }
    await tunnel.attempt.stop()


async def test_what_hardens_the_page_reaches_the_browser_as_the_room_says_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    tunnel.room.more_headers = SECURITY_HEADERS
    await nursery.start(tunnel.run)
    _, headers, _ = await tunnel.broker.visit("GET", "/room/")
    said = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    hardening = ("content-security-policy", "x-content-type-options", "referrer-policy")
    assert headers == {"content-type": JSON[1].decode()} | {name: said[name] for name in hardening}
    # What the tunnel refuses by itself never was in the room.
    _, headers, _ = await tunnel.broker.visit("GET", "/room/events")
    assert headers.keys() == {"content-type", *hardening}
    await tunnel.attempt.stop()


async def test_held_waits_do_not_stop_a_post(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    statuses: list[int] = []

    async def wait() -> None:
        statuses.append((await tunnel.broker.visit("GET", "/room/wait"))[0])

    async with trio.open_nursery() as waiters:
        for _ in range(32):
            waiters.start_soon(wait)
        await trio.sleep(2)
        started = trio.current_time()
        assert (await tunnel.broker.visit("POST", "/room/messages", b"{}"))[0] == 201
        assert trio.current_time() - started < 0.5
        assert statuses == []
    assert statuses == [201] * 32
    await tunnel.attempt.stop()


async def test_it_asks_no_more_often_than_an_older_host(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    await trio.sleep(60)
    assert 60 / 0.05 * 0.9 <= tunnel.broker.calls["poll"] <= 60 / 0.05
    assert tunnel.broker.calls["heartbeat"] in (5, 6)
    await tunnel.attempt.stop()


async def test_an_event_stream_is_refused_with_the_way_to_go(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    status, _, body = await tunnel.broker.visit("GET", "/room/events?since_id=3")
    assert (status, json.loads(body)["error"]) == (404, "unsupported_route")
    assert "/wait" in json.loads(body)["message"]
    assert tunnel.room.asked == []
    await tunnel.attempt.stop()


@pytest.mark.parametrize("size", [30_000, 30_001, MAX_HOST_ANSWER_BYTES])
async def test_an_answer_up_to_the_limit_is_given_whole(
    size: int, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    tunnel.room.body = b"x" * size
    await nursery.start(tunnel.run)
    status, _, body = await tunnel.broker.visit("GET", "/room/messages")
    assert (status, body == tunnel.room.body) == (201, True)
    await tunnel.attempt.stop()


async def test_a_longer_one_is_an_error(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    tunnel = Tunnel(nursery)
    tunnel.room.body = b"x" * (MAX_HOST_ANSWER_BYTES + 1)
    await nursery.start(tunnel.run)
    status, _, body = await tunnel.broker.visit("GET", "/room/export")
    assert (status, json.loads(body)["error"]) == (502, "response_too_large")
    await tunnel.attempt.stop()


@pytest.mark.hostile("T17")
@pytest.mark.parametrize(
    ("method", "path"),
    [("CONNECT", "/x"), ("GET", "//x"), ("GET", "/../x"), ("GET", "http://x"), ("GET", "/a b")],
)
async def test_a_hostile_request_reaches_no_room(
    method: str, path: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    visit = partial(tunnel.broker._relay, "room", method, path, {"x": "a\r\nb"}, b"")
    status, _, _ = await visit()
    assert 400 <= status <= 499
    assert tunnel.room.asked == []
    await tunnel.attempt.stop()


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b"x" * 400_000,
        b'{"ok":true,"request":{"request_id":1}}',
        b'{"ok":true,"request":{"request_id":"r","route_slug":"room","method":"GET","path":"/",'
        b'"headers":{},"body_base64":"?"}}',
    ],
)
async def test_a_poll_answered_with_nonsense_is_a_failed_one(
    raw: bytes, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    tunnel.broker.raw = raw
    await trio.sleep(5)
    tunnel.broker.raw = None
    assert (await tunnel.broker.visit("GET", "/room/status"))[0] == 201
    await tunnel.attempt.stop()


async def test_no_more_is_served_at_once_than_such_a_broker_lets_in(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(older_broker, "MAX_REQUESTS", 3)
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    for _ in range(8):
        nursery.start_soon(tunnel.broker.visit, "GET", "/room/wait")
    await trio.sleep(5)
    assert 3 <= len(tunnel.room.asked) <= 3 + older_broker.POLLERS
    nursery.cancel_scope.cancel()


# --- The route's life ------------------------------------------------------------------


async def test_a_stop_lets_requests_end_and_closes_the_route(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    statuses: list[int] = []

    async def visit() -> None:
        statuses.append((await tunnel.broker.visit("GET", "/room/status"))[0])

    async with trio.open_nursery() as visitors:
        visitors.start_soon(visit)
        while not tunnel.attempt._requests:
            await trio.lowlevel.checkpoint()
        await tunnel.attempt.stop()
    assert statuses == [201]
    await wait_all_tasks_blocked()
    assert tunnel.broker.routes["room"]["status"] == "closed"
    assert tunnel.ended == [LinkEnd("going_away", by_peer=False)]


async def test_a_stop_waits_for_no_wait(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    nursery.start_soon(tunnel.broker.visit, "GET", "/room/wait")
    await trio.sleep(1)
    started = trio.current_time()
    await tunnel.attempt.stop()
    assert trio.current_time() - started == older_broker.STOP_SECONDS
    await wait_all_tasks_blocked()
    assert tunnel.broker.routes["room"]["status"] == "closed"


async def test_a_stop_before_the_registration_ends_it(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = OlderBroker(nursery)
    broker._register("room")
    tunnel = Tunnel(nursery, broker)
    nursery.start_soon(tunnel.run)
    await trio.sleep(1)
    await tunnel.attempt.stop()
    await wait_all_tasks_blocked()
    assert tunnel.ended == [None]


async def test_a_broker_that_is_away_for_a_moment_changes_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    tunnel.broker.is_up = False
    await trio.sleep(HOST_SILENT_SECONDS - 5)
    tunnel.broker.is_up = True
    await trio.sleep(2)
    assert (await tunnel.broker.visit("GET", "/room/status"))[0] == 201
    assert tunnel.ended == []
    await tunnel.attempt.stop()


async def test_a_broker_that_is_silent_for_longer_ends_the_attempt(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    tunnel.broker.is_up = False
    await trio.sleep(HOST_SILENT_SECONDS - 1)
    assert tunnel.ended == []
    await trio.sleep(4)
    assert tunnel.ended == [LinkEnd("heartbeat_timeout", by_peer=False)]


@pytest.mark.parametrize("status", ["expired", "closed", "not_found"])
async def test_a_route_that_is_over_ends_the_attempt_and_another_one_registers(
    status: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    tunnel = Tunnel(nursery)
    await nursery.start(tunnel.run)
    if status == "not_found":
        tunnel.broker.routes.clear()
    else:
        tunnel.broker.routes["room"]["status"] = status
    await trio.sleep(1)
    assert tunnel.ended == [LinkEnd(f"route_{status}", by_peer=False)]
    tunnel.attempt = tunnel.new_attempt()
    await nursery.start(tunnel.run)
    assert (await tunnel.broker.visit("GET", "/room/status"))[0] == 201
    await tunnel.attempt.stop()


async def test_a_slug_that_was_ours_a_moment_ago_is_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = OlderBroker(nursery)
    broker._register("room")
    started = trio.current_time()
    tunnel = Tunnel(nursery, broker)
    await nursery.start(tunnel.run)
    assert GRACE_SECONDS <= trio.current_time() - started <= GRACE_SECONDS + 6
    await tunnel.attempt.stop()


async def test_a_slug_that_another_host_holds_is_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = OlderBroker(nursery)
    other = Tunnel(nursery, broker)
    await nursery.start(other.run)
    with pytest.raises(RegistrationRefused) as refused:
        await Tunnel(nursery, broker).attempt.run(lambda _url: None)
    assert refused.value.refused.code == "route_slug_taken"
    assert refused.value.refused.retry_after_s is None
    await other.attempt.stop()


async def test_a_broker_that_is_away_is_no_broker_yet(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = OlderBroker(nursery)
    broker.is_up = False
    with pytest.raises(NoLink):
        await Tunnel(nursery, broker).attempt.run(lambda _url: None)
    broker.is_up = True
    broker.raw = b"<html>"
    with pytest.raises(NoLink):
        await Tunnel(nursery, broker).attempt.run(lambda _url: None)


async def test_a_cancelled_attempt_leaves_no_connection(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as outer:
        async with trio.open_nursery() as nursery:
            tunnel = Tunnel(outer)
            await nursery.start(tunnel.run)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        # The broker's ends of the connections see theirs close.
        await wait_all_tasks_blocked()
        assert not outer.child_tasks
