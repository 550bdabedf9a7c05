"""What every request passes before its endpoint is asked, in its one order."""

import pytest
import trio

from agentgather.edge.answers import SECURITY_HEADERS
from agentgather.edge.origins import Served
from agentgather.page.files import ASSETS
from agentgather.server.app import build_app
from agentgather.server.routes import ROUTES, Access, Route
from agentgather.storage.home import Home
from agentgather.wire.limits import (
    BAD_TOKENS_PER_WINDOW,
    BAD_TUNNEL_TOKENS_PER_WINDOW,
    BRIEFS_PER_WINDOW,
    MAX_BRIEF_UNITS,
)
from tests.doubles.asgi_client import AsgiClient, Reply
from tests.doubles.clock import VIRTUAL_TIME
from tests.doubles.table import BASE_URL, TOKENS, Table, open_table

pytestmark = VIRTUAL_TIME

ASSET = f"/assets/{next(iter(ASSETS))}"
EVIL_HOST = {"host": "evil.example:8787"}
EVIL_ORIGIN = {"origin": "https://evil.example"}
PLAIN = {"content-type": "text/plain"}
LONG_BRIEF = b'{"body":"' + b"x" * (MAX_BRIEF_UNITS + 1) + b'"}'

# From the last check to the first; each line repairs one fault less than the one before.
ORDER = [
    ("brief_too_large", {}, 413),
    ("rate_limited", {"spend": True}, 429),
    ("room_closed", {"close": True}, 403),
    ("invalid_json", {"body": b'{"body":'}, 400),
    ("unsupported_media_type", {"headers": PLAIN}, 415),
    ("host_required", {"token": TOKENS["ada"]}, 403),
    ("forbidden", {"token": "agp_" + "x" * 43}, 403),
    ("unauthorized", {"token": None}, 401),
    ("method_not_allowed", {"method": "DELETE"}, 405),
    ("bad_origin", {"headers": PLAIN | EVIL_ORIGIN}, 403),
    ("insecure_remote", {"headers": PLAIN | EVIL_ORIGIN | EVIL_HOST}, 403),
]


@pytest.mark.parametrize("count", range(1, len(ORDER) + 1))
async def test_of_many_faults_the_first_in_order_is_told(table: Table, count: int) -> None:
    faults: dict[str, object] = {}
    for _, more, _ in ORDER[:count]:
        faults |= more
    if "spend" in faults:
        for _ in range(BRIEFS_PER_WINDOW):
            assert (await table.host.post("/brief", {"body": "x"})).status == 200
    if "close" in faults:
        assert (await table.host.post("/close")).status == 200
    token = faults.get("token", TOKENS["host"])
    assert token is None or isinstance(token, str)
    client = AsgiClient(table.app, token)
    reply = await client.ask(
        str(faults.get("method", "POST")),
        "/brief",
        body=faults.get("body", LONG_BRIEF),  # type: ignore[arg-type]
        headers=faults.get("headers"),  # type: ignore[arg-type]
    )
    code, _, status = ORDER[count - 1]
    assert reply.outcome == (status, code)


async def test_an_unknown_endpoint_is_told_before_a_missing_token(table: Table) -> None:
    assert (await table.anyone.get("/nothing")).outcome == (404, "not_found")
    assert (await table.anyone.get("/messages")).outcome == (401, "unauthorized")


# --- Host -------------------------------------------------------------------------------
@pytest.mark.hostile("H15", "O01")
@pytest.mark.parametrize("target", ["/", "/messages", "/nothing", "/healthz", ASSET])
@pytest.mark.parametrize(
    "host",
    [
        *("evil.example:8787", "evil.example", "localhost:x@evil", "localhost.", "localhost.:8787"),
        *("127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:", "127.0.0.1:+80", "127.0.0.1 ", "[::1"),
        *("127.0.0.2:8787", "0.0.0.0:8787", "10.0.0.1", "127.1", "2130706433", "localhost.evil"),
        *(
            "localhost/x",
            "localhost?x",
            "user@localhost",
            "localhost:80:80",
            "[::2]:8787",
            "",
            None,
        ),
        *("\xe9", "localhost:٣", "127.0.0.1:8787,evil"),
    ],
)
async def test_a_host_that_the_room_is_not_served_at_is_refused_before_all_else(
    table: Table, host: str | None, target: str
) -> None:
    if host is not None and not host.isascii():
        host = host.encode().decode("latin-1")
    client = AsgiClient(table.app, TOKENS["ada"], host=host)
    assert (await client.get(target)).outcome == (403, "insecure_remote")


