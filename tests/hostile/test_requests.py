"""Requests that no well-meaning client sends."""

import json
from contextlib import suppress

import pytest
import trio

from agentgather.page.files import ASSETS
from tests.doubles.raw_http import RawServer, eventually, post, request
from tests.doubles.table import TOKENS, Table

ADA = TOKENS["ada"]
ASSET = f"/assets/{next(iter(ASSETS))}"


async def still_lives(server: RawServer) -> None:
    assert (await server.ask(request("GET", "/messages", token=ADA))).status == 200


@pytest.mark.hostile("H01")
@pytest.mark.parametrize("target", ["//", "///", "//x//", "/\\", "//evil.example/messages"])
async def test_a_doubled_slash_is_not_found_and_ends_nothing(
    server: RawServer, target: str
) -> None:
    for host in ("127.0.0.1", f"127.0.0.1:{server.port}", "localhost"):
        assert (await server.ask(request("GET", target, host=host))).outcome == (404, "not_found")
    await still_lives(server)


@pytest.mark.hostile("H15")
@pytest.mark.parametrize(
    ("host", "outcome"),
    [
        ("", (403, "insecure_remote")),
        ("localhost:x@evil", (403, "insecure_remote")),
        ("localhost.", (403, "insecure_remote")),
        ("127.0.0.1:99999", (403, "insecure_remote")),
        ("evil.example:8787", (403, "insecure_remote")),
        ("LOCALHOST:8787", (200, "ok")),
        ("[::1]:8787", (200, "ok")),
        ("LocalHost", (200, "ok")),
    ],
)
async def test_a_host_is_one_of_the_room_s_own_or_refused(
    server: RawServer, host: str, outcome: tuple[int, str]
) -> None:
    reply = await server.ask(request("GET", "/messages", token=ADA, host=host))
    if host == "":
        assert reply.status in (400, 403)
    else:
        assert reply.outcome == outcome


@pytest.mark.hostile("H13", "H15")
async def test_two_hosts_are_refused_and_so_is_none(server: RawServer) -> None:
    twice = request("GET", "/messages", "Host: 127.0.0.1", token=ADA)
    assert (await server.ask(twice)).status == 400
    none = f"GET /messages HTTP/1.1\r\nAuthorization: Bearer {ADA}\r\n\r\n".encode()
    assert (await server.ask(none)).status in (400, 403)
    old = f"GET /messages HTTP/1.0\r\nAuthorization: Bearer {ADA}\r\n\r\n".encode()
    assert (await server.ask(old)).outcome == (403, "insecure_remote")


@pytest.mark.hostile("O01")
@pytest.mark.parametrize("target", ["/", ASSET, "/messages", "/events", "/nothing"])
async def test_a_rebound_name_gets_nothing_at_all(server: RawServer, target: str) -> None:
    reply = await server.ask(request("GET", target, token=ADA, host="evil.example:8787"))
    assert reply.outcome == (403, "insecure_remote")


@pytest.mark.hostile("H16")
async def test_a_body_that_is_too_long_is_refused_before_it_is_sent(server: RawServer) -> None:
    head = request("POST", "/messages", "Expect: 100-continue", "Content-Length: 70000",
                   "Content-Type: application/json", token=ADA)  # fmt: skip
    connection = await server.connect()
    async with connection.stream:
        await connection.send(head)
        # The first answer is the last: no 100 comes before it.
        assert (await connection.reply()).outcome == (413, "body_too_large")
        assert await connection.is_closed()


