"""Tokens, other pages, guesses, floods."""

import json

import pytest
import trio

from agentgather.domain.tokens import hash_token
from agentgather.server.routes import ROUTES, Access
from agentgather.storage.home import Home
from agentgather.wire.records import Participant, encode_roster
from tests.doubles.asgi_client import AsgiClient
from tests.doubles.raw_http import RawServer, eventually, post, request
from tests.doubles.table import TOKENS, Table, open_table

HOST, ADA, REV = TOKENS["host"], TOKENS["ada"], TOKENS["rev"]
READS = ["/messages", "/wait", "/events", "/status", "/brief", "/profile", "/card"]


# --- Tokens -----------------------------------------------------------------------------
@pytest.mark.hostile("A01")
@pytest.mark.parametrize("target", READS)
async def test_without_a_good_token_nothing_is_told(server: RawServer, target: str) -> None:
    assert (await server.ask(request("GET", target))).outcome == (401, "unauthorized")
    bodies = set()
    # Made up, of the older form, of another room.
    for token in ("agp_" + "x" * 43, "tgl_" + "y" * 43, "agp_" + "z" * 43):
        reply = await server.ask(request("GET", target, token=token))
        assert reply.outcome == (403, "forbidden")
        bodies.add(reply.body)
    assert len(bodies) == 1


@pytest.mark.hostile("A03")
@pytest.mark.parametrize(
    ("field", "status"),
    [
        ("Authorization: Basic x", 401),
        (f"Authorization: bearer {ADA}", 401),
        ("Authorization: Bearer ", 401),
        ("Authorization: Bearer \xe9", 401),
        (f"Authorization: Bearer {ADA}\r\nAuthorization: Bearer {HOST}", 400),
        (f"Authorization: Bearer {ADA}\r\nAuthorization: Bearer {ADA}", 400),
        (f"Authorization: Bearer {ADA}\r\nauthorization: x", 400),
        ("Authorization: Bearer " + "x" * 16_384, 431),
        (f"X-Authorization: Bearer {ADA}", 401),
        (f"Cookie: token={ADA}", 401),
    ],
)
async def test_a_token_comes_in_one_header_of_one_form(
    server: RawServer, field: str, status: int
) -> None:
    reply = await server.ask(request("GET", "/messages", field))
    assert reply.outcome[0] == status


@pytest.mark.hostile("A04", "A05", "A06")
async def test_a_token_in_a_url_opens_a_card_and_nothing_else(server: RawServer) -> None:
    for target in READS:
        reply = await server.ask(request("GET", f"{target}?token={ADA}"))
        if target == "/card":
            assert reply.status == 200
            assert reply.field("cache-control") == "no-store"
        else:
            assert reply.outcome == (401, "unauthorized")
    other = await server.ask(request("GET", f"/card?participant=host&token={REV}"))
    assert other.outcome == (403, "participant_mismatch")


@pytest.mark.hostile("A09")
async def test_31_guesses_in_a_minute_are_slowed_down_and_a_good_token_is_not(
    server: RawServer,
) -> None:
    connection = await server.connect()
    async with connection.stream:
        for number in range(30):
            await connection.send(request("GET", "/messages", token=f"agp_{number:043}"))
            assert (await connection.reply()).outcome == (403, "forbidden")
        await connection.send(request("GET", "/messages", token="agp_" + "x" * 43))
        refused = await connection.reply()
        assert refused.outcome == (429, "rate_limited")
        assert int(refused.field("retry-after") or 0) >= 1
        await connection.send(request("GET", "/messages", token=ADA))
        assert (await connection.reply()).status == 200


@pytest.mark.hostile("A10")
async def test_a_token_is_looked_up_in_memory_in_a_room_of_thousands(home: Home) -> None:
    seats = home.read_room("demo").participants
    seats += [
        Participant(
            alias=f"x{number}",
            token_hash=hash_token(f"agp_{number:043}"),
            removed_at="2026-01-01T00:00:00.000Z" if number % 2 else None,
        )
        for number in range(9_000)
    ]
    roster = home.room_path("demo") / "participants.json"
    roster.write_bytes(encode_roster(seats))
    async with open_table(home, in_virtual_time=False) as table:
        roster.rename(roster.with_suffix(".away"))
        for number in (0, 4_500, 8_998):
            client = AsgiClient(table.app, f"agp_{number:043}")
            assert (await client.get("/messages")).status == 200
        removed = AsgiClient(table.app, f"agp_{8_999:043}")
        assert (await removed.get("/messages")).outcome == (410, "participant_removed")
        stranger = AsgiClient(table.app, "agp_" + "x" * 43)
        for _ in range(1_000):
            assert (await stranger.get("/messages")).status in (403, 429)
        roster.with_suffix(".away").rename(roster)