@pytest.mark.hostile("H15")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8787",
        "localhost:8787",
        "LOCALHOST:8787",
        "[::1]:8787",
        "localhost",
        "127.0.0.1:9",
    ],
)
async def test_the_host_s_own_machine_has_several_names_in_any_case(
    table: Table, host: str
) -> None:
    client = AsgiClient(table.app, TOKENS["ada"], host=host)
    assert (await client.get("/messages")).status == 200


ADDRESSES = ["10.0.0.5:8787", "192.168.1.2", "[2001:db8::1]:8787", "127.0.0.2:1", "0.0.0.0"]
NAMES = ["evil.example", "127.1", "2130706433", "10.0.0.5.evil.example", "0x7f.1", "[::1", "[1.2]"]


async def test_with_remote_access_any_address_is_a_host_and_still_no_name(home: Home) -> None:
    async with open_table(home, allow_remote=True) as table:
        for host in ADDRESSES:
            client = AsgiClient(table.app, TOKENS["ada"], host=host)
            reply = await client.get("/wait?hold=0")
            assert f'curl -s "http://{host}/wait?' in reply.json()["next_cmd"].replace("\\", "")
            own = {"origin": f"http://{host}"}
            assert (await client.get("/messages", headers=own)).status == 200
            assert (await client.get("/messages", headers=EVIL_ORIGIN)).status == 403
            assert (await client.get("/healthz")).outcome == (404, "not_found")
        for host in NAMES:
            client = AsgiClient(table.app, TOKENS["ada"], host=host)
            assert (await client.get("/messages")).outcome == (403, "insecure_remote")


@pytest.mark.parametrize("host", ["rooms.example", "Rooms.Example", "rooms.example:443"])
async def test_a_public_name_is_a_host_with_and_without_its_default_port(
    home: Home, host: str
) -> None:
    async with open_table(home, public_urls=("https://rooms.example",)) as table:
        client = AsgiClient(table.app, TOKENS["ada"], host=host)
        own = {"origin": "https://rooms.example"}
        # Whoever comes by the public name is elsewhere, though its proxy may be here.
        assert (await client.get("/healthz")).outcome == (404, "not_found")
        reply = await client.get("/wait?hold=0", headers=own)
        assert '"https://rooms.example/wait?' in reply.json()["next_cmd"]
        for evil in ("http://rooms.example", "https://rooms.example:444", "https://x.example"):
            reply = await client.get("/messages", headers={"origin": evil})
            assert reply.outcome == (403, "bad_origin")
        for other in ("rooms.example:80", "rooms.example.", "x.rooms.example"):
            client = AsgiClient(table.app, TOKENS["ada"], host=other)
            assert (await client.get("/messages")).outcome == (403, "insecure_remote")


# --- Origin -----------------------------------------------------------------------------
ORIGINS = [
    *("https://evil.example", "null", "http://localhost:9999", "http://127.0.0.1:8788", "file://"),
    *("http://127.0.0.1:8787.evil.example", "http://evil.example:8787", "https://127.0.0.1:8787"),
    *("http://127.0.0.1:8787/", "http://user@127.0.0.1:8787", "127.0.0.1:8787", "*", " "),
    *("http://127.0.0.1:8787 http://evil.example", "\xff"),
]


@pytest.mark.hostile("O02")
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/wait"), ("GET", "/card"), ("GET", "/events"), ("POST", "/messages"), ("GET", "/")],
)
async def test_a_page_of_another_origin_is_refused_on_reads_and_writes(
    table: Table, method: str, target: str, origin: str
) -> None:
    reply = await table.ada.ask(method, target, body=b"", headers={"origin": origin})
    assert reply.outcome == (403, "bad_origin")
    assert not any(name.startswith("access-control-") for name in reply.headers)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8787", "http://localhost:8787"])
async def test_the_room_s_own_page_may_speak_to_it(table: Table, origin: str) -> None:
    own = {"origin": origin, "referer": origin + "/", "sec-fetch-site": "same-origin"}
    assert (await table.ada.get("/messages", headers=own)).status == 200
    assert (await table.ada.post("/messages", {"text": "a"}, headers=own)).status == 201