@pytest.mark.hostile("H17")
@pytest.mark.parametrize(
    "target", ["/", "/wait", "/events", "/messages", "/card", "/status", "/brief"]
)
async def test_head_is_answered_at_once_and_without_a_body(server: RawServer, target: str) -> None:
    connection = await server.connect()
    async with connection.stream:
        with trio.fail_after(5):
            await connection.send(request("HEAD", target, token=ADA))
            assert (await connection.reply(is_head=True)).status == 200
            # What follows is the next answer, so no body came.
            await connection.send(request("GET", "/healthz"))
            assert (await connection.reply()).body == b'{"ok":true}\n'


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REFUSED = [
    (request("GET", "/nothing"), 404),
    (request("DELETE", "/messages"), 405),
    (request("OPTIONS", "*"), 405),
    (request("FOO", "/"), 405),
    (request("GET", "/messages"), 401),
    (request("GET", "/messages", token="agp_" + "x" * 43), 403),
    (request("POST", "/messages", token=ADA, body=b"{}"), 400),
    (request("POST", "/messages", "Content-Type: text/plain", token=ADA, body=b"{}"), 415),
    (request("POST", "/messages", token=ADA, body=b" " * 65_537), 413),
    (request("POST", "/messages", token=ADA, body=b'{"text":"' + b"x" * 24_001 + b'"}'), 413),
    (request("GET", "/" + "x" * 5_000), 414),
    (request("GET", "/", "X: " + "x" * 9_000), 431),
    (request("GET", "/", *[f"X{n}: 1" for n in range(200)]), 431),
    (request("GET", "/", host="evil.example"), 403),
    (request("GET", "/", "Origin: null"), 403),
    (b"GET ?x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://evil.example/messages HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
    (b"nonsense\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), 400),
]


@pytest.mark.hostile("H18", "X03")
@pytest.mark.parametrize(("data", "status"), REFUSED)
async def test_every_refusal_has_the_one_shape_and_every_security_header(
    server: RawServer, data: bytes, status: int
) -> None:
    reply = await server.ask(data)
    assert reply.status == status
    assert reply.outcome[0] == status
    assert reply.field("content-security-policy") == POLICY
    assert reply.field("x-content-type-options") == "nosniff"
    assert reply.field("referrer-policy") == "no-referrer"
    assert reply.field("cross-origin-opener-policy") == "same-origin"
    assert reply.field("cross-origin-resource-policy") == "same-origin"
    assert reply.field("cache-control") == "no-store"
    assert reply.field("server") is None
    assert (reply.field("allow") is not None) == (status == 405)
    assert (reply.field("www-authenticate") is not None) == (status == 401)
    await still_lives(server)


@pytest.mark.hostile("H19")
async def test_a_body_of_a_get_is_never_read_as_the_next_request(server: RawServer) -> None:
    smuggled = request("POST", "/messages", token=ADA, body=b'{"text":"smuggled"}')
    for target in ("/wait?hold=0", "/messages", "/", "/healthz"):
        data = request("GET", target, f"Content-Length: {len(smuggled)}", token=ADA) + smuggled
        connection = await server.connect()
        async with connection.stream:
            await connection.send(data)
            await connection.reply()
            await connection.send(request("GET", "/messages", token=ADA))
            # Either the next request was read right, or the connection is over.
            with suppress(AssertionError, trio.BrokenResourceError):
                assert (await connection.reply()).status == 200
    messages = (await server.ask(request("GET", "/messages", token=ADA))).json()["messages"]
    assert messages == []


@pytest.mark.hostile("H20")
async def test_nothing_is_compressed_beside_a_secret(server: RawServer) -> None:
    await server.ask(post("x" * 5000, ADA))
    for target in ("/card", "/messages", "/", "/status", ASSET):
        ask = request("GET", target, "Accept-Encoding: gzip, br, deflate, zstd", token=ADA)
        reply = await server.ask(ask)
        assert reply.status == 200
        assert reply.field("content-encoding") is None
        assert reply.field("transfer-encoding") is None


@pytest.mark.hostile("F02")
@pytest.mark.parametrize(
    "target",
    [
        *("/a%2f..%2f..%2fetc/passwd", "/..%5c", "/%00", "/static/../participants.json"),
        *("/room.js%00.html", "/../../etc/passwd", "/assets/../../wire/limits.py", "/%2e%2e/x"),
        *("/assets/%2e%2e/index.html", "/..", f"{ASSET}/", ASSET.replace("/assets/", "/assets//")),
    ],
)
async def test_no_path_leads_to_a_file(server: RawServer, target: str) -> None:
    reply = await server.ask(request("GET", target, token=ADA))
    assert reply.outcome == (404, "not_found")


async def test_a_request_in_pieces_of_one_byte_is_read_as_one(server: RawServer) -> None:
    connection = await server.connect()
    async with connection.stream:
        for byte in post("in pieces é😀", ADA):
            await connection.send(bytes([byte]))
        assert (await connection.reply()).json()["message"]["text"] == "in pieces é😀"


@pytest.mark.hostile("H30")
async def test_many_requests_on_one_connection_are_answered_in_order(server: RawServer) -> None:
    connection = await server.connect()
    async with connection.stream:
        for number in range(1, 31):
            await connection.send(post(f"{number}", ADA))
            assert (await connection.reply()).json()["message"]["id"] == number


@pytest.mark.hostile("H29")
async def test_a_client_that_hangs_up_in_the_middle_harms_nobody(
    server: RawServer, real_table: Table
) -> None:
    whole = post("never whole", ADA)
    for cut in (1, 20, len(whole) - 30, len(whole) - 1):
        connection = await server.connect()
        await connection.send(whole[:cut])
        await trio.aclose_forcefully(connection.stream)
    for data in (request("GET", "/wait", token=ADA), request("GET", "/events", token=ADA)):
        connection = await server.connect()
        await connection.send(data)
        await eventually(lambda: len(real_table.live.hub) == 1)
        await connection.stream.aclose()
        await eventually(lambda: len(real_table.live.hub) == 0)
    await still_lives(server)
    assert real_table.texts() == []


async def test_a_wait_over_a_socket_is_answered_the_moment_news_come(server: RawServer) -> None:
    connection = await server.connect()
    async with connection.stream:
        await connection.send(request("GET", "/wait?since_id=0", token=TOKENS["rev"]))
        await server.ask(post("@rev hi", ADA))
        with trio.fail_after(5):
            document = (await connection.reply()).json()
    assert [message["text"] for message in document["messages"]] == ["@rev hi"]
    assert json.dumps(document).count("AG_TOKEN") == 1


@pytest.mark.hostile("J17", "O05", "W08")
@pytest.mark.parametrize("target", ["/", "/events", "/wait", "/messages", "/nothing", "/ws"])
@pytest.mark.parametrize("token", [None, ADA])
async def test_a_websocket_is_never_opened(
    server: RawServer, target: str, token: str | None
) -> None:
    upgrade = request(
        "GET", target, "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", token=token,
    )  # fmt: skip
    assert 400 <= (await server.ask(upgrade)).status < 500
    await still_lives(server)


@pytest.mark.hostile("H14", "H28")
@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        request("GET", "/messages", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk", token=ADA),
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        bytes(range(256)) * 256,
    ],
)
async def test_another_protocol_is_told_off_and_harms_nobody(
    server: RawServer, data: bytes
) -> None:
    connection = await server.connect()
    async with connection.stream:
        with suppress(trio.BrokenResourceError):
            await connection.send(data)
        reply = None
        # What is too far from HTTP is only cut off.
        with suppress(trio.BrokenResourceError, AssertionError):
            reply = await connection.reply()
        assert reply is None or 400 <= reply.status <= 505
    await still_lives(server)


@pytest.mark.hostile("H06", "H07", "H08", "H10")
async def test_two_readings_of_one_request_are_none(server: RawServer) -> None:
    body = b'{"text":"smuggled"}'
    json_type = "Content-Type: application/json"
    for fields in (
        ("Content-Length: 19", "Transfer-Encoding: chunked"),
        ("Content-Length: 19", "Content-Length: 20"),
        ("Content-Length: 19", "Content-Length: 19"),
        ("Content-Length: +19",),
        ("Content-Length: 19, 19",),
        ("Content-Length: 0x13",),
        ("Content-Length: -1",),
        ("Content-Length : 19",),
        ("Transfer-Encoding: gzip, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("X: a\r\n b", "Content-Length: 19"),
        ("X: a\nContent-Length: 19",),
    ):
        data = request("POST", "/messages", json_type, *fields, token=ADA) + body
        connection = await server.connect()
        async with connection.stream:
            await connection.send(data)
            assert (await connection.reply()).status in (400, 411, 501)
            assert await connection.is_closed()
    messages = (await server.ask(request("GET", "/messages", token=ADA))).json()["messages"]
    assert messages == []
