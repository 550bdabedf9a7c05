"""What a room and a broker refuse alike, in the exact bytes, over real sockets."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import trio

from agentgather.link.stream import Stream
from agentgather.server.routes import ROUTES
from agentgather.wire.link import Request
from tests.doubles.broker_server import open_server
from tests.doubles.broker_stage import read_request, response
from tests.doubles.raw_http import Connection, RawServer, request
from tests.doubles.table import TOKENS, Table

ADA: Final = TOKENS["ada"]
BODY: Final = b'{"text":"smuggled"}'
JSON: Final = "Content-Type: application/json"


class Surface(NamedTuple):
    """A room, or a room's place at a broker. ``taken`` gives what got past the checks."""

    name: str
    server: RawServer
    base: str
    taken: Callable[[], list[str]]

    def make(self, data: bytes) -> bytes:
        return data.replace(b"{base}", self.base.encode())


@pytest.fixture(params=["room", "broker"])
def surface(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def here(
    surface: str, server: RawServer, real_table: Table, tmp_path: Path
) -> AsyncIterator[Surface]:
    """One of the two, after the other. What it took is looked at when the test is over."""
    if surface == "room":
        yield Surface("room", server, "", real_table.texts)
        return
    heard: list[str] = []

    async def note(stream: Stream) -> None:
        assert isinstance(stream.head, Request)
        heard.append(stream.head.path.decode())
        await read_request(stream)
        await stream.send_head(response(stream, b'{"ok":true}\n'))

    async with open_server(tmp_path / "broker") as broker:
        await broker.host(note)
        yield Surface("broker", broker, "/demo", lambda: heard)
        assert (await broker.ask(request("GET", "/healthz"))).status == 200
        assert {status for status in broker.statuses if status >= 500} <= {501, 505}


async def closes(connection: Connection) -> bool:
    """Say whether the server ends the connection once it has been told that no more comes."""
    await connection.stream.send_eof()
    return await connection.is_closed()


def get(target: str = "{base}/messages", *fields: str, version: str = "HTTP/1.1") -> bytes:
    lines = [f"GET {target} {version}", "Host: localhost", f"Authorization: Bearer {ADA}", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def post(*fields: str, body: bytes = BODY) -> bytes:
    """Make a post whose length, if it has one, is among the fields."""
    return request("POST", "{base}/messages", JSON, *fields, token=ADA) + body


def raw(method_and_target: str) -> bytes:
    return f"{method_and_target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


CHUNKED: Final = "Transfer-Encoding: chunked"
H2C: Final = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")
TLS_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)
LENGTHS: Final = {
    "two that differ": ("Content-Length: 19", "Content-Length: 4"),
    "two that agree": ("Content-Length: 19", "Content-Length: 19"),
    "less than none": ("Content-Length: -1",),
    "a sign": ("Content-Length: +19",),
    "hexadecimal": ("Content-Length: 0x13",),
    "a list": ("Content-Length: 19, 19",),
    "an underscore": ("Content-Length: 1_9",),
    "nothing": ("Content-Length:",),
    "23 digits": ("Content-Length: 12345678901234567890123",),
}
CODINGS: Final = ("gzip, chunked", "chunked, identity", "xchunked", "identity")
READINGS: Final = {
    "a bare line feed behind the line": get().replace(b"\r\n", b"\n", 1),
    "bare line feeds": get().replace(b"\r\n", b"\n"),
    "a bare line feed behind a field": get("{base}/messages", "X: y\nContent-Length: 19"),
    "a fold": get("{base}/messages", "X: a\r\n b"),
    "a fold by a tab": get("{base}/messages", "X: a\r\n\tb"),
    "a space before a colon": get("{base}/messages", "X : y"),
    "a zero byte": get("{base}/messages", "X: a\0b"),
    "a carriage return": get("{base}/messages", "X: a\rb"),
    "DEL": get("{base}/messages", "X: a\x7fb"),
}
REFUSED: Final = {
    "H03 no path": (raw("GET ?x"), 400, "bad_request_target"),
    "H04 a host in the target": (
        raw("GET http://evil.example{base}/messages"),
        400,
        "bad_request_target",
    ),
    "H04 a star": (raw("GET *"), 400, "bad_request_target"),
    "H04 an authority": (raw("GET x:1"), 400, "bad_request_target"),
    "H05 OPTIONS *": (raw("OPTIONS *"), 405, "method_not_allowed"),
    "H05 CONNECT": (raw("CONNECT x:1"), 405, "method_not_allowed"),
    "H05 TRACE": (raw("TRACE /"), 405, "method_not_allowed"),
    "H05 FOO": (raw("FOO /"), 405, "method_not_allowed"),
    "H05 in small letters": (raw("post {base}/messages"), 405, "method_not_allowed"),
    "H06 a length and a coding": (post("Content-Length: 3", CHUNKED), 400, "bad_request"),
    "H06 a coding and a length": (post(CHUNKED, "Content-Length: 3"), 400, "bad_request"),
    **{
        f"H07 {one}": (post(f"Transfer-Encoding: {one}"), 501, "not_implemented") for one in CODINGS
    },
    **{f"H08 {name}": (post(*fields), 400, "bad_request") for name, fields in LENGTHS.items()},
    "H09 another end of a chunk": (post(CHUNKED, body=b"3\r\nabcXX0\r\n\r\n"), 400, "bad_request"),
    "H09 a bare line feed in an extension": (
        post(CHUNKED, body=b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
        400,
        "bad_request",
    ),
    **{f"H10 {name}": (data, 400, "bad_request") for name, data in READINGS.items()},
    "H11 a line of 9 KiB": (get("{base}/", f"X: {'a' * 9216}"), 431, "headers_too_large"),
    "H11 60 KiB in one packet": (
        get("{base}/", *[f"X: {'a' * 1020}"] * 60),
        431,
        "headers_too_large",
    ),
    "H11 3,000 headers": (get("{base}/", *["A: b"] * 3000), 431, "headers_too_large"),
    "H11 200 KiB": (get("{base}/", *[f"X: {'a' * 7990}"] * 26), 431, "headers_too_large"),
    "H12 17 KiB": (get("{base}/" + "a" * 17 * 1024), 414, "target_too_long"),
    "H12 over 4 KiB": (get("/" + "a" * 4096), 414, "target_too_long"),
    "H13 HTTP/3.0": (get(version="HTTP/3.0"), 505, "http_version_not_supported"),
    "H13 HTTP/2.0": (get(version="HTTP/2.0"), 505, "http_version_not_supported"),
    "H13 HTTP/0.9": (b"GET {base}/messages\r\n\r\n", 400, "bad_request"),
    "H13 HTTP/1.0 without a host": (
        b"GET {base}/messages HTTP/1.0\r\n\r\n",
        403,
        "insecure_remote",
    ),
    "H14 the preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"),
    "H14 h2c": (get("{base}/messages", *H2C), 400, "bad_request"),
    "H16 a length that is too much": (
        post("Expect: 100-continue", "Content-Length: 70000", body=b""),
        413,
        "body_too_large",
    ),
    "H19 a GET with a body": (
        get("{base}/wait", "Content-Length: 10") + b"0123456789",
        400,
        "unexpected_body",
    ),
    "H28 a TLS hello": (TLS_HELLO, 400, "bad_request"),
    "H28 an SSH banner": (b"SSH-2.0-OpenSSH_9.6\r\n", 400, "bad_request"),
    "H28 noise": (bytes((n * 7919) % 256 for n in range(65_536)), 400, "bad_request"),
}
AT_A_BROKER: Final = {
    # Its first question is which room is meant.
    "H05 OPTIONS *": (404, "route_not_found"),
    "H05 CONNECT": (404, "route_not_found"),
    # The code that older hosts' participants know.
    "H16 a length that is too much": (413, "request_too_large"),
}
KEPT: Final = ("H05",)
"""Where the request could be read to its end, the connection may go on."""


@pytest.mark.hostile("H03", "H04", "H05", "H06", "H07", "H08", "H09", "H10", "H11", "H12", "H13")
@pytest.mark.hostile("H14", "H16", "H18", "H19", "H28")
@pytest.mark.parametrize("what", REFUSED)
async def test_it_is_refused_in_the_one_shape_and_nothing_of_it_is_taken(
    here: Surface, what: str
) -> None:
    data, *outcome = REFUSED[what]
    if here.name == "broker":
        outcome = list(AT_A_BROKER.get(what, outcome))
    connection = await here.server.connect()
    async with connection.stream:
        await connection.send(here.make(data))
        reply = await connection.reply()
        assert reply.outcome == tuple(outcome)
        assert b"evil" not in reply.body
        assert (reply.field("allow") is not None) == (reply.status == 405)
        for name in ("content-security-policy", "x-content-type-options", "referrer-policy"):
            assert reply.field(name) is not None
        assert reply.field("cache-control") == "no-store"
        assert reply.field("server") is None
        if not what.startswith(KEPT):
            assert reply.field("connection") == "close"
            assert await closes(connection)
    assert here.taken() == []


@pytest.mark.hostile("H06", "H08", "H19")
@pytest.mark.parametrize(
    "first",
    [
        post("Content-Length: 3", CHUNKED, body=b""),
        post("Content-Length: 19", "Content-Length: 0", body=b""),
        get("{base}/wait", "Content-Length: 4"),
        get("{base}/messages", CHUNKED),
    ],
    ids=["a length and a coding", "two lengths", "a GET", "a GET in chunks"],
)
async def test_what_follows_a_refused_body_is_no_request(here: Surface, first: bytes) -> None:
    second = request("POST", "{base}/messages", token=ADA, body=BODY)
    connection = await here.server.connect()
    async with connection.stream:
        await connection.send(here.make(first + b"0\r\n\r\n" + second))
        assert (await connection.reply()).status == 400
        assert await closes(connection)
    assert here.taken() == []


@pytest.mark.hostile("H09")
async def test_64_000_chunks_of_one_byte_are_a_body(here: Surface) -> None:
    body = b'{"text":"small"}'.ljust(64_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    reply = await here.server.ask(here.make(post(CHUNKED, body=chunks)))
    assert reply.status == (201 if here.name == "room" else 200)
    assert len(here.taken()) == 1


@pytest.mark.hostile("H17")
async def test_head_of_every_path_is_a_head_and_at_once(here: Surface) -> None:
    """Through a broker it is the host that leaves the body out, and the broker too."""
    paths = [route.path for route in ROUTES if route.method == "GET"]
    if here.name == "broker":
        paths = [path for path in paths if path != "/healthz"]
    token = TOKENS["host"]
    for path in paths:
        connection = await here.server.connect()
        async with connection.stream:
            with trio.fail_after(5):
                await connection.send(request("HEAD", here.base + path, token=token))
                reply = await connection.reply(is_head=True)
                assert reply.status == 200, path
                if path in ("/events", "/export"):
                    # Of a stream no length is known, so none is told: RFC 9110, 8.6.
                    assert reply.field("content-length") is None, path
                await connection.send(request("GET", f"{here.base}/nothing", token=token))
                # What comes next is the next answer, so no body came.
                assert (await connection.reply()).status in (200, 404)


@pytest.mark.hostile("H20")
async def test_nothing_is_compressed(here: Surface) -> None:
    for path in ("/card", "/messages", "/status", "/"):
        data = get(f"{here.base}{path}", "Accept-Encoding: gzip, br, zstd, deflate")
        reply = await here.server.ask(data)
        assert reply.status == 200
        assert reply.field("content-encoding") is None
        assert reply.field("transfer-encoding") is None


@pytest.mark.hostile("A03")
@pytest.mark.parametrize(
    ("field", "statuses"),
    [
        (f"Authorization: Bearer {ADA}\r\nAuthorization: Bearer {ADA}", (400, 400)),
        ("Authorization: Bearer " + "x" * 16_384, (431, 431)),
        # The broker leaves it to the host, which here answers whatever comes.
        ("Authorization: Bearer \xe9", (401, 200)),
    ],
)
async def test_a_token_that_is_none(here: Surface, field: str, statuses: tuple[int, int]) -> None:
    reply = await here.server.ask(request("GET", f"{here.base}/messages", field))
    assert reply.status == statuses[here.name == "broker"]


@pytest.mark.hostile("H23")
async def test_a_refusal_can_be_read_though_five_bytes_never_come(here: Surface) -> None:
    for fields, status in (
        (("Content-Length: 5", "Host: evil.example"), 400),
        (("Content-Length: 70000",), 413),
        (("Content-Length: 5", "Origin: https://evil"), 403),
    ):
        connection = await here.server.connect()
        async with connection.stream:
            await connection.send(here.make(post(*fields, body=b"")))
            reply = await connection.reply()
            assert reply.status == status
            assert reply.field("connection") == "close"
            assert await connection.is_closed()
    assert here.taken() == []