@pytest.mark.hostile("O04")
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"referer": "https://evil.example/page"},
        {"referer": "http://127.0.0.1:8788/"},
        {"referer": "nonsense"},
    ],
)
async def test_the_browser_s_own_word_that_a_request_is_foreign_counts(
    table: Table, headers: dict[str, str]
) -> None:
    for method, target in (("GET", "/messages"), ("POST", "/messages"), ("GET", "/wait?hold=0")):
        reply = await table.ada.ask(method, target, headers=headers)
        assert reply.outcome == (403, "bad_origin")


@pytest.mark.hostile("O04")
async def test_a_person_may_follow_a_link_to_the_page_from_anywhere(table: Table) -> None:
    link = {
        "sec-fetch-site": "cross-site",
        "sec-fetch-mode": "navigate",
        "referer": "https://chat.example/",
    }
    assert (await table.anyone.get("/", headers=link)).status == 200
    assert (await table.ada.get("/messages", headers=link)).outcome == (403, "bad_origin")


@pytest.mark.hostile("O07")
async def test_a_preflight_gets_no_permission(table: Table) -> None:
    asked = {"access-control-request-method": "POST", "origin": "https://evil.example"}
    reply = await table.anyone.ask("OPTIONS", "/messages", headers=asked)
    assert reply.outcome == (403, "bad_origin")
    reply = await table.anyone.ask("OPTIONS", "/messages")
    assert reply.outcome == (405, "method_not_allowed")
    assert not any(name.startswith("access-control-") for name in reply.headers)


