"""Hosts of 0.1.0 to 0.2.5 at our broker, and whoever pretends to be one."""

import base64
import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.broker.leases import DEFAULT_TERMS, Lease, Terms
from agentgather.broker.older_hosts import OlderHosts
from agentgather.broker.relay import Relay
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.broker.visit import Tally, Visit
from agentgather.edge.answers import refusal, send_answer
from agentgather.edge.bodies import ClientLeft
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import (
    ANSWER_SECONDS,
    HOST_SILENT_SECONDS,
    MAX_BODY_BYTES,
    MAX_CLIENT_RESPONDS_BYTES,
    MAX_HOST_ANSWER_BYTES,
    MAX_OLDER_POLLS,
    MAX_OLDER_RESPOND_BYTES,
    MAX_OLDER_WAITS,
    MAX_ROUTE_BODY_BYTES,
    POLL_SECONDS,
    ROUTE_IDLE_SECONDS,
)
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.older_host import OlderHost, Refused

WALL: Final = 1_764_000_000.0
JSON: Final = {"content-type": "application/json; charset=utf-8"}


class NoLedger:
    async def keep(self, slug_hash: str, owner: bytes) -> None:
        return

    async def drop(self, slug_hash: str) -> None:
        return


class Broker:
    """Older hosts' endpoints, and participants under ``/<slug>/``: an ASGI application."""

    def __init__(
        self, known: Mapping[str, Lease] | None = None, terms: Terms = DEFAULT_TERMS
    ) -> None:
        self.routes = Routes(NoLedger(), lambda slug: f"#{slug}", known=known or {}, terms=terms)
        self.relay = Relay()
        self.needs_token = False
        self.failures: list[str] = []
        self.notes: list[tuple[str, str, str | None]] = []
        self.hosts = OlderHosts(
            self,
            self.routes,
            entropy=os.urandom,
            wall=lambda: WALL,
            note=lambda *note: self.notes.append(note),
        )

    async def admit(self, slug: str, owner: bytes, token: str, client: str) -> Route:
        if self.needs_token:
            raise Rejected("slug_forbidden")
        return await self.routes.claim(slug, owner, client)

    def count_failure(self, client: str, error: Rejected, slug: str = "") -> None:
        self.failures.append(f"{slug}: {error.code}")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        tally = Tally(scope["method"], scope["client"][0], receive, send)
        headers = dict(scope["headers"])
        path: str = scope["path"]
        try:
            if path.startswith("/_host/"):
                answer = await self.hosts.serve(path, headers, tally)
                await send_answer(tally.send, answer)
                return
            slug, _, rest = path[1:].partition("/")
            visit = Visit(
                method=tally.method,
                path=f"/{rest}".encode(),
                query=scope["query_string"],
                headers=headers,
                is_wait=rest in ("wait", "events"),
                receive=tally.receive,
                send=tally.send,
            )
            await self.relay.forward(self.routes.find(slug), visit)
        except Rejected as error:
            await send_answer(tally.send, refusal(error))
        except ClientLeft:
            pass

    # --- Doubles that speak to it ----------------------------------------------------
    def client(self, token: str | None = "agp_x") -> AsgiClient:
        return AsgiClient(self, token)

    async def post(self, path: str, document: Any) -> tuple[int, dict[str, Any]]:
        reply = await AsgiClient(self).post(path, document)
        return reply.status, json.loads(reply.body)

    def host(self, ask: Any = None, **options: Any) -> OlderHost:
        return OlderHost(self.post, ask or echo, **options)


async def echo(envelope: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, JSON, json.dumps(envelope).encode()


def refused(code: str) -> Any:
    return pytest.raises(Refused, check=lambda error: error.code == code)


def whole(status: int = 200, body: bytes = b"{}\n", **headers: str) -> dict[str, Any]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()} or dict(JSON)
    return {
        "status": status,
        "headers": fields,
        "body_base64": base64.b64encode(body).decode(),
    }


# --- As those programs use it ------------------------------------------------------


