"""Requests on their way through a whole broker: streamed, bounded, and each for itself."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.link.stream import Stream
from agentgather.wire.limits import (
    ANSWER_SECONDS,
    BODY_SECONDS,
    MAX_BODY_BYTES,
    MAX_HOST_ANSWER_BYTES,
    MAX_ROUTE_BODY_BYTES,
    MAX_STREAMS,
    MAX_WAITS_PER_ROUTE,
    RESPONSE_CREDIT_BYTES,
)
from agentgather.wire.link import Data, Request, Reset, Response, Window
from tests.doubles.asgi_client import EventReader
from tests.doubles.broker_stage import (
    ADA,
    EVE,
    EVENT_FIELDS,
    JSON_FIELDS,
    OTHER_SECRET,
    Going,
    RawHost,
    Stage,
    echo,
    hold,
    open_stage,
    read_request,
    response,
    settled,
)
from tests.doubles.clock import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME

HEARTBEAT = b"event: heartbeat\ndata: {}\n\n"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path) as opened:
        yield opened


def length(size: int) -> tuple[tuple[bytes, bytes], ...]:
    return (*JSON_FIELDS, (b"content-length", b"%d" % size))


class Gated:
    """Serves with what a test says, when it says so."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        self.came = trio.Event()

    async def __call__(self, stream: Stream) -> None:
        self.stream = stream
        self.came.set()
        await hold(stream)

    async def begin(self, **more: Any) -> Stream:
        await self.came.wait()
        assert self.stream is not None
        await self.stream.send_head(response(self.stream, **more))
        return self.stream


# --- There and back -------------------------------------------------------------------------
async def test_a_request_reaches_the_host_as_it_is_and_its_answer_comes_back(stage: Stage) -> None:
    await stage.host()
    asked = await stage.ask(
        "POST", "/demo/messages?a=%20b&c", body=b'{"text":"hi"}', headers={"accept": "x/y"}
    )
    assert asked.whole().json() == {
        "method": "POST",
        "path": "/messages",
        "query": "a=%20b&c",
        "headers": {
            "authorization": "Bearer agp_ada",
            "content-type": "application/json",
            "accept": "x/y",
        },
        "body": '{"text":"hi"}',
    }
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["x-content-type-options"] == "nosniff"


async def test_a_path_goes_on_undecoded(stage: Stage) -> None:
    await stage.host()
    asked = await stage.ask("GET", "/demo/a%2fb/%2e%2e/c%00?x=%ff")
    assert asked.whole().json()["path"] == "/a%2fb/%2e%2e/c%00"