# --- Endpoint and method ------------------------------------------------------------------
@pytest.mark.hostile("H05")
@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("DELETE", "/messages", "GET, HEAD, POST"),
        ("POST", "/wait", "GET, HEAD"),
        ("GET", "/close", "POST"),
        ("HEAD", "/close", "POST"),
        ("GET", "/participants/rev/remove", "POST"),
        ("PUT", "/", "GET, HEAD"),
        ("post", "/messages", "GET, HEAD, POST"),
        ("FOO", "/messages", "GET, HEAD, POST"),
        ("TRACE", "/", "GET, HEAD"),
        ("OPTIONS", "*", "GET, HEAD, POST"),
        ("CONNECT", "x:1", "GET, HEAD, POST"),
        ("BREW", "/nothing", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_is_told_which_there_are(
    table: Table, method: str, target: str, allow: str
) -> None:
    reply = await table.anyone.ask(method, target, body=b"{}")
    assert reply.status == 405
    if method != "HEAD":
        assert reply.error == "method_not_allowed"
    assert reply.headers["allow"] == allow
    assert method.encode() not in reply.body.replace(b"GET, HEAD, POST", b"")


@pytest.mark.parametrize(
    "target",
    [
        *("//", "///", "//messages", "/messages/", "/./messages", "/x/../messages", "/%6dessages"),
        *("/a%2f..%2f..%2fetc/passwd", "/..%5c", "/%00", "/static/../participants.json"),
        *("/room.js%00.html", "/assets/..%2froom.json", "/assets/", "/assets/../index.html"),
        *("/assets/index.html", "/participants/rev", "/participants/rev/", "/participants//"),
        *("/participants//remove", "/participants//rotate", "/participants///remove"),
        *("/participants/rev/remove/", "/participants/rev/x", "/rooms", "/.well-known/x", "/\xff"),
        *("/messages;x", "/Messages", "/favicon.ico", "/participants/<alias>/x"),
    ],
)
async def test_a_path_that_is_not_an_endpoint_s_own_is_not_found(table: Table, target: str) -> None:
    for client in (table.host, table.anyone):
        assert (await client.get(target)).outcome == (404, "not_found")
        assert (await client.post(target)).outcome == (404, "not_found")


@pytest.mark.hostile("U01")
@pytest.mark.parametrize(
    "alias",
    ["%00", "..", "%2e%2e", "a%2fb", "nobody", "host%0a", "\xff", "x" * 2000, "<alias>"],
)
@pytest.mark.parametrize("verb", ["remove", "rotate"])
async def test_an_odd_alias_in_a_path_is_nobody(table: Table, alias: str, verb: str) -> None:
    reply = await table.host.post(f"/participants/{alias}/{verb}")
    assert reply.outcome == (404, "unknown_participant")


# --- Query ------------------------------------------------------------------------------
@pytest.mark.hostile("J16")
@pytest.mark.parametrize(
    "query",
    [
        *("since_id=1&since_id=1", "since_id=1&since%5fid=2", "x=1&x=2", "a=%ff", "a=%ed%a0%80"),
        "&".join(f"p{n}=1" for n in range(17)),
        "since_id=\xff",
    ],
)
async def test_a_query_that_can_be_read_in_two_ways_is_refused(table: Table, query: str) -> None:
    assert (await table.ada.get(f"/messages?{query}")).outcome == (400, "bad_query")


# --- Token ------------------------------------------------------------------------------
@pytest.mark.hostile("A03")
@pytest.mark.parametrize(
    "value",
    [
        *("Basic x", "Bearer", "Bearer ", f"bearer {TOKENS['ada']}", f"BEARER {TOKENS['ada']}"),
        *(f"Bearer  {TOKENS['ada']}", f"Bearer {TOKENS['ada']} ", f"Token {TOKENS['ada']}"),
        *(f"{TOKENS['ada']}", "Bearer " + "x" * 16_000, "Bearer \xe9", f"Bearer {TOKENS['ada']},x"),
    ],
)
async def test_a_malformed_header_is_told_how_to_send_a_token(table: Table, value: str) -> None:
    reply = await table.anyone.get("/messages", headers={"authorization": value})
    assert reply.outcome == (401, "unauthorized")
    assert reply.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.hostile("A04")
@pytest.mark.parametrize("route", [r for r in ROUTES if r.access not in (Access.ANYONE,)])
async def test_a_token_in_the_query_opens_the_card_and_nothing_else(
    table: Table, route: object
) -> None:
    assert hasattr(route, "path")
    path = route.path.replace("<alias>", "rev")
    if path == "/healthz":
        return
    reply = await table.anyone.ask(route.method, f"{path}?token={TOKENS['host']}")  # type: ignore[attr-defined]
    if path == "/card":
        assert reply.status == 200
    else:
        assert reply.outcome == (401, "unauthorized")


@pytest.mark.hostile("A01")
@pytest.mark.parametrize(
    "token", ["x", "agp_" + "a" * 43, "tgl_" + "b" * 43, "\u00e9" * 9, "a" * 500]
)
async def test_an_unknown_token_is_forbidden_by_header_and_by_link(
    table: Table, token: str
) -> None:
    if token.isascii():
        client = AsgiClient(table.app, token)
        for target in ("/messages", "/wait", "/events", "/card", "/status"):
            assert (await client.get(target)).outcome == (403, "forbidden")
    escaped = token.encode().hex("%")
    reply = await table.anyone.get(f"/card?token=%{escaped}")
    assert reply.outcome == (403, "forbidden")


async def test_a_header_outweighs_the_token_in_a_card_link(table: Table) -> None:
    reply = await table.rev.get(f"/card?token={TOKENS['host']}")
    assert "Attend Card: rev" in reply.text
    bad = await table.anyone.get(
        f"/card?token={TOKENS['rev']}", headers={"authorization": "Basic x"}
    )
    assert bad.outcome == (401, "unauthorized")


@pytest.mark.hostile("A09")
async def test_guessing_tokens_is_slowed_down_and_locks_no_good_token_out(table: Table) -> None:
    stranger = AsgiClient(table.app, "agp_" + "x" * 43)
    for _ in range(BAD_TOKENS_PER_WINDOW):
        assert (await stranger.get("/messages")).outcome == (403, "forbidden")
    refused = await stranger.get("/messages")
    assert refused.outcome == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await table.ada.get("/messages")).status == 200
    elsewhere = AsgiClient(table.app, "agp_" + "x" * 43)
    elsewhere.address = ("127.0.0.9", 1)
    assert (await elsewhere.get("/messages")).outcome == (403, "forbidden")


@pytest.mark.hostile("A09")
@pytest.mark.parametrize("address", [("tunnel", 0), ("127.0.0.1", 50_000)])
async def test_strangers_at_a_tunnel_use_up_no_more_than_the_tunnels_own_bound(
    table: Table, address: tuple[str, int]
) -> None:
    """The room cannot tell them apart, in its own process or from one beside it."""
    served = Served(BASE_URL)
    served.set_tunnel("https://rooms.example/demo")
    app = build_app(table.live, served)

    def at_the_tunnel(token: str) -> AsgiClient:
        client = AsgiClient(app, token, host="rooms.example")
        client.address = address
        return client

    stranger = at_the_tunnel("agp_" + "x" * 43)
    mistyped = at_the_tunnel(TOKENS["ada"] + "x")
    for _ in range(BAD_TUNNEL_TOKENS_PER_WINDOW - 1):
        assert (await stranger.get("/messages")).outcome == (403, "forbidden")
    assert (await mistyped.get("/messages")).outcome == (403, "forbidden")
    refused = await stranger.get("/messages")
    assert refused.outcome == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) >= 1
    assert (await at_the_tunnel(TOKENS["ada"]).get("/messages")).status == 200
    # Nobody on this machine pays for it, and what is typed here costs nobody there.
    assert (await AsgiClient(app, "agp_" + "x" * 43).get("/messages")).status == 403
    await trio.sleep(61)
    assert (await mistyped.get("/messages")).outcome == (403, "forbidden")