async def test_an_older_host_serves_a_participant(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker, stop = Broker(), trio.Event()
    route = await nursery.start(partial(broker.host().run, "room", stop=stop))
    assert route["route_slug"] == "room"
    assert route["status"] == "active"
    assert route["created_at"] == "2025-11-24T16:00:00.000Z"
    assert route["expires_at"] == "2025-11-24T16:15:00.000Z"
    reply = await broker.client().post(
        "/room/messages?a=%20b", {"text": "hé"}, headers={"origin": "https://x", "cookie": "c"}
    )
    assert reply.status == 200
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    envelope = json.loads(reply.body)
    assert envelope["method"] == "POST"
    assert envelope["path"] == "/messages?a=%20b"
    assert json.loads(base64.b64decode(envelope["body_base64"])) == {"text": "hé"}
    assert envelope["headers"] == {
        "authorization": "Bearer agp_x",
        "content-type": "application/json",
        "origin": "https://x",
    }
    stop.set()


async def test_a_host_that_stops_closes_its_route(autojump_clock: MockClock) -> None:
    broker, stop = Broker(), trio.Event()
    host = broker.host()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(host.run, "room", stop=stop))
        stop.set()
    assert host.reason == ""
    assert (await broker.client().get("/room/status")).outcome == (410, "route_closed")
    assert broker.notes == [("link_open", "room", None), ("link_end", "room", "route_closed")]