@pytest.mark.hostile("A14")
async def test_another_user_of_the_machine_gets_the_page_and_nothing_else(
    server: RawServer,
) -> None:
    for route in ROUTES:
        path = route.path.replace("<alias>", "rev")
        reply = await server.ask(request("GET", path))
        if route.access is Access.ANYONE:
            assert reply.status == 200
            assert not any(token.encode() in reply.body for token in TOKENS.values())
            assert b"demo" not in reply.body
        elif path == "/healthz":
            assert reply.body == b'{"ok":true}\n'
        else:
            assert reply.status in (401, 405)
        assert reply.field("location") is None
        assert reply.field("set-cookie") is None


@pytest.mark.hostile("A12")
async def test_who_is_no_host_cannot_do_what_a_host_does(
    server: RawServer, real_table: Table
) -> None:
    for target in (
        *("/brief", "/close", "/attendance", "/loop-guard", "/participants"),
        *("/participants/bo/remove", "/participants/ada/rotate", "/participants/host/remove"),
    ):
        for body in (b"", b"{}", b'{"body":"x","policy":"manual-ok","alias":"mine"}'):
            reply = await server.ask(request("POST", target, token=ADA, body=body))
            assert reply.outcome == (403, "host_required")
    assert real_table.texts() == []
    assert not real_table.live.room.is_closed


# --- Other pages ----------------------------------------------------------------------------
@pytest.mark.hostile("O02")
@pytest.mark.parametrize("origin", ["https://evil", "null", "http://localhost:9999"])
@pytest.mark.parametrize("target", ["/wait", "/card", "/messages", "/events", "/", "/status"])
async def test_a_page_of_another_origin_reads_nothing(
    server: RawServer, origin: str, target: str
) -> None:
    reply = await server.ask(request("GET", target, f"Origin: {origin}", token=ADA))
    assert reply.outcome == (403, "bad_origin")
    assert not any(name.startswith("access-control") for name, _ in reply.fields)