async def test_the_first_of_an_answer_is_there_before_its_last_is_written(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/export")
    stream = await gated.begin(data=b"first ", end=False)
    await settled()
    assert (going.status, going.body) == (200, b"first ")
    await stream.send(b"second ", end=False)
    await settled()
    assert going.body == b"first second "
    await stream.send(b"last", end=True)
    assert await going.outcome() == (200, "ok")
    assert going.body == b"first second last"


async def test_events_arrive_one_by_one(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/events")
    stream = await gated.begin(headers=EVENT_FIELDS, data=HEARTBEAT, end=False)
    reader = EventReader(going)
    event = await reader.next()
    assert event is not None
    assert event.name == "heartbeat"
    for number in range(3):
        await stream.send(b"id: %d\nevent: message\ndata: {}\n\n" % number, end=False)
        event = await reader.next()
        assert event is not None
        assert event.id == number
    assert going.headers["content-type"] == "text/event-stream"
    assert "content-length" not in going.headers


async def test_a_big_answer_is_whole(stage: Stage) -> None:
    body = bytes(range(256)) * 8192  # 2 MiB, of no announced length

    async def serve(stream: Stream) -> None:
        await stream.send_head(response(stream, body))

    await stage.host(serve)
    assert (await stage.ask("GET", "/demo/export")).body == body


async def test_an_answer_to_head_is_a_head(stage: Stage) -> None:
    async def serve(stream: Stream) -> None:
        await stream.send_head(response(stream, headers=length(5000)))

    await stage.host(serve)
    asked = await stage.ask("HEAD", "/demo/messages")
    assert (asked.status, asked.body) == (200, b"")
    assert asked.headers["content-length"] == "5000"


async def test_a_host_that_answers_head_with_a_body_is_not_believed(stage: Stage) -> None:
    async def serve(stream: Stream) -> None:
        await stream.send_head(response(stream, b"x" * 30_000, headers=length(30_000)))

    host = await stage.host(serve)
    asked = await stage.ask("HEAD", "/demo/messages")
    assert (asked.status, asked.body) == (200, b"")
    await settled()
    assert host.channel.stream_count == 0


# --- Participants who leave -----------------------------------------------------------------
@pytest.mark.hostile("H29")
@pytest.mark.parametrize("path", ["wait", "events", "messages"])
async def test_a_participant_who_leaves_ends_what_is_held_at_the_host(
    stage: Stage, path: str
) -> None:
    host = await stage.host(hold)
    going = stage.start("GET", f"/demo/{path}")
    await host.came.wait()
    await trio.sleep(1)
    assert host.streams[0].reset_code is None
    going.left.set()
    await going.over.wait()
    await settled()
    assert host.streams[0].reset_code == "cancelled"
    assert host.channel.stream_count == 0
    assert stage.metric("streams_open") == 0


async def test_who_leaves_in_the_middle_of_a_stream_ends_it_at_the_host(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/events")
    stream = await gated.begin(headers=EVENT_FIELDS, data=HEARTBEAT, end=False)
    await trio.sleep(1)
    going.left.set()
    await going.over.wait()
    await settled()
    assert stream.reset_code == "cancelled"


@pytest.mark.hostile("H29")
async def test_who_leaves_before_its_body_is_whole_is_never_heard_of(stage: Stage) -> None:
    host = await stage.host()
    going = stage.start("POST", "/demo/messages", body=None, headers={"content-length": "10"})
    await trio.sleep(1)
    going.left.set()
    await going.over.wait()
    assert host.streams == []
    assert stage.broker.routes.find("demo").requests == 0


async def test_all_that_a_route_counts_is_given_back(stage: Stage) -> None:
    host = await stage.host(hold)
    goings = [stage.start("GET", f"/demo/{path}") for path in ("wait", "events", "status") * 5]
    await settled()
    route = stage.broker.routes.find("demo")
    assert (route.requests, route.waits) == (15, 10)
    assert stage.metric("waits_held") == 10
    for going in goings:
        going.left.set()
    await trio.sleep(1)
    assert (route.requests, route.waits, host.channel.stream_count) == (0, 0, 0)
    assert stage.metric("waits_held") == 0


# --- Capacity -------------------------------------------------------------------------------
async def hold_waits(stream: Stream) -> None:
    """Hold waits; answer all else."""
    head: Any = stream.head
    await (hold if head.path in (b"/wait", b"/events", b"/hold") else echo)(stream)


@pytest.mark.hostile("B04")
async def test_waits_leave_room_for_posts(stage: Stage) -> None:
    host = await stage.host(hold_waits)
    waits = [stage.start("GET", "/demo/wait") for _ in range(MAX_WAITS_PER_ROUTE)]
    await settled()
    assert len(host.streams) == MAX_WAITS_PER_ROUTE
    one_more = await stage.ask("GET", "/demo/events")
    assert one_more.whole().outcome == (429, "wait_limit")
    assert int(one_more.headers["retry-after"]) >= 1
    started = trio.current_time()
    posts = [stage.start("POST", "/demo/messages", body=b"{}") for _ in range(32)]
    for post in posts:
        assert await post.outcome() == (200, "ok")
    assert trio.current_time() - started < 0.1
    waits[0].left.set()
    await trio.sleep(1)
    again = stage.start("GET", "/demo/wait")
    await settled()
    assert again.status == 0, "the place of one who left is free"


async def test_a_route_has_256_requests_at_once_and_another_route_none_the_less(
    stage: Stage,
) -> None:
    await stage.host(hold_waits)
    await stage.host(echo, "other")
    await stage.ask("GET", "/demo/status")  # from here on the host knows the token
    held = [stage.start("GET", "/demo/wait") for _ in range(MAX_WAITS_PER_ROUTE)]
    held += [stage.start("GET", "/demo/hold") for _ in range(MAX_STREAMS - MAX_WAITS_PER_ROUTE)]
    await settled()
    one_more = await stage.ask("GET", "/demo/status")
    assert one_more.whole().outcome == (429, "route_request_limit")
    assert int(one_more.headers["retry-after"]) >= 1
    assert (await stage.ask("GET", "/other/status")).status == 200
    assert not any(going.status for going in held), "nobody who was there is hurt"
    held[-1].left.set()
    await trio.sleep(1)
    assert (await stage.ask("GET", "/demo/status")).status == 200


@pytest.mark.hostile("R10")
async def test_posts_wait_their_turn_while_bodies_fill_a_route(stage: Stage) -> None:
    host = await stage.host()
    await stage.ask("GET", "/demo/status")  # from here on the host knows the token
    size = MAX_BODY_BYTES
    many = MAX_ROUTE_BODY_BYTES // size
    held: list[Going] = []
    # All but the end, which is slow.
    for _ in range(many):
        fields = {"content-length": "", "transfer-encoding": "chunked"}
        going = stage.start("POST", "/demo/messages", body=None, headers=fields)
        going.pieces = [b"x" * size]
        held.append(going)
    await settled()
    late = stage.start("POST", "/demo/messages", body=b"{}")
    other = await stage.ask("GET", "/demo/status")
    assert other.status == 200, "who sends no body waits for none"
    await settled()
    assert late.status == 0
    assert len(host.streams) == 2
    held[0].left.set()
    assert await late.outcome() == (200, "ok")


@pytest.mark.hostile("R10")
async def test_strangers_leave_places_and_bytes_to_participants(stage: Stage) -> None:
    """Whoever sends many bodies slowly, from many addresses, and has no seat."""
    await stage.host()
    await stage.ask("GET", "/demo/status")
    junk = [
        stage.start(
            "POST",
            "/demo/messages",
            token=f"junk-{number}",
            address=f"198.51.100.{number % 250}",
            body=None,
            headers={"content-length": "60000"},
        )
        for number in range(MAX_STREAMS + 50)
    ]
    await settled()
    assert sum(going.status == 429 for going in junk) == 50 + MAX_STREAMS // 8
    for _ in range(10):
        post = await stage.ask("POST", "/demo/messages", body=b"x" * MAX_BODY_BYTES)
        assert post.status == 200
    stranger = await stage.ask("GET", "/demo/status", token="new")
    assert stranger.whole().outcome == (429, "route_request_limit")
    await trio.sleep(2 * BODY_SECONDS + 1)
    assert {going.status for going in junk} == {408, 429}
    route = stage.broker.routes.find("demo")
    assert (route.requests, route.strangers, route.bodies.bytes) == (0, 0, 0)


@pytest.mark.hostile("H25")
async def test_a_body_that_does_not_come_is_refused_and_frees_its_bytes(stage: Stage) -> None:
    await stage.host()
    slow = stage.start("POST", "/demo/messages", body=None, headers={"content-length": "10"})
    started = trio.current_time()
    assert await slow.outcome() == (408, "body_timeout")
    assert trio.current_time() - started == pytest.approx(BODY_SECONDS, abs=0.1)
    assert stage.broker.routes.find("demo").requests == 0


@pytest.mark.parametrize(("size", "expected"), [(0, 200), (1, 413)])
async def test_a_body_may_be_64_kib(stage: Stage, size: int, expected: int) -> None:
    await stage.host()
    body = b"x" * (MAX_BODY_BYTES + size)
    asked = await stage.ask("POST", "/demo/messages", body=body)
    assert asked.status == expected
    if expected == 413:
        assert asked.whole().error == "request_too_large"


@pytest.mark.hostile("H26")
async def test_a_participant_who_takes_nothing_holds_its_host_and_no_more(stage: Stage) -> None:
    sent = 0

    async def pour(stream: Stream) -> None:
        nonlocal sent
        head: Any = stream.head
        if head.path != b"/export":
            await echo(stream)
            return
        await stream.send_head(response(stream, end=False))
        while True:
            await stream.send(b"x" * 4096, end=False)
            sent += 4096

    await stage.host(pour)
    going = stage.start("GET", "/demo/export")
    going.stall = True
    await trio.sleep(1)
    assert sent <= RESPONSE_CREDIT_BYTES + 4096
    assert (await stage.ask("GET", "/demo/status")).status == 200
    going.left.set()
    going.take()
    await going.over.wait()


# --- Answers that break off -----------------------------------------------------------------
@pytest.mark.hostile("T06")
async def test_a_json_answer_that_breaks_off_does_not_look_whole(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/messages")
    stream = await gated.begin(data=b'{"ok":', end=False)
    await settled()
    stream.reset("internal_error")
    assert await going.outcome() == (200, "aborted")


async def test_an_event_stream_that_breaks_off_ends(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/events")
    stream = await gated.begin(headers=EVENT_FIELDS, data=HEARTBEAT, end=False)
    await settled()
    stream.reset("internal_error")
    assert await going.outcome() == (200, "ok")
    assert going.body == HEARTBEAT


@pytest.mark.hostile("T09")
@pytest.mark.parametrize("said", [9, 11])
async def test_a_length_that_is_not_the_bodys_is_told(stage: Stage, said: int) -> None:
    """In one piece nothing of it goes out, in more it breaks off."""
    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/messages")
    await gated.begin(headers=length(said), data=b"x" * 10)
    assert await going.outcome() == (502, "bad_host_response")

    gated = Gated()
    await stage.host(gated)
    going = stage.start("GET", "/demo/messages")
    stream = await gated.begin(headers=length(said), data=b"x" * 5, end=False)
    await settled()
    await stream.send(b"x" * 5, end=True)
    assert await going.outcome() == (200, "aborted")


@pytest.mark.hostile("T09")
async def test_a_body_behind_204_is_never_sent(stage: Stage) -> None:
    async def serve(stream: Stream) -> None:
        await stream.send_head(response(stream, status=204, headers=(), end=False))
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\n", end=True)

    await stage.host(serve)
    asked = await stage.ask("POST", "/demo/leave")
    assert (asked.status, asked.body) == (204, b"")


async def test_an_answer_of_known_length_may_be_1_mib(stage: Stage) -> None:
    async def serve(stream: Stream) -> None:
        head: Any = stream.head
        body = b"x" * (MAX_HOST_ANSWER_BYTES + int(head.query))
        await stream.send_head(response(stream, body, headers=length(len(body))))

    await stage.host(serve)
    assert len((await stage.ask("GET", "/demo/export?0")).body) == MAX_HOST_ANSWER_BYTES
    over = await stage.ask("GET", "/demo/export?1")
    assert over.whole().outcome == (502, "response_too_large")


# --- Time -----------------------------------------------------------------------------------
@pytest.mark.hostile("T11")
async def test_a_host_that_does_not_answer_is_waited_for_so_long(stage: Stage) -> None:
    host = await stage.host(hold)
    started = trio.current_time()
    going = stage.start("GET", "/demo/status")
    assert await going.outcome() == (504, "host_unavailable")
    assert int(going.headers["retry-after"]) >= 1
    assert trio.current_time() - started == pytest.approx(ANSWER_SECONDS, abs=0.2)
    await settled()
    assert host.streams[0].reset_code == "cancelled"
    assert host.channel.stream_count == 0


@pytest.mark.hostile("T11")
async def test_a_body_that_never_ends_is_broken_off(stage: Stage) -> None:
    gated = Gated()
    await stage.host(gated)
    started = trio.current_time()
    going = stage.start("GET", "/demo/status")
    await gated.begin(data=b"{", end=False)
    assert await going.outcome() == (200, "aborted")
    assert trio.current_time() - started == pytest.approx(ANSWER_SECONDS, abs=0.2)


@pytest.mark.hostile("T11")
async def test_a_byte_now_and_then_is_no_answer(stage: Stage) -> None:
    async def drip(stream: Stream) -> None:
        await stream.send_head(response(stream, end=False))
        while True:
            await trio.sleep(20)
            await stream.send(b" ", end=False)

    host = await stage.host(drip)
    started = trio.current_time()
    going = stage.start("GET", "/demo/status")
    assert await going.outcome() == (200, "aborted")
    assert trio.current_time() - started <= 2 * ANSWER_SECONDS
    await settled()
    assert host.channel.stream_count == 0
    assert stage.broker.routes.find("demo").requests == 0


async def test_heartbeats_keep_an_event_stream_and_silence_ends_it(stage: Stage) -> None:
    async def beat(stream: Stream) -> None:
        await stream.send_head(response(stream, headers=EVENT_FIELDS, end=False))
        for _ in range(8):
            await trio.sleep(15)
            await stream.send(HEARTBEAT, end=False)
        await hold(stream)

    await stage.host(beat)
    started = trio.current_time()
    going = stage.start("GET", "/demo/events")
    assert await going.outcome() == (200, "ok")
    assert going.body == HEARTBEAT * 8
    assert trio.current_time() - started == pytest.approx(8 * 15 + ANSWER_SECONDS, abs=1)


@pytest.mark.hostile("T07")
async def test_a_host_that_gives_no_credit_holds_up_one_request(stage: Stage) -> None:
    host = await stage.raw_host()
    going = stage.start("POST", "/demo/messages", body=b"x" * MAX_BODY_BYTES)
    request = await host.hear(Request)
    received = len(request.data)
    while not request.end:
        more = await host.hear(Data)
        received += len(more.data)
        if more.end:
            break
    assert received == MAX_BODY_BYTES, "a whole body fits the first credit"
    stage.tasks.start_soon(host.close)
    assert await going.outcome() == (504, "host_unavailable")


# --- Answers that come late, or twice -------------------------------------------------------
@pytest.mark.hostile("T12")
async def test_an_answer_after_the_end_is_dropped_and_the_link_lives(stage: Stage) -> None:
    host = await stage.raw_host()
    going = stage.start("GET", "/demo/status")
    late = await host.hear(Request)
    reset = await host.hear(Reset)
    assert (reset.stream, reset.code) == (late.stream, "cancelled")
    assert await going.outcome() == (504, "host_unavailable")
    await host.say(
        response(late.stream, b"late", end=False),
        Data(stream=late.stream, data=b"later", end=True),
        Window(stream=late.stream, credit=10),
        Reset(stream=late.stream, code="cancelled"),
    )
    going = stage.start("GET", "/demo/status")
    request = await host.hear(Request)
    await host.say(response(request.stream, b"in time"))
    assert await going.outcome() == (200, "ok")
    assert going.body == b"in time"


@pytest.mark.hostile("T12")
async def test_an_answer_that_comes_twice_is_taken_once(stage: Stage) -> None:
    host = await stage.raw_host()
    for number in range(3):
        going = stage.start("GET", "/demo/status")
        request = await host.hear(Request)
        await host.say(response(request.stream, b"%d" % number), response(request.stream, b"again"))
        assert await going.outcome() == (200, "ok")
        assert going.body == b"%d" % number


# --- Answers that break the rules -----------------------------------------------------------
def broken(stream: int) -> dict[str, list[Any]]:
    head = Response(stream=stream, status=200, headers=JSON_FIELDS)
    return {
        "data before a head": [Data(stream=stream, data=b"x")],
        "an end before a head": [Data(stream=stream, end=True)],
        "two heads": [head, head],
    }


@pytest.mark.hostile("T06")
@pytest.mark.parametrize("what", broken(1))
async def test_what_is_out_of_order_costs_its_own_request(stage: Stage, what: str) -> None:
    host = await stage.raw_host()
    goings: list[Going] = []
    requests: list[Request] = []
    for _ in range(3):
        goings.append(stage.start("GET", "/demo/status"))
        requests.append(await host.hear(Request))
    one, two, three = requests
    await host.say(
        response(one.stream, b"first", end=False),
        *broken(two.stream)[what],
        response(three.stream, b"third"),
        Data(stream=one.stream, data=b" whole", end=True),
    )
    assert await goings[0].outcome() == (200, "ok")
    assert goings[0].body == b"first whole"
    assert await goings[2].outcome() == (200, "ok")
    assert goings[2].body == b"third"
    # Where nothing of it had gone out the participant is told; else it is cut.
    assert await goings[1].outcome() in ((502, "bad_host_response"), (200, "aborted"))
    assert b"first" not in goings[1].body
    assert b"third" not in goings[1].body
    assert (await host.hear(Reset)).stream == two.stream


@pytest.mark.hostile("T09")
@pytest.mark.parametrize(
    "head",
    [
        *({"status": status} for status in (-1, 0, 99, 100, 101, 199, 300, 304, 600, 1000)),
        {"status": 204, "data": b"x"},
        {"headers": ()},
        {"headers": ((b"content-type", b"text/html"),)},
        {"headers": ((b"content-type", b"text/javascript"),)},
        {"headers": (*JSON_FIELDS, *JSON_FIELDS)},
        {"headers": (*JSON_FIELDS, (b"content-length", b"-1"))},
        {"headers": (*JSON_FIELDS, (b"content-length", b"1"), (b"transfer-encoding", b"chunked"))},
        {"headers": (*JSON_FIELDS, *((b"x-%d" % n, b"y") for n in range(1000)))},
    ],
    ids=str,
)
async def test_an_answer_that_is_none_is_not_passed_on(stage: Stage, head: dict[str, Any]) -> None:
    async def serve(stream: Stream) -> None:
        request: Any = stream.head
        if request.path == b"/good":
            await echo(stream)
        else:
            await stream.send_head(response(stream, **{"data": b"x" if not head else b"", **head}))

    await stage.host(serve)
    asked = await stage.ask("GET", "/demo/status")
    assert asked.whole().outcome == (502, "bad_host_response")
    assert (await stage.ask("GET", "/demo/good")).status == 200


EVIL_FIELDS = (
    (b"set-cookie", b"a=b; Path=/"),
    (b"location", b"https://evil.example/"),
    (b"service-worker-allowed", b"/"),
    (b"refresh", b"0; url=https://evil.example"),
    (b"link", b"</x.js>; rel=preload"),
    (b"access-control-allow-origin", b"*"),
    (b"content-security-policy", b"default-src *"),
    (b"strict-transport-security", b"max-age=1"),
    (b"connection", b"close"),
    (b"upgrade", b"h2c"),
    (b"trailer", b"x"),
    (b"content-encoding", b"gzip"),
    (b"cache-control", b"public, max-age=99999"),
    (b"server", b"me"),
    (b"retry-after", b"1\r\nset-cookie: a=b"),
    (b"allow", b"GET\r\n\r\n<html>"),
    (b"www-authenticate", b'Basic realm="give me your password"'),
    (b"x: y\r\nset-cookie", b"a=b"),
    (b"", b"x"),
)


@pytest.mark.hostile("T09")
async def test_a_hosts_headers_do_not_pass(stage: Stage) -> None:
    async def serve(stream: Stream) -> None:
        await stream.send_head(response(stream, b"{}", headers=(*JSON_FIELDS, *EVIL_FIELDS)))

    await stage.host(serve)
    asked = await stage.ask("GET", "/demo/status")
    assert sorted(asked.headers) == [
        *("cache-control", "content-security-policy", "content-type"),
        *("cross-origin-opener-policy", "cross-origin-resource-policy"),
        *("referrer-policy", "x-content-type-options"),
    ]
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["content-security-policy"].startswith("default-src 'none'")


# --- Hosts that go --------------------------------------------------------------------------
@pytest.mark.hostile("T14")
async def test_a_host_that_goes_fails_all_that_it_was_asked_at_once(stage: Stage) -> None:
    host = await stage.host(hold)
    goings = [stage.start("GET", f"/demo/{path}") for path in ("wait", "status") * 50]
    await settled()
    started = trio.current_time()
    host.socket.line.cut()
    for going in goings:
        assert await going.outcome() == (504, "host_unavailable")
        assert int(going.headers["retry-after"]) >= 1
    assert trio.current_time() - started <= 1
    away = await stage.ask("GET", "/demo/status")
    assert away.whole().outcome == (504, "host_unavailable")
    assert (await stage.ask("GET", "/demo")).whole().json()["host_connected"] is False
    await stage.host()
    assert (await stage.ask("GET", "/demo/status")).status == 200


@pytest.mark.hostile("T02")
async def test_the_newest_link_takes_over_and_the_old_ones_requests_fail_once(
    stage: Stage,
) -> None:
    first = await stage.host(hold)
    goings = [stage.start("GET", "/demo/wait") for _ in range(3)]
    await settled()
    second = await stage.host(echo)
    for going in goings:
        assert await going.outcome() == (504, "host_unavailable")
    await settled()
    assert first.end is not None
    assert (first.end.code, first.end.by_peer) == ("superseded", True)
    assert first.socket.line.closed is not None
    assert first.socket.line.closed.code == 4409
    assert (await stage.ask("GET", "/demo/status")).status == 200
    assert len(second.streams) == 1
    assert len(stage.broker.links) == 1


@pytest.mark.hostile("W09", "T16")
async def test_a_silent_host_is_known_in_time(stage: Stage) -> None:
    host = await stage.host(hold)
    going = stage.start("GET", "/demo/wait")
    await settled()
    host.socket.line.is_lost = True
    host.socket.line.is_jammed = True
    started = trio.current_time()
    assert await going.outcome() == (504, "host_unavailable")
    assert trio.current_time() - started <= 35
    await trio.sleep(5)
    assert (await stage.ask("GET", "/demo/status")).whole().error == "host_unavailable"


async def test_a_route_that_expires_lets_its_requests_go(tmp_path: Path) -> None:
    async with open_stage(tmp_path, lifetime_seconds=60) as stage:
        host = await stage.host(hold)
        await trio.sleep(50)
        going = stage.start("GET", "/demo/wait")
        assert await going.outcome() == (504, "host_unavailable")
        assert (await stage.ask("GET", "/demo/wait")).whole().outcome == (410, "route_expired")
        await settled()
        assert host.end is not None
        assert host.end.code == "route_expired"


async def test_a_host_that_says_it_goes_is_asked_nothing_more(stage: Stage) -> None:
    gated = Gated()
    host = await stage.host(gated)
    going = stage.start("GET", "/demo/wait")
    await gated.came.wait()
    host.channel.go_away("going_away")
    await settled()
    refused = await stage.ask("GET", "/demo/status")
    assert refused.whole().outcome == (504, "host_unavailable")
    await gated.begin(data=b"{}")
    assert await going.outcome() == (200, "ok")


# --- The end --------------------------------------------------------------------------------
@pytest.mark.hostile("B13")
async def test_a_stopping_broker_answers_what_it_holds(stage: Stage) -> None:
    gated = Gated()
    host = await stage.host(hold)
    await stage.host(gated, "other", secret=OTHER_SECRET)
    waits = [stage.start("GET", "/demo/wait") for _ in range(20)]
    events = stage.start("GET", "/other/events")
    await gated.begin(headers=EVENT_FIELDS, data=HEARTBEAT, end=False)
    await settled()
    stage.broker.release()
    for wait in waits:
        assert await wait.outcome() == (503, "shutting_down")
        assert int(wait.headers["retry-after"]) >= 1
    assert await events.outcome() == (200, "ok")
    assert (await stage.ask("GET", "/demo/status")).whole().outcome == (503, "shutting_down")
    denied = (await stage.socket()).denied
    assert denied is not None
    assert denied.outcome == (503, "shutting_down")
    await stage.broker.let_hosts_go()
    await settled()
    assert host.end is not None
    assert host.end.code == "going_away"
    assert host.end.return_after_ms >= 1000


@pytest.mark.hostile("B13")
async def test_hosts_come_back_at_50_a_second(tmp_path: Path) -> None:
    async with open_stage(tmp_path) as stage:
        hosts = [await stage.host(echo, f"room-{number}") for number in range(120)]
        stage.broker.release()
        await stage.broker.let_hosts_go()
        await settled()
        times = sorted(host.end.return_after_ms for host in hosts if host.end is not None)
        assert len(times) == 120
        assert times[0] >= 1000
        for start in range(0, 10_000, 100):
            assert sum(start <= at < start + 1000 for at in times) <= 50


async def test_whose_request_it_is_stays_apart(stage: Stage) -> None:
    """A hundred at once, of two rooms, in any order."""

    async def serve(stream: Stream) -> None:
        body = await read_request(stream)
        await trio.sleep(0.001 * (stream.id * 7 % 13))
        await stream.send_head(response(stream, body))

    await stage.host(serve)
    await stage.host(serve, "other", secret=OTHER_SECRET, address=EVE)
    goings = {
        f"{slug}-{number}".encode(): stage.start(
            "POST", f"/{slug}/messages", body=f"{slug}-{number}".encode(), address=ADA
        )
        for slug in ("demo", "other")
        for number in range(100)
    }
    for body, going in goings.items():
        assert await going.outcome() == (200, "ok")
        assert going.body == body


async def test_a_raw_host_may_end_with_any_reset_code(stage: Stage) -> None:
    """And the participant is told one of ours."""
    host = await stage.raw_host()

    async def ask_and_reset(host: RawHost, code: str) -> tuple[int, str]:
        going = stage.start("GET", "/demo/status")
        request = await host.hear(Request)
        await host.say(Reset(stream=request.stream, code=code))
        return await going.outcome()

    assert await ask_and_reset(host, "bad_host_response") == (502, "bad_host_response")
    assert await ask_and_reset(host, "route_request_limit") == (429, "route_request_limit")
    for code in ("internal_error", "zz_token_of_mine", "unauthorized"):
        assert await ask_and_reset(host, code) == (504, "host_unavailable")