async def test_a_held_wait_does_not_stop_a_post(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def ask(envelope: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if envelope["path"].startswith("/wait"):
            await trio.sleep(25)
        return await echo(envelope)

    broker, stop = Broker(), trio.Event()
    await nursery.start(partial(broker.host(ask).run, "room", stop=stop))
    outcomes: list[tuple[int, str]] = []

    async def wait() -> None:
        outcomes.append((await broker.client().get("/room/wait")).outcome)

    async with trio.open_nursery() as waiters:
        for _ in range(MAX_OLDER_WAITS + 6):
            waiters.start_soon(wait)
        await trio.sleep(1)
        # Those that find no place hear so at once.
        assert outcomes == [(429, "wait_limit")] * 6
        started = trio.current_time()
        assert (await broker.client().post("/room/messages", {})).status == 200
        assert trio.current_time() - started < 0.1
    assert outcomes[6:] == [(200, "ok")] * MAX_OLDER_WAITS
    stop.set()


async def test_a_wait_that_its_participant_left_keeps_its_place_at_the_host(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def ask(envelope: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        await trio.sleep(25)
        return await echo(envelope)

    broker, stop = Broker(), trio.Event()
    await nursery.start(partial(broker.host(ask).run, "room", stop=stop))
    for _ in range(MAX_OLDER_WAITS):
        async with broker.client().open("GET", "/room/wait"):
            await trio.sleep(0.5)
    assert (await broker.client().get("/room/wait")).outcome == (429, "wait_limit")
    await trio.sleep(25)
    assert (await broker.client().get("/room/wait")).status == 200
    stop.set()


async def test_a_poll_is_held_and_answered_with_null(autojump_clock: MockClock) -> None:
    host = Broker().host()
    await host.register("room")
    started = trio.current_time()
    assert await host.poll_once() is None
    assert trio.current_time() - started == POLL_SECONDS


async def test_several_polls_of_one_host_each_get_another_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    given: list[dict[str, Any] | None] = []

    async def poll() -> None:
        given.append(await host.poll_once())

    async def visit() -> None:
        await broker.client().get("/room/status")

    for _ in range(3):
        nursery.start_soon(poll)
    await wait_all_tasks_blocked()
    for _ in range(3):
        nursery.start_soon(visit)
    await wait_all_tasks_blocked()
    ids = [request["request_id"] for request in given if request is not None]
    assert len(ids) == len(set(ids)) == 3
    nursery.cancel_scope.cancel()


@pytest.mark.hostile("B16")
async def test_more_polls_than_are_held_end_the_oldest(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    ended: list[int] = []

    async def poll(number: int) -> None:
        await host.poll_once()
        ended.append(number)

    for number in range(MAX_OLDER_POLLS + 2):
        nursery.start_soon(poll, number)
        await wait_all_tasks_blocked()
    assert ended == [0, 1]
    nursery.cancel_scope.cancel()


async def test_a_poll_whose_host_left_takes_no_request(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    route = await host.register("room")
    ids = {name: route[name] for name in ("route_id", "host_connection_id")}
    body = json.dumps(ids).encode()
    async with broker.client().open("POST", "/_host/poll", body=body):
        await wait_all_tasks_blocked()
    nursery.start_soon(partial(broker.client().get, "/room/status"))
    request = await host.poll_once()
    assert request is not None
    nursery.cancel_scope.cancel()


async def test_a_request_that_a_broken_poll_took_fails_at_its_deadline(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    started = trio.current_time()
    replies: list[Reply] = []

    async def visit() -> None:
        replies.append(await broker.client().post("/room/messages", {"text": "x"}))

    async with trio.open_nursery() as visitors:
        visitors.start_soon(visit)
        await wait_all_tasks_blocked()
        request = await host.poll_once()
        assert request is not None
        # The host reads nothing of it. It is not given to another poll, or it may act twice.
        while not replies:
            assert await host.poll_once() is None
    assert replies[0].outcome == (504, "host_unavailable")
    assert trio.current_time() - started <= ANSWER_SECONDS + POLL_SECONDS
    with refused("unknown_request"):
        await host.respond(request["request_id"], whole())


async def test_a_participant_who_leaves_before_the_poll_asks_the_host_nothing(
    autojump_clock: MockClock,
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    async with broker.client().open("GET", "/room/wait"):
        await wait_all_tasks_blocked()
    assert await host.poll_once() is None


async def test_a_host_that_is_silent_is_away_at_once_and_back_when_it_polls(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    await trio.sleep(HOST_SILENT_SECONDS - 1)
    broker.hosts.sweep()
    assert broker.routes.find("room").host is not None
    await trio.sleep(1)
    started = trio.current_time()
    reply = await broker.client().get("/room/status")
    assert reply.outcome == (504, "host_unavailable")
    assert int(reply.headers["retry-after"]) >= 1
    assert trio.current_time() == started
    broker.hosts.sweep()
    assert broker.routes.find("room").host is None
    assert len(broker.hosts) == 0
    await host.beat_once()
    assert broker.routes.find("room").host is not None
    nursery.start_soon(partial(broker.client().get, "/room/status"))
    assert await host.poll_once() is not None
    nursery.cancel_scope.cancel()


async def test_a_host_outlives_a_restart_of_the_broker(autojump_clock: MockClock) -> None:
    before = Broker()
    host = before.host()
    await host.register("room")
    owner = before.routes.find("room").owner
    after = Broker({"#room": Lease(owner, trio.current_time() - 60)})
    host._post = after.post
    await host.beat_once()
    assert after.routes.find("room").host is not None
    with refused("route_slug_taken"):
        await after.host().register("room")


@pytest.mark.parametrize(
    ("is_first_version", "reason"), [(False, "signal"), (True, "broker_unreachable")]
)
async def test_all_but_the_first_version_outlive_a_broker_that_is_away(
    is_first_version: bool, reason: str, autojump_clock: MockClock
) -> None:
    broker, stop = Broker(), trio.Event()
    is_up = True

    async def post(path: str, document: Any) -> tuple[int, dict[str, Any]]:
        if not is_up:
            raise OSError
        return await broker.post(path, document)

    host = OlderHost(post, echo, is_first_version=is_first_version)
    reasons: list[str] = []

    async def run() -> None:
        reasons.append(await host.run("room", stop=stop))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(1)
        is_up = False
        await trio.sleep(25)
        is_up = True
        await trio.sleep(1)
        assert is_first_version or (await broker.client().get("/room/status")).status == 200
        stop.set()
    assert reasons == [reason]


async def test_a_host_of_an_ended_route_is_told_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker(terms=Terms(lifetime_seconds=60))
    host = broker.host()

    async def sweep() -> None:
        while True:
            await trio.sleep(5)
            broker.hosts.sweep()
            await broker.routes.sweep()

    nursery.start_soon(sweep)
    assert await host.run("room", stop=trio.Event()) == "route_expired"
    nursery.cancel_scope.cancel()


async def test_a_stop_answers_every_held_poll(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    answered = trio.Event()

    async def poll() -> None:
        assert await host.poll_once() is None
        answered.set()

    nursery.start_soon(poll)
    await wait_all_tasks_blocked()
    started = trio.current_time()
    broker.hosts.release()
    await answered.wait()
    assert trio.current_time() == started


# --- Whose a slug is -----------------------------------------------------------------


async def test_a_slug_is_its_first_hosts_until_the_lease_ends(autojump_clock: MockClock) -> None:
    broker = Broker()
    first = broker.host()
    await first.register("room")
    with refused("route_slug_taken"):
        await broker.host().register("room")
    await first.close()
    with refused("route_slug_taken"):
        await broker.host().register("room")
    await trio.sleep(ROUTE_IDLE_SECONDS)
    await broker.host().register("room")


@pytest.mark.hostile("B16")
@pytest.mark.parametrize("action", ["heartbeat", "poll", "close", "respond"])
@pytest.mark.parametrize(
    "forged",
    [
        {"host_connection_id": "conn_" + "0" * 48},
        {"route_id": "rte_other"},
        {"route_id": "rte_Ow4WJqe2euRgvVFA"},
        {"route_id": "room"},
        {"route_id": ""},
    ],
)
async def test_a_wrong_secret_gets_nothing(
    action: str, forged: dict[str, str], autojump_clock: MockClock
) -> None:
    broker = Broker()
    route = await broker.host().register("room")
    await broker.host().register("other")
    ids = {name: route[name] for name in ("route_id", "host_connection_id")} | forged
    more = {"request_id": "req_1", "response": whole()} if action == "respond" else {}
    status, answer = await broker.post(f"/_host/{action}", ids | more)
    assert (status, answer["error"]) == (404, "route_not_found")
    assert broker.routes.find("room").host is not None


@pytest.mark.hostile("B16")
async def test_a_restart_gives_no_slug_to_a_wrong_secret(autojump_clock: MockClock) -> None:
    broker = Broker({"#room": Lease(b"\0" * 32, trio.current_time())})
    ids = {"route_id": "rte_room", "host_connection_id": "conn_" + "0" * 48}
    status, answer = await broker.post("/_host/poll", ids)
    assert (status, answer["error"]) == (404, "route_not_found")
    with pytest.raises(Unavailable):
        broker.routes.find("room")


async def test_where_a_token_is_needed_an_older_host_is_refused(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.needs_token = True
    with refused("slug_forbidden"):
        await broker.host().register("room")
    assert broker.failures == ["room: slug_forbidden"]


# --- What is no older host's -----------------------------------------------------------


@pytest.mark.hostile("B16")
@pytest.mark.parametrize(
    "document",
    [
        {"route_slug": "room", "target": "http://127.0.0.1:2019"},
        {"route_slug": "room", "target": "http://169.254.169.254"},
        {"route_slug": "room", "target": None},
        {"route_slug": "room", "x": 1},
        {"route_slug": "_host"},
        {"route_slug": "a--b"},
        {"route_slug": "x" * 129},
        {"route_slug": 1},
        {},
        [],
    ],
)
async def test_a_registration_of_another_shape_is_refused(
    document: Any, autojump_clock: MockClock
) -> None:
    broker = Broker()
    status, answer = await broker.post("/_host/register", document)
    assert (status, answer["error"]) == (400, "invalid_registration")
    assert len(broker.hosts) == 0


@pytest.mark.hostile("B01")
async def test_who_names_a_target_is_told_what_to_do(autojump_clock: MockClock) -> None:
    with pytest.raises(Refused, match="use `tunnel run`"):
        await Broker().host().register("room", target="http://127.0.0.1:8787")


@pytest.mark.parametrize("action", ["heartbeat", "poll", "close", "respond"])
@pytest.mark.parametrize("document", [{}, [], {"route_id": "rte_room"}, {"route_id": 1}, "x"])
async def test_a_body_without_the_ids_is_refused(
    action: str, document: Any, autojump_clock: MockClock
) -> None:
    status, answer = await Broker().post(f"/_host/{action}", document)
    assert (status, answer["error"]) == (400, "invalid_heartbeat")


async def test_what_is_no_endpoint_is_refused(autojump_clock: MockClock) -> None:
    client = Broker().client()
    assert (await client.post("/_host/nothing", {})).outcome == (404, "not_found")
    assert (await client.post("/_host/poll/", {})).outcome == (404, "not_found")
    reply = await client.get("/_host/poll")
    assert reply.outcome == (405, "method_not_allowed")
    assert reply.headers["allow"] == "POST"
    plain = {"content-type": "text/plain"}
    reply = await client.post("/_host/register", {"route_slug": "room"}, headers=plain)
    assert reply.outcome == (415, "unsupported_media_type")


async def test_an_event_stream_is_refused_with_the_way_to_go(autojump_clock: MockClock) -> None:
    broker = Broker()
    await broker.host().register("room")
    reply = await broker.client().get("/room/events?since_id=0")
    assert reply.outcome == (404, "unsupported_route")
    assert "/wait" in reply.json()["message"]


# --- Answers -----------------------------------------------------------------------


async def answered(broker: Broker, response: Any, path: str = "/room/status") -> tuple[Reply, str]:
    """Have the host answer one visit so; give the participant's reply, and the host's."""
    host = broker.host()
    await host.register("room")
    replies: list[Reply] = []

    async def visit() -> None:
        replies.append(await broker.client().get(path))

    told = "ok"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(visit)
        request = await host.poll_once()
        assert request is not None
        try:
            await host.respond(request["request_id"], response)
        except Refused as error:
            told = error.code
    return replies[0], told


@pytest.mark.hostile("T09", "B16")
@pytest.mark.parametrize(
    "response",
    [
        None,
        "x",
        [],
        {},
        {"status": 200},
        {"status": "200", "headers": {}},
        {"status": 99, "headers": {}},
        {"status": 101, "headers": {}},
        {"status": 1000, "headers": {}},
        {"status": 200, "headers": {}, "body_base64": None},
        {"status": 200, "headers": JSON, "body_base64": "YQ"},
        {"status": 200, "headers": JSON, "body_base64": "YQ==\n"},
        {"status": 200, "headers": JSON, "body_base64": "-_8="},
        {"status": 200, "headers": {"content-type": 1}},
        {"status": 200, "headers": {"content-type": "text/plain\r\nset-cookie: a=b"}},
        {"status": 200, "headers": {"x y": "a"}},
        {"status": 200, "headers": {"": "a"}},
        {"status": 200, "headers": {"a": "é"}},
        {"status": 200, "headers": {"a": "1", "A": "2"}},
        {"status": 200, "headers": {f"h{number}": "" for number in range(1000)}},
        whole(204),
    ],
)
async def test_a_malformed_answer_fails_for_both(response: Any, autojump_clock: MockClock) -> None:
    reply, told = await answered(Broker(), response)
    assert reply.outcome == (502, "bad_host_response")
    assert told == "bad_host_response"


@pytest.mark.hostile("T09", "B16")
@pytest.mark.parametrize(
    "response",
    [
        whole(302, content_type="text/plain", location="https://evil.example"),
        whole(200, b"<script>", content_type="text/html"),
        whole(200, b"x", x="no type"),
    ],
)
async def test_an_answer_that_a_browser_would_act_on_is_not_passed_on(
    response: Any, autojump_clock: MockClock
) -> None:
    reply, told = await answered(Broker(), response)
    assert reply.outcome == (502, "bad_host_response")
    assert told == "ok"


async def test_only_headers_of_an_api_are_passed_on(autojump_clock: MockClock) -> None:
    fields = JSON | {"Set-Cookie": "a=b", "Content-Length": "7", "service-worker-allowed": "/"}
    reply, told = await answered(Broker(), {**whole(), "headers": fields})
    assert (reply.status, told) == (200, "ok")
    assert reply.headers["content-length"] == "3"
    assert not {"set-cookie", "service-worker-allowed"} & reply.headers.keys()


@pytest.mark.parametrize("size", [1, 64 * 1024, MAX_HOST_ANSWER_BYTES])
async def test_an_answer_up_to_the_limit_is_given_whole(
    size: int, autojump_clock: MockClock
) -> None:
    body = os.urandom(size)
    broker = Broker()
    reply, told = await answered(broker, whole(200, body, content_type="text/plain"))
    assert (reply.status, told) == (200, "ok")
    assert reply.body == body
    host: Any = broker.routes.find("room").host
    assert host._buffered_bytes == 0


async def test_an_answer_over_the_limit_fails_for_both(autojump_clock: MockClock) -> None:
    body = b"x" * (MAX_HOST_ANSWER_BYTES + 1)
    reply, told = await answered(Broker(), whole(200, body, content_type="text/plain"))
    assert reply.outcome == (502, "response_too_large")
    assert told == "response_too_large"


async def test_a_body_over_the_limit_is_refused_unread(autojump_clock: MockClock) -> None:
    client = Broker().client()
    too_long = MAX_OLDER_RESPOND_BYTES + 1
    async with client.open("POST", "/_host/respond", body=None, length=too_long) as exchange:
        await wait_all_tasks_blocked()
        assert exchange.reply().outcome == (413, "request_too_large")
    async with client.open("POST", "/_host/poll", body=None, length=MAX_BODY_BYTES + 1) as exchange:
        await wait_all_tasks_blocked()
        assert exchange.reply().outcome == (413, "body_too_large")


@pytest.mark.hostile("B16")
async def test_one_address_does_not_fill_the_room_for_answers(autojump_clock: MockClock) -> None:
    broker = Broker()
    size = MAX_OLDER_RESPOND_BYTES
    async with trio.open_nursery() as nursery:

        async def send(address: str, statuses: list[int]) -> None:
            client = broker.client()
            client.address = (address, 1)
            body = {"content-type": "application/json"}
            async with client.open(
                "POST", "/_host/respond", body=None, length=size, headers=body
            ) as exchange:
                await wait_all_tasks_blocked()
                statuses.append(exchange.start["status"] if exchange.start else 0)
                await trio.sleep(1)

        one: list[int] = []
        for _ in range(MAX_CLIENT_RESPONDS_BYTES // size + 1):
            nursery.start_soon(send, "192.0.2.1", one)
        other: list[int] = []
        nursery.start_soon(send, "192.0.2.2", other)
    assert sorted(one) == [0] * (MAX_CLIENT_RESPONDS_BYTES // size) + [503]
    assert other == [0]


async def test_an_answer_is_taken_once(autojump_clock: MockClock) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(broker.client().get, "/room/status"))
        request = await host.poll_once()
        assert request is not None
        await host.respond(request["request_id"], whole())
        with refused("unknown_request"):
            await host.respond(request["request_id"], whole())
    with refused("unknown_request"):
        await host.respond("req_never", whole())


@pytest.mark.hostile("B16")
async def test_a_host_can_answer_no_request_of_another(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    mine, other = broker.host(), broker.host()
    await mine.register("mine")
    await other.register("other")
    nursery.start_soon(partial(broker.client().get, "/mine/status"))
    request = await mine.poll_once()
    assert request is not None
    with refused("unknown_request"):
        await other.respond(request["request_id"], whole())
    nursery.cancel_scope.cancel()


async def test_what_participants_do_not_read_holds_the_host_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    held: Any = broker.routes.find("room").host
    body = whole(200, b"x" * MAX_HOST_ANSWER_BYTES, content_type="text/plain")
    delivered: list[str] = []

    async def visit() -> None:
        async with broker.client().open("GET", "/room/messages") as exchange:
            exchange.stall = True
            await trio.sleep(10)
            exchange.stall = False
            exchange.taking.set()
            await trio.sleep(10)
            assert exchange.ended

    async def respond(request_id: str) -> None:
        await host.respond(request_id, body)
        delivered.append(request_id)

    async with trio.open_nursery() as tasks:
        for _ in range(8):
            tasks.start_soon(visit)
            request = await host.poll_once()
            assert request is not None
            tasks.start_soon(respond, request["request_id"])
        await wait_all_tasks_blocked()
        assert len(delivered) == 6
        assert held._buffered_bytes <= 6 * 1024 * 1024
    assert len(delivered) == 8
    assert held._buffered_bytes == 0


async def test_bodies_that_wait_for_a_poll_are_bounded(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    broker = Broker()
    host = broker.host()
    await host.register("room")
    body = b'"' + b"x" * (MAX_BODY_BYTES - 2) + b'"'
    outcomes: list[tuple[int, str]] = []

    async def visit() -> None:
        outcomes.append((await broker.client().ask("POST", "/room/messages", body=body)).outcome)

    for _ in range(MAX_ROUTE_BODY_BYTES // MAX_BODY_BYTES + 1):
        nursery.start_soon(visit)
    await wait_all_tasks_blocked()
    assert outcomes == [(429, "route_request_limit")]
    nursery.cancel_scope.cancel()
