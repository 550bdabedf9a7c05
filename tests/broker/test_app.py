"""The broker's checks in their order, its own few answers, and what it tells strangers."""

import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.broker.quota import Quotas
from agentgather.edge.clients import parse_networks
from agentgather.link.stream import Stream
from agentgather.page.files import ASSETS, PAGE
from agentgather.wire.limits import (
    CLIENT_REQUESTS_PER_WINDOW,
    MAX_RATE_KEYS,
    MAX_TRUSTED,
    ROUTE_REQUESTS_PER_WINDOW,
    UNCOUNTED_LINES_PER_WINDOW,
)
from tests.doubles.broker_stage import (
    ADA,
    EVE,
    HOST_NAME,
    OTHER_SECRET,
    PUBLIC,
    TOKEN,
    Stage,
    echo,
    open_stage,
    response,
    settled,
)
from tests.doubles.clock import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME

MINUTE = 61
CROSS_SITE = {"sec-fetch-site": "cross-site"}
NAVIGATION = {**CROSS_SITE, "sec-fetch-mode": "navigate", "referer": "https://chat.example/"}
SECURITY = (
    *("content-security-policy", "x-content-type-options", "referrer-policy"),
    *("cross-origin-opener-policy", "cross-origin-resource-policy", "cache-control"),
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A broker with every limit as it comes."""
    async with open_stage(tmp_path, quotas=Quotas()) as opened:
        yield opened


async def judge(stream: Stream) -> None:
    """Answer as a room does: by the token, and nothing to a stranger."""
    head: Any = stream.head
    fields = dict(head.headers)
    given = fields.get(b"authorization", b"")
    if head.path == b"/card" and not given:
        given = b"Bearer " + head.query.rpartition(b"token=")[2]
    if given == b"Bearer " + TOKEN.encode() and not judge_state["removed"]:
        await echo(stream)
    else:
        status = 410 if judge_state["removed"] else (403 if given else 401)
        await stream.send_head(response(stream, b'{"ok":false}\n', status))


judge_state = {"removed": False}


@pytest.fixture(autouse=True)
def nobody_is_removed() -> None:
    judge_state["removed"] = False


async def statuses(stage: Stage, count: int, target: str, **options: Any) -> list[int]:
    return [(await stage.ask("GET", target, **options)).status for _ in range(count)]


# --- What it answers itself -----------------------------------------------------------------
@pytest.mark.hostile("B15")
async def test_the_root_healthz_and_robots_have_a_constant_shape(stage: Stage) -> None:
    targets = ("/", "/healthz", "/robots.txt")
    before = {target: (await stage.ask("GET", target)).whole() for target in targets}
    assert before["/healthz"].json() == {"ok": True}
    for number in range(5):
        await stage.host(echo, f"room-{number}")
    for target in targets:
        assert (await stage.ask("GET", target)).whole() == before[target]
        assert before[target].status == 200
        text = json.dumps(before[target].headers) + before[target].text
        assert "room-" not in text
        assert "0.3" not in text
        assert "server" not in before[target].headers


async def test_healthz_answers_whoever_is_over_a_limit_and_while_it_stops(stage: Stage) -> None:
    assert 429 in await statuses(stage, CLIENT_REQUESTS_PER_WINDOW + 1, "/")
    stage.broker.release()
    assert (await stage.ask("GET", "/healthz")).status == 200


@pytest.mark.hostile("B15")
async def test_a_route_says_whether_its_host_is_there_and_no_more(stage: Stage) -> None:
    host = await stage.host()
    shown = (await stage.ask("GET", "/demo", token=None)).whole()
    assert shown.json() == {
        "ok": True,
        "route_slug": "demo",
        "status": "active",
        "host_connected": True,
    }
    head = await stage.ask("HEAD", "/demo")
    assert (head.status, head.headers["content-length"]) == (200, str(len(shown.body)))
    host.socket.line.cut()
    await settled()
    assert (await stage.ask("GET", "/demo?x=1")).whole().json()["host_connected"] is False
    assert host.streams == [], "the host is not asked"


@pytest.mark.hostile("A14")
async def test_the_page_is_the_brokers_own_under_any_slug(stage: Stage) -> None:
    host = await stage.host()
    for slug in ("demo", "never", "_x", "UPPER"):
        shown = await stage.ask("GET", f"/{slug}/", token=None)
        assert (shown.status, shown.body) == (200, PAGE.body)
        name = next(iter(ASSETS))
        asset = await stage.ask("GET", f"/{slug}/assets/{name}", token=None)
        assert (asset.status, asset.body) == (200, ASSETS[name].body)
        tag = asset.headers["etag"]
        again = await stage.ask("GET", f"/{slug}/assets/{name}", headers={"if-none-match": tag})
        assert again.status == 304
        missing = await stage.ask("GET", f"/{slug}/assets/none.js", token=None)
        assert missing.whole().outcome == (404, "not_found")
    assert host.streams == [], "a host's page would be script under the broker's origin"


@pytest.mark.hostile("F02")
@pytest.mark.parametrize("path", ["/assets/../messages", "/assets/%2e%2e/", "/assets//etc/passwd"])
async def test_no_path_leads_out_of_the_assets(stage: Stage, path: str) -> None:
    await stage.host()
    assert (await stage.ask("GET", f"/demo{path}")).whole().outcome == (404, "not_found")


@pytest.mark.hostile("H05", "O07")
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "X"])
@pytest.mark.parametrize(
    ("target", "allow"),
    [
        ("/", "GET, HEAD"),
        ("/healthz", "GET, HEAD"),
        ("/demo", "GET, HEAD"),
        ("/demo/", "GET, HEAD"),
        ("/demo/messages", "GET, HEAD, POST"),
    ],
)
async def test_other_methods_are_refused_and_no_host_is_asked(
    tmp_path: Path, method: str, target: str, allow: str
) -> None:
    async with open_stage(tmp_path) as stage:
        host = await stage.host()
        asked = await stage.ask(method, target, headers={"origin": PUBLIC})
        assert asked.whole().outcome == (405, "method_not_allowed")
        assert asked.headers["allow"] == allow
        assert not any(name.startswith("access-control") for name in asked.headers)
        assert host.streams == []


@pytest.mark.hostile("H18", "X03")
async def test_every_refusal_is_json_with_the_security_headers(stage: Stage) -> None:
    await stage.host()
    asked = [
        await stage.ask("GET", "/nowhere/messages"),
        await stage.ask("GET", "/demo/assets/no"),
        await stage.ask("PUT", "/demo/messages"),
        await stage.ask("GET", "/demo/messages", headers={"host": "evil.example"}),
        await stage.ask("POST", "/_host/register"),
        await stage.ask("GET", "/_host/link"),
        await stage.ask("GET", "/_host/nothing"),
        await stage.ask("GET", "//"),
    ]
    for going in asked:
        reply = going.whole()
        assert reply.status >= 400
        assert reply.error
        for name in SECURITY:
            assert name in reply.headers
        assert reply.headers["cache-control"] == "no-store"


async def test_the_links_path_says_what_it_is(stage: Stage) -> None:
    asked = await stage.ask("GET", "/_host/link")
    assert asked.whole().outcome == (400, "bad_request")
    assert asked.headers["upgrade"] == "websocket"


@pytest.mark.parametrize("action", ["register", "heartbeat", "poll", "respond", "close", "x"])
async def test_without_older_hosts_their_paths_are_none(tmp_path: Path, action: str) -> None:
    async with open_stage(tmp_path, has_older_hosts=False) as stage:
        asked = await stage.ask("POST", f"/_host/{action}", body=b'{"route_slug":"demo"}')
        assert asked.whole().outcome == (404, "not_found")
        assert len(stage.broker.routes) == 0


@pytest.mark.hostile("B01")
@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.1:2019", "http://169.254.169.254", "file:///etc/passwd", "", None, 7],
)
async def test_nobody_says_where_a_broker_is_to_ask(stage: Stage, target: object) -> None:
    body = json.dumps({"route_slug": "demo", "target": target}).encode()
    asked = await stage.ask("POST", "/_host/register", body=body)
    if target is None:
        assert asked.status in (200, 400)
    else:
        assert asked.whole().outcome == (400, "invalid_registration")
        assert len(stage.broker.routes) == 0


# --- Host and Origin ------------------------------------------------------------------------
@pytest.mark.hostile("O01")
@pytest.mark.parametrize(
    "name",
    ["evil.example", "rooms.example.evil.example", "rooms.example:99999", "rooms.example@evil", ""],
)
async def test_a_host_that_is_not_ours_is_refused_before_anything(stage: Stage, name: str) -> None:
    host = await stage.host()
    for target in ("/", "/healthz", "/demo", "/demo/", "/demo/messages", "/_host/register", "//"):
        asked = await stage.ask("GET", target, headers={"host": name})
        assert asked.whole().outcome == (403, "insecure_remote")
    assert host.streams == []


@pytest.mark.parametrize("name", [HOST_NAME, "ROOMS.example", "rooms.example:443", "127.0.0.1"])
async def test_the_brokers_own_names_are_served(stage: Stage, name: str) -> None:
    await stage.host()
    assert (await stage.ask("GET", "/demo/status", headers={"host": name})).status == 200


@pytest.mark.hostile("O02", "O06")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:9999", "x"])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(("GET", path) for path in ("/demo/wait", "/demo/card", "/demo/messages", "/demo")),
        *(("POST", path) for path in ("/demo/messages", "/_host/register")),
        *(("GET", path) for path in ("/demo/", "/", "/demo/assets/room.js")),
    ],
)
async def test_a_page_of_another_origin_is_refused(
    tmp_path: Path, origin: str, method: str, target: str
) -> None:
    async with open_stage(tmp_path) as stage:
        host = await stage.host()
        asked = await stage.ask(method, target, headers={"origin": origin}, body=b"")
        assert asked.whole().outcome == (403, "bad_origin")
        assert host.streams == []


@pytest.mark.hostile("O06")
async def test_the_brokers_own_page_is_let_through_with_its_origin(stage: Stage) -> None:
    await stage.host()
    same = {"origin": PUBLIC, "sec-fetch-site": "same-origin"}
    asked = await stage.ask("POST", "/demo/messages", body=b"{}", headers=same)
    assert asked.whole().json()["headers"]["origin"] == PUBLIC, "the room judges it as well"


@pytest.mark.hostile("O04")
async def test_a_link_leads_to_the_page_and_to_no_data(stage: Stage) -> None:
    await stage.host()
    assert (await stage.ask("GET", "/demo/", headers=NAVIGATION)).status == 200
    for target in ("/demo/messages", "/demo/card?token=x", "/demo"):
        asked = await stage.ask("GET", target, headers=NAVIGATION)
        assert asked.whole().outcome == (403, "bad_origin")
    asked = await stage.ask("GET", "/demo/messages", headers=CROSS_SITE)
    assert asked.whole().outcome == (403, "bad_origin")


# --- Limits ---------------------------------------------------------------------------------
@pytest.mark.hostile("R08")
async def test_guesses_of_a_slug_are_few_and_all_answered_alike(stage: Stage) -> None:
    await stage.host()
    replies = [
        (await stage.ask("GET", f"/guess-{number}", token=None)).whole() for number in range(300)
    ]
    assert [reply.status for reply in replies] == [404] * 60 + [429] * 240
    assert len({reply.body for reply in replies[:60]}) == 1
    assert len({tuple(sorted(reply.headers.items())) for reply in replies[:60]}) == 1
    assert all(int(reply.headers["retry-after"]) >= 1 for reply in replies[60:])
    # A slug that is there does not answer whoever is over the limit either.
    assert (await stage.ask("GET", "/demo", token=None)).status == 429
    assert (await stage.ask("GET", "/demo", token=None, address=EVE)).status == 200
    await trio.sleep(MINUTE)
    assert (await stage.ask("GET", "/demo", token=None)).status == 200


@pytest.mark.hostile("R08")
async def test_a_slug_that_is_long_over_is_as_one_that_never_was(tmp_path: Path) -> None:
    async with open_stage(tmp_path, idle_seconds=60) as stage:
        host = await stage.host()
        host.socket.line.cut()
        await trio.sleep(60)
        assert (await stage.ask("GET", "/demo/messages")).whole().outcome == (410, "route_expired")
        await trio.sleep(3700)
        over, never = await stage.ask("GET", "/demo/x"), await stage.ask("GET", "/never/x")
        assert over.whole() == never.whole()
        assert over.status == 404


@pytest.mark.hostile("R09")
@pytest.mark.parametrize(
    "header", ["Bearer junk", "Basic x", "bearer x", "Bearer ", "x" * 8000, "é"]
)
async def test_a_header_that_nobody_has_looked_at_is_a_strangers(stage: Stage, header: str) -> None:
    await stage.host(judge)
    fields = {"authorization": header}
    found = await statuses(stage, 100, "/demo/messages", headers=fields)
    assert found == [403] * 60 + [429] * 40
    assert set(await statuses(stage, 10, "/nowhere/x", headers=fields)) == {429}
    assert set(await statuses(stage, 10, "/demo/assets/room.js", headers=fields)) == {429}


@pytest.mark.hostile("R09")
async def test_other_junk_each_time_does_not_help(stage: Stage) -> None:
    host = await stage.host(judge)
    found = [
        (await stage.ask("GET", "/demo/messages", token=f"junk-{number}")).status
        for number in range(200)
    ]
    assert found == [403] * 60 + [429] * 140
    assert len(host.streams) == 60


@pytest.mark.hostile("R09")
async def test_what_the_host_accepts_is_no_strangers(stage: Stage) -> None:
    await stage.host(judge)
    assert set(await statuses(stage, 300, "/demo/messages")) == {200}
    # Beside it the same address, as a stranger, has what is left of its own.
    found = await statuses(stage, 61, "/demo/messages", token="junk")
    assert found.count(403) == 59
    assert set(await statuses(stage, 100, "/demo/messages")) == {200}


@pytest.mark.hostile("R09")
async def test_what_the_host_refuses_later_is_a_strangers_again(stage: Stage) -> None:
    await stage.host(judge)
    assert set(await statuses(stage, 100, "/demo/messages")) == {200}
    judge_state["removed"] = True
    found = await statuses(stage, 100, "/demo/messages")
    assert found.count(410) <= 61
    assert found[-1] == 429


@pytest.mark.hostile("A02", "R09")
async def test_a_credential_is_good_at_its_own_route(stage: Stage) -> None:
    await stage.host(judge)
    other = await stage.host(judge, "other", secret=OTHER_SECRET)
    await stage.ask("GET", "/demo/messages", token=TOKEN)
    judge_state["removed"] = True
    assert set(await statuses(stage, 80, "/other/messages")) == {410, 429}
    assert len(other.streams) < 61


async def test_a_cards_link_is_a_credential_too(stage: Stage) -> None:
    await stage.host(judge)
    card = f"/demo/card?participant=ada&token={TOKEN}"
    assert set(await statuses(stage, 100, card, token=None)) == {200}
    assert (await stage.ask("GET", "/demo/card?token=a&token=b", token=None)).status == 400
    found = await statuses(stage, 100, f"/demo/messages?token={TOKEN}", token=None)
    assert 200 not in found, "a query is a credential for the card alone"
    assert found[-1] == 429


async def test_the_page_of_whoever_has_a_seat_is_no_strangers(stage: Stage) -> None:
    await stage.host(judge)
    assert (await stage.ask("GET", "/demo/messages")).status == 200
    assert set(await statuses(stage, 200, "/demo/", token=None)) == {200}
    assert 429 in await statuses(stage, 100, "/demo/", token=None, address=EVE)


@pytest.mark.hostile("R04")
async def test_a_flood_of_one_client_hurts_no_other_client_and_no_other_room(
    tmp_path: Path,
) -> None:
    async with open_stage(
        tmp_path, quotas=Quotas(), trusted_proxies=parse_networks(["loopback"])
    ) as stage:
        await stage.host(judge)
        await stage.host(judge, "other", secret=OTHER_SECRET)

        async def through(client: str, target: str, count: int = 1) -> list[int]:
            fields = {"x-forwarded-for": client}
            return await statuses(
                stage, count, target, token=None, address="127.0.0.1", headers=fields
            )

        flood = await through("203.0.113.1", "/demo/assets/room.js", 100)
        assert flood.count(429) == 40
        assert await through("203.0.113.2", "/demo/") == [200]
        assert await through("203.0.113.2", "/other/") == [200]
        assert await through("203.0.113.1", "/other/") == [429]


@pytest.mark.hostile("R05")
@pytest.mark.parametrize(
    ("peer", "forwarded", "is_many"),
    [
        ("203.0.113.5", "10.1.1.{n}", False),  # an untrusted peer names nobody
        ("127.0.0.1", "10.1.1.{n}, 203.0.113.5", False),  # nor does what stands further left
        ("127.0.0.1", "1.1.1.1, 2.2.2.{n}, 3.3.3.3, 4.4.4.4, 203.0.113.5", False),
        ("127.0.0.1", "2001:db8::{n:x}", False),  # one /64
        ("127.0.0.1", "2001:db8:0:{n:x}::1", True),
        ("127.0.0.1", "203.0.113.{n}", True),
    ],
)
async def test_a_client_does_not_pick_whom_it_counts_for(
    tmp_path: Path, peer: str, forwarded: str, *, is_many: bool
) -> None:
    async with open_stage(
        tmp_path, quotas=Quotas(), trusted_proxies=parse_networks(["loopback"])
    ) as stage:
        found = [
            (
                await stage.ask(
                    "GET",
                    "/demo/",
                    token=None,
                    address=peer,
                    headers={"x-forwarded-for": forwarded.format(n=number)},
                )
            ).status
            for number in range(100)
        ]
        assert found.count(200) == (100 if is_many else CLIENT_REQUESTS_PER_WINDOW)


async def test_a_room_has_its_own_limit_of_which_strangers_have_half(stage: Stage) -> None:
    await stage.host(judge)
    await stage.host(judge, "other", secret=OTHER_SECRET)
    strangers = [
        (await stage.ask("GET", "/demo/x", token=None, address=f"203.0.113.{number % 250}")).status
        for number in range(400)
    ]
    assert strangers.count(401) == ROUTE_REQUESTS_PER_WINDOW // 2
    known = [
        (await stage.ask("GET", "/other/x", address=f"203.0.113.{number % 250}")).status
        for number in range(ROUTE_REQUESTS_PER_WINDOW + 50)
    ]
    assert known.count(200) == ROUTE_REQUESTS_PER_WINDOW
    assert known[-1] == 429


async def test_a_flood_of_addresses_and_slugs_leaves_bounded_maps(tmp_path: Path) -> None:
    async with open_stage(
        tmp_path, quotas=Quotas(), trusted_proxies=parse_networks(["loopback"]), sweeps=False
    ) as stage:
        await stage.host(judge)
        many = MAX_RATE_KEYS + 2_000
        for number in range(many):
            address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            fields = {"x-forwarded-for": address, "authorization": f"Bearer {number}"}
            await stage.ask("GET", f"/room-{number}/x", address="127.0.0.1", headers=fields)
        app: Any = stage.broker.app
        assert len(app._quota._by_client) <= MAX_RATE_KEYS
        assert len(app._quota._by_route) <= MAX_RATE_KEYS
        assert len(app._trust) <= MAX_TRUSTED
        assert len(stage.broker.routes) == 1
        assert len(stage.broker.routes._by_slug) == 1


# --- The clock ------------------------------------------------------------------------------
@pytest.mark.hostile("B14")
@pytest.mark.parametrize("step", [3600.0, -3600.0, 10.0**9, -(10.0**9)])
async def test_a_wall_clock_that_is_set_expires_nothing_and_frees_nothing(
    stage: Stage, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await stage.host(judge)
    assert (await stage.ask("GET", "/demo/messages")).status == 200
    assert 429 in await statuses(stage, 61, "/guess", token=None)
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + step)
    await trio.sleep(10)
    assert (await stage.ask("GET", "/demo/messages")).status == 200
    assert (await stage.ask("GET", "/guess", token=None)).status == 429, "limits continue"
    host.socket.line.cut()
    await trio.sleep(10)
    assert (await stage.ask("GET", "/demo/messages")).whole().error == "host_unavailable"
    again = await stage.host(judge)
    assert again.registered.lifetime_seconds > 28_700
    assert len(stage.state.load_leases()) == 1


# --- What is noted --------------------------------------------------------------------------
@pytest.mark.hostile("B19")
async def test_a_request_is_noted_by_what_it_is_and_nothing_in_it(stage: Stage) -> None:
    await stage.host()
    await stage.ask("POST", "/demo/messages?secret=1", body=b'{"text":"secret"}')
    await stage.ask("GET", "/secret-slug/secret?secret", token="secret")
    await stage.ask("SECRET", "/demo/secret")
    await trio.sleep(1)
    lines = [line for line in stage.log.lines if line["event"] == "request"]
    assert "ecret" not in stage.log.data.decode()
    assert "ECRET" not in stage.log.data.decode()
    assert "demo" not in stage.log.data.decode()
    posted, guessed, odd = lines
    assert list(posted) == [
        *("event", "route_hash", "method", "path_class", "status", "duration_ms"),
        *("bytes_in", "bytes_out"),
    ]
    assert (posted["status"], posted["path_class"], posted["bytes_in"]) == (200, "messages", 17)
    assert (guessed["status"], guessed["error"]) == (404, "route_not_found")
    assert (odd["method"], odd["status"]) == ("OTHER", 405)


@pytest.mark.hostile("B02")
async def test_what_costs_its_client_nothing_has_few_lines(tmp_path: Path) -> None:
    """Else a flood that is refused, however quickly, would fill the operator's disk."""
    async with open_stage(tmp_path, quotas=Quotas()) as stage:
        for _ in range(200):
            await stage.ask("GET", "/guess/status")
            await stage.ask("GET", "/healthz")
            await stage.ask("GET", "/healthz", headers={"origin": "https://evil.example"})
        await stage.ask("GET", "/healthz", address=EVE)
        await trio.sleep(1)
        counted = Quotas().client_requests
        lines = [line for line in stage.log.lines if line["event"] == "request"]
        assert len(lines) == counted + UNCOUNTED_LINES_PER_WINDOW + 1
        assert [line["status"] for line in lines].count(404) == counted
        # Nothing is left out of the metrics.
        samples = re.findall(
            r"^agentgather_broker_requests_total{.*} (.*)$",
            stage.broker.metrics.render().decode(),
            re.MULTILINE,
        )
        assert sum(map(float, samples)) == 601


@pytest.mark.hostile("B09")
async def test_what_stands_for_a_slug_is_another_at_each_start(tmp_path: Path) -> None:
    hashes = []
    for _ in range(2):
        async with open_stage(tmp_path) as stage:
            await stage.ask("GET", "/demo/x")
            await trio.sleep(1)
            hashes.append(stage.log.lines[0]["route_hash"])
    assert hashes[0] != hashes[1]
    assert all(len(found) == 16 for found in hashes)


@pytest.mark.hostile("K11")
async def test_a_bug_ends_one_request_and_says_nothing(stage: Stage, caplog: Any) -> None:
    class Broken:
        async def open(self, **_asked: object) -> Any:
            raise RuntimeError("/secret/path")

        def end(self, code: str) -> None:
            pass

    await stage.host()
    route = stage.broker.routes.find("demo")
    good = route.host
    route.host = Broken()
    asked = await stage.ask("GET", "/demo/status")
    assert asked.whole().outcome == (500, "internal_error")
    assert "secret" not in asked.body.decode()
    route.host = good
    assert (await stage.ask("GET", "/demo/status")).status == 200
    assert (route.requests, route.waits) == (0, 0)
    assert ADA not in caplog.text