# --- Permission -------------------------------------------------------------------------
@pytest.mark.hostile("A12")
@pytest.mark.parametrize("route", [r for r in ROUTES if r.access is Access.HOST])
@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense"])
async def test_what_is_the_host_s_is_refused_to_others_and_changes_nothing(
    table: Table, route: object, body: bytes
) -> None:
    assert isinstance(route, Route)
    path = route.path.replace("<alias>", "rev")
    before = (await table.host.get("/status")).body
    for client in (table.ada, table.rev, table.eve):
        reply = await client.ask(route.method, path, body=body if route.method == "POST" else b"")
        assert reply.outcome == (403, "host_required")
    assert (await table.host.get("/status")).body == before
    assert table.texts() == []


@pytest.mark.hostile("A14")
async def test_healthz_says_nothing_else_and_only_to_the_host_s_machine(table: Table) -> None:
    assert (await table.anyone.get("/healthz")).body == b'{"ok":true}\n'
    for address in (("203.0.113.5", 1), None, ("", 0)):
        stranger = AsgiClient(table.app)
        stranger.address = address
        assert (await stranger.get("/healthz")).outcome == (404, "not_found")
    local = AsgiClient(table.app)
    local.address = ("::1", 1)
    assert (await local.get("/healthz")).status == 200


# --- Every answer -------------------------------------------------------------------------
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def check_headers(reply: Reply, *, cached: bool = False) -> None:
    assert reply.headers["content-security-policy"] == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert reply.headers["cache-control"] == ("no-cache" if cached else "no-store")
    assert "server" not in reply.headers
    assert "set-cookie" not in reply.headers
    assert "content-encoding" not in reply.headers
    assert len(SECURITY_HEADERS) == 5


@pytest.mark.hostile("X03")
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
async def test_every_answer_has_every_security_header(
    table: Table, route: object, method: str
) -> None:
    assert hasattr(route, "path")
    path = route.path.replace("<alias>", "rev")
    for client in (table.anyone, table.host, table.ada):
        if path == "/events" and method == "GET" and client is not table.anyone:
            continue
        if path == "/wait":
            path = "/wait?hold=0"
        reply = await client.ask(method, path, headers={"accept-encoding": "gzip, br"})
        check_headers(reply, cached=path.startswith("/assets/") and reply.status == 200)
        if reply.status >= 400 and method != "HEAD":
            assert reply.error


@pytest.mark.hostile("H17")
@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"])
async def test_head_is_get_without_a_body_and_without_a_hold(table: Table, route: object) -> None:
    assert isinstance(route, Route)
    client = table.host if route.access is Access.HOST else table.ada
    started = trio.current_time()
    head = await client.ask("HEAD", route.path)
    assert trio.current_time() == started
    assert (head.status, head.body) == (200, b"")
    if route.path in ("/events", "/wait"):
        return
    get = await client.get(route.path)
    assert head.headers == get.headers


@pytest.mark.hostile("H17")
async def test_a_head_of_a_wait_takes_no_seat(table: Table) -> None:
    for _ in range(9):
        assert (await table.ada.ask("HEAD", "/wait")).status == 200
        assert (await table.ada.ask("HEAD", "/events")).status == 200
    assert len(table.live.hub) == 0
    seats = (await table.host.get("/status")).json()["participants"]
    ada = next(seat for seat in seats if seat["alias"] == "ada")
    assert (ada["attention"], ada["last_seen_age_ms"]) == ("manual", 2**53 - 1)


@pytest.mark.hostile("A14")
async def test_the_page_is_given_to_anyone_and_holds_no_room_data(table: Table) -> None:
    for target in ("/", *(f"/assets/{name}" for name in ASSETS)):
        reply = await table.anyone.get(target)
        assert reply.status == 200
        for secret in (b"demo", b"Goal", b"ada", *(t.encode() for t in TOKENS.values())):
            assert secret not in reply.body