@pytest.mark.hostile("O03")
@pytest.mark.parametrize(
    "fields",
    [
        ("Origin: https://evil", "Content-Type: application/x-www-form-urlencoded"),
        ("Origin: null", "Content-Type: text/plain"),
        ("Content-Type: text/plain", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"),
        ("Content-Type: application/x-www-form-urlencoded",),
        ("Content-Type: multipart/form-data; boundary=x", "Referer: https://evil/page"),
        ("Sec-Fetch-Site: cross-site",),
        ("Referer: https://evil/page",),
    ],
)
async def test_a_form_or_a_script_of_another_page_stores_nothing(
    server: RawServer, real_table: Table, fields: tuple[str, ...]
) -> None:
    data = request("POST", "/messages", *fields, token=ADA, body=b'{"text":"x"}')
    assert (await server.ask(data)).status in (403, 415)
    assert real_table.texts() == []


@pytest.mark.hostile("O04")
@pytest.mark.parametrize("target", ["/messages", "/wait?hold=0", "/status"])
async def test_the_browser_s_word_that_a_request_is_foreign_counts(
    server: RawServer, target: str
) -> None:
    reply = await server.ask(request("GET", target, "Sec-Fetch-Site: cross-site", token=ADA))
    assert reply.outcome == (403, "bad_origin")


@pytest.mark.hostile("O07")
async def test_a_preflight_of_another_page_gets_no_permission(server: RawServer) -> None:
    fields = ("Origin: https://evil", "Access-Control-Request-Method: POST",
              "Access-Control-Request-Headers: authorization")  # fmt: skip
    reply = await server.ask(request("OPTIONS", "/messages", *fields))
    assert reply.status in (403, 404, 405)
    assert not any(name.startswith("access-control") for name, _ in reply.fields)


# --- Floods -----------------------------------------------------------------------------
@pytest.mark.hostile("R01")
async def test_the_121st_post_of_a_minute_is_refused_and_not_stored(
    server: RawServer, real_table: Table
) -> None:
    connection = await server.connect()
    async with connection.stream:
        for number in range(121):
            await connection.send(post(f"{number}", ADA))
            reply = await connection.reply()
            assert reply.status == (201 if number < 120 else 429)
        assert reply.outcome == (429, "rate_limited")
        assert int(reply.field("retry-after") or 0) >= 1
    assert len(real_table.texts()) == 120


@pytest.mark.hostile("R02")
async def test_the_31st_post_by_agents_alone_is_refused_until_the_host_says_otherwise(
    server: RawServer,
) -> None:
    for number in range(31):
        reply = await server.ask(post(f"{number}", REV))
    assert reply.outcome == (429, "loop_guard")
    assert int(reply.field("retry-after") or 0) >= 1
    assert (await server.ask(request("POST", "/loop-guard", token=HOST))).status == 200
    assert (await server.ask(post("on", REV))).status == 201


@pytest.mark.hostile("R07")
async def test_200_waits_of_one_participant_are_4_and_harm_no_other(
    server: RawServer, real_table: Table
) -> None:
    other = await server.connect()
    await other.send(request("GET", "/wait", token=ADA))
    await eventually(lambda: len(real_table.live.hub) == 1)
    connections = [await server.connect() for _ in range(200)]
    for connection in connections:
        await connection.send(request("GET", "/wait", token=REV))
    refused = 0
    held = []
    for connection in connections:
        with trio.move_on_after(0.02) as scope:
            assert (await connection.reply()).outcome == (429, "wait_limit")
            refused += 1
        if scope.cancelled_caught:
            held.append(connection)
    assert (refused, len(held)) == (196, 4)
    await server.ask(post("hi", HOST))
    for connection in (other, *held):
        assert (await connection.reply()).json()["messages"][0]["text"] == "hi"
    for connection in (other, *connections):
        await connection.stream.aclose()


# --- Names ------------------------------------------------------------------------------
@pytest.mark.hostile("U01")
@pytest.mark.parametrize(
    "alias",
    [
        *("Operator", "оperator", "ｏperator", "operator\u200b", "operator ", "operator\n"),
        *("a" * 65, "-x", "--json", "..", "a/b", "a\\b", "%2e%2e", "a\x00", ""),
    ],
)
async def test_an_alias_that_deceives_makes_no_seat(
    server: RawServer, real_table: Table, alias: str
) -> None:
    body = json.dumps({"alias": alias}).encode()
    reply = await server.ask(request("POST", "/participants", token=HOST, body=body))
    assert reply.outcome == (400, "invalid_alias")
    assert {seat.alias for seat in real_table.live.room.roster} == set(TOKENS)


@pytest.mark.hostile("U02", "U03")
@pytest.mark.parametrize(
    "name", ["bо", "b\u200bo", "\u202eob", "bo\u0301", "ｂｏ", "BO", "b o", "𝐛𝐨", "system", "Host"]
)
async def test_a_display_name_that_deceives_is_refused(server: RawServer, name: str) -> None:
    body = json.dumps({"display_name": name}).encode()
    reply = await server.ask(request("POST", "/profile", token=REV, body=body))
    assert reply.outcome in (
        (409, "display_name_taken"),
        (400, "invalid_display_name"),
        (400, "reserved_name"),
    )


@pytest.mark.hostile("U04")
async def test_a_mention_wakes_only_whom_it_names_exactly(
    server: RawServer, real_table: Table
) -> None:
    texts = ["@" * 24_000, "a@rev", "@rеv", "`@rev`", "```\n@rev\n```", "@revs", "@REV", "@rev-"]
    connection = await server.connect()
    async with connection.stream:
        await connection.send(request("GET", "/wait?for=me", token=REV))
        await eventually(lambda: len(real_table.live.hub) == 1)
        for text in texts:
            assert (await server.ask(post(text, ADA))).json()["message"]["mentions"] == []
        assert len(real_table.live.hub) == 1
        assert (await server.ask(post("@rev.", ADA))).json()["message"]["mentions"] == ["rev"]
        assert (await connection.reply()).json()["mentioned"] is True


@pytest.mark.hostile("U05")
@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\U000e0041\U000e0042", "\ufe01", "\u200b" * 50, "\U000e0101"]
)
async def test_what_a_reader_cannot_see_is_stored_and_marked(
    server: RawServer, hidden: str
) -> None:
    message = (await server.ask(post(f"see {hidden}nothing", ADA))).json()["message"]
    assert message["text"] == f"see {hidden}nothing"
    assert message["hidden_chars"] is True
