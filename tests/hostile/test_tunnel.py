"""Hosts and participants that lie, over real sockets: what they get, and who is not hurt."""

import json
import os
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.broker.quota import Quotas
from agentgather.domain.tokens import hash_token, mint_token
from agentgather.edge.clients import parse_networks
from agentgather.link.stream import Stream
from agentgather.storage.home import Home
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Connecting, Lost, Opened, TunnelEvent, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder
from agentgather.wire.limits import (
    BAD_TOKENS_PER_WINDOW,
    MAX_FRAME_BYTES,
    VAIN_HANDSHAKES_PER_WINDOW,
)
from agentgather.wire.link import (
    NONCE_BYTES,
    Challenge,
    Data,
    FromHost,
    Ping,
    Request,
    Reset,
    Response,
    Window,
    encode_frame,
)
from agentgather.wire.records import Participant, RoomState, Tokens
from tests.doubles.broker_server import BrokerServer, open_server
from tests.doubles.broker_stage import JSON_FIELDS, OTHER_SECRET, SECRET, echo, response
from tests.doubles.raw_http import descriptors, request
from tests.doubles.raw_link import FIELDS, RawLink, handshake
from tests.doubles.tunnelled_room import open_tunnelled_room
from tests.edge.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

MIB = 1024 * 1024


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[BrokerServer]:
    """A broker with the host of ``other``, whom nobody may hurt."""
    async with open_server(tmp_path, trusted_proxies=parse_networks(["loopback"])) as opened:
        await opened.host(echo, "other", secret=OTHER_SECRET)
        yield opened
        assert (await opened.ask(request("GET", "/other/status"))).status == 200


@asynccontextmanager
async def open_link(
    server: BrokerServer, *fields: str, slug: str | None = "demo"
) -> AsyncIterator[RawLink]:
    """Have a raw link; with ``slug`` None it has not registered."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        link = RawLink(stream)
        await link.upgrade(server.port, *fields)
        if slug is not None:
            await link.register(slug)
        yield link


async def exchange(server: BrokerServer, data: bytes) -> bytes:
    """Send bytes, and give all that comes back until the connection ends."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        link = RawLink(stream)
        await link.send(data)
        return await link.rest()


# --- W: WebSocket frames --------------------------------------------------------------------
@pytest.mark.hostile("W03")
async def test_nothing_is_deflated(server: BrokerServer) -> None:
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(200 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    assert len(data) > 200_000
    async with open_link(server, "Sec-WebSocket-Extensions: permessage-deflate") as link:
        assert b"xtensions" not in link.head
        await link.send(frame(BINARY, data[:-4], rsv=4))
        assert await link.close_code() == 1002


BROKEN = {
    "not masked": (frame(BINARY, b"a", masked=False), 1002),
    "a reserved bit": (frame(BINARY, b"a", rsv=2), 1002),
    "opcode 3": (frame(3, b"a"), 1002),
    "a ping in parts": (frame(PING, b"a", fin=False), 1002),
    "a ping of 126 bytes": (frame(PING, b"a" * 126), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
    "a message in a message": (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    "a close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "a close with 1005": (frame(CLOSE, b"\x03\xed"), 1002),
    "a close with 1006": (frame(CLOSE, b"\x03\xee"), 1002),
    "a text that is none": (frame(TEXT, b"\xc3\x28"), 1007),
    "a length of 2^63": (frame(BINARY, length=1 << 63), 1002),
    "64 KiB and one byte": (frame(BINARY, bytes(MAX_FRAME_BYTES + 1)), 1009),
    "too much in parts": (
        frame(BINARY, bytes(MAX_FRAME_BYTES), fin=False) + frame(CONTINUATION, b"x"),
        1009,
    ),
    # Of the link, no more of the WebSocket.
    "an empty text": (frame(TEXT), 4400),
    "an empty message": (frame(BINARY), 4400),
    "a text": (frame(TEXT, b"{}"), 4400),
    "garbage": (frame(BINARY, b"\xc1"), 4400),
    "a length of 4 GiB inside": (frame(BINARY, b"\x82\xa1t\xa4data\xc6\xff\xff\xff\xff"), 4400),
    "nesting without end": (frame(BINARY, b"\x91" * 60_000), 4400),
}


@pytest.mark.hostile("W04", "W05", "T08")
@pytest.mark.parametrize("slug", ["demo", None], ids=["registered", "not yet"])
@pytest.mark.parametrize("what", BROKEN)
async def test_a_frame_that_is_none_ends_the_link_at_once(
    server: BrokerServer, what: str, slug: str | None
) -> None:
    data, code = BROKEN[what]
    async with open_link(server, slug=slug) as link:
        started = trio.current_time()
        await link.send(data)
        assert await link.close_code() == code
        assert trio.current_time() - started < 5
        assert not server.channels[0].stream_count


@pytest.mark.hostile("W04", "T08")
async def test_a_length_of_2_to_the_62_reserves_nothing(server: BrokerServer) -> None:
    async with open_link(server) as link:
        before = resident_bytes()
        await link.send(frame(BINARY, length=1 << 62))
        await link.send(bytes(MIB))
        assert await link.close_code() in (1009, 0)
        assert resident_bytes() - before < 16 * MIB


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


FLOODS = {
    "pings": frame(PING) * 1000,
    "pongs": frame(PONG) * 1000,
    "fragments": frame(CONTINUATION, b"x", fin=False) * 1000,
    "pings of the link": frame(BINARY, b"\x82\xa1t\xa4ping\xa2id\x01") * 1000,
    "windows": frame(BINARY, encode_frame(Window(stream=1, credit=1))) * 1000,
}


@pytest.mark.hostile("W06", "T08")
@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_ends_its_link_and_others_are_served_meanwhile(
    server: BrokerServer, what: str
) -> None:
    async with open_link(server) as link, trio.open_nursery() as nursery:
        going = await server.connect()
        await going.send(request("GET", "/demo/status"))
        assert isinstance(await link.hear(), Request)
        codes: list[int] = []

        async def flood() -> None:
            if what == "fragments":
                await link.send(frame(BINARY, b"x", fin=False))
            while not codes:
                await link.send(FLOODS[what])

        async def read() -> None:
            codes.append(await link.close_code())

        async def be_served() -> None:
            while not codes:
                started = trio.current_time()
                assert (await server.ask(request("GET", "/other/status"))).status == 200
                slowest.append(trio.current_time() - started)

        slowest: list[float] = []
        nursery.start_soon(flood)
        nursery.start_soon(be_served)
        started = trio.current_time()
        await read()
        # All in one process, the flood too; a peer of its own is cut off sooner.
        assert trio.current_time() - started < 20
        assert codes[0] in (1008, 4429, 0)
        assert max(slowest, default=0) < 5
        assert (await going.reply()).outcome == (504, "host_unavailable")
        await going.stream.aclose()


async def no_answer(_scope: Any, _receive: Any, _send: Any) -> None:
    """Stand in for a room that nobody asks."""


@pytest.mark.hostile("W06")
@pytest.mark.parametrize("what", ["pings", "pings of the link"])
async def test_who_flooded_is_turned_away_and_later_let_in(
    server: BrokerServer, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentgather.broker.registration_quota.FAULT_PAUSE_SECONDS", 0.9)
    async with open_link(server) as link:
        await link.send(FLOODS[what] * 3)
        assert await link.close_code() in (1008, 4429, 0)
    events: list[TunnelEvent] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            partial(
                run_tunnel,
                TunnelPlan(server.url, "demo", SECRET),
                AsgiResponder(no_answer),
                stop=trio.Event(),
                on_event=events.append,
                entropy=os.urandom,
            )
        )
        await server.until(lambda: any(isinstance(one, Opened) for one in events))
        nursery.cancel_scope.cancel()
    assert [type(one) for one in events] == [Connecting, Lost, Connecting, Opened]
    lost = events[1]
    assert isinstance(lost, Lost)
    assert "for a fault of yours" in lost.reason
    assert lost.retry_seconds >= 1


BAD_HANDSHAKES: dict[str, tuple[str, ...]] = {
    "version 8": (*FIELDS[:3], "Sec-WebSocket-Version: 8", FIELDS[4]),
    "no version": (*FIELDS[:3], FIELDS[4]),
    "no key": (*FIELDS[:2], *FIELDS[3:]),
    "two keys": (*FIELDS, FIELDS[2]),
    "a short key": (*FIELDS[:2], "Sec-WebSocket-Key: abc", *FIELDS[3:]),
    "no upgrade in connection": (FIELDS[0], "Connection: close", *FIELDS[2:]),
    "a protocol that is no ASCII": (*FIELDS[:4], "Sec-WebSocket-Protocol: agentgather-link.1\xe9"),
    "another protocol": (*FIELDS[:4], "Sec-WebSocket-Protocol: agentgather-link.2"),
    "a body": (*FIELDS, "Content-Length: 5"),
}


@pytest.mark.hostile("W08")
@pytest.mark.parametrize("what", BAD_HANDSHAKES)
async def test_what_is_no_handshake_is_answered(server: BrokerServer, what: str) -> None:
    answer = await exchange(server, handshake(server.port, *BAD_HANDSHAKES[what]))
    assert answer.split(b" ")[1] in (b"400", b"426")
    assert b'{"ok":false,"error":"' in answer


@pytest.mark.hostile("W08")
async def test_extensions_are_not_even_read(server: BrokerServer) -> None:
    odd = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=abc"
    async with open_link(server, odd, slug="odd") as link:
        assert b"xtensions" not in link.head
    many = [f"Sec-WebSocket-Extensions: x-{number}" for number in range(3000)]
    answer = await exchange(server, handshake(server.port, *FIELDS, *many))
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.hostile("W08")
async def test_bytes_behind_a_handshake_are_none_of_it(server: BrokerServer) -> None:
    early = handshake(server.port) + frame(BINARY, b"early")
    assert (await exchange(server, early)).startswith(b"HTTP/1.1 400 ")


# --- T: frames of the link, as bytes --------------------------------------------------------
async def ask(server: BrokerServer, target: str = "/demo/status") -> tuple[int, str]:
    return (await server.ask(request("GET", target))).outcome


async def answered(
    server: BrokerServer, link: RawLink, answer: Callable[[int], list[FromHost] | bytes]
) -> bytes:
    """Make a request, have the host answer it so, and give all that the participant got."""
    connection = await server.connect()
    async with connection.stream:
        await connection.send(request("GET", "/demo/status", "Connection: close"))
        while not isinstance(asked := await link.hear(), Request):
            assert isinstance(asked, Ping | Reset)  # of the one before
        said = answer(asked.stream)
        await (link.send(said) if isinstance(said, bytes) else link.say(*said))
        data = b""
        with trio.fail_after(20):
            try:
                while more := await connection.stream.receive_some():
                    data += more
            except trio.BrokenResourceError:
                data += b"<reset>"
        return data


OUT_OF_ORDER: dict[str, Callable[[int], list[FromHost]]] = {
    "T06 data before a head": lambda n: [Data(stream=n, data=b"x", end=True)],
    "T06 an end before a head": lambda n: [Data(stream=n, end=True)],
    "T09 status 99": lambda n: [response(n, b"{}", 99)],
    "T09 status 101": lambda n: [response(n, b"", 101)],
    "T09 status 304": lambda n: [response(n, b"", 304)],
    "T09 status 1000": lambda n: [response(n, b"{}", 1000)],
    "T09 a page": lambda n: [response(n, b"<script>", headers=((b"content-type", b"text/html"),))],
    "T09 a length that is not so": lambda n: [
        response(n, b"{}", headers=(*JSON_FIELDS, (b"content-length", b"3")))
    ],
    "T09 a reset that says so": lambda n: [Reset(stream=n, code="bad_host_response")],
}


@pytest.mark.hostile("T06", "T09")
@pytest.mark.parametrize("what", OUT_OF_ORDER)
async def test_an_answer_that_is_none_costs_its_request(server: BrokerServer, what: str) -> None:
    async with open_link(server) as link:
        data = await answered(server, link, OUT_OF_ORDER[what])
        assert data.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b'"error":"bad_host_response"' in data
        data = await answered(server, link, lambda n: [response(n, b"{}")])
        assert data.startswith(b"HTTP/1.1 200 OK\r\n"), "the link goes on"


@pytest.mark.hostile("T06")
async def test_half_an_answer_does_not_look_like_a_whole_one(server: BrokerServer) -> None:
    async with open_link(server) as link:
        head = Response(stream=1, status=200, headers=JSON_FIELDS, data=b'{"ok":')
        data = await answered(server, link, lambda n: [head, head])
        assert b"0\r\n\r\n" not in data
        assert b"502" in data or data.endswith(b"<reset>")


def injected(stream: int) -> list[FromHost]:
    fields = (
        *JSON_FIELDS,
        (b"retry-after", b"1\r\nset-cookie: a=b"),
        (b"x\r\nset-cookie", b"a=b"),
        (b"set-cookie", b"a=b"),
        (b"location", b"https://evil.example"),
        (b"service-worker-allowed", b"/"),
        (b"transfer-encoding", b"chunked"),
    )
    return [response(stream, b"{}", headers=fields)]


@pytest.mark.hostile("T09")
async def test_no_header_of_a_host_gets_out(server: BrokerServer) -> None:
    async with open_link(server) as link:
        data = await answered(server, link, injected)
    head = data.partition(b"\r\n\r\n")[0].lower()
    assert data.startswith(b"HTTP/1.1 200 ")
    for evil in (b"cookie", b"location", b"worker", b"retry-after"):
        assert evil not in head
    assert head.count(b"transfer-encoding") <= 1


VIOLATIONS: dict[str, tuple[Callable[[int], list[FromHost] | bytes], int]] = {
    "T05 data of nothing": (lambda n: [Data(stream=n + 1, data=b"x")], 4400),
    "T05 an answer to nothing": (lambda n: [response(n + 1, b"x")], 4400),
    "T07 beyond the credit": (
        lambda n: [
            Response(stream=n, status=200, headers=JSON_FIELDS),
            *[Data(stream=n, data=bytes(32768))] * 100,
        ],
        4413,
    ),
    "T07 credit of none": (
        lambda n: frame(BINARY, b"\x83\xa1t\xa6window\xa6stream%c\xa6credit\x00" % n),
        4400,
    ),
    "T08 text": (lambda _n: frame(TEXT, b"{}"), 4400),
    "T09 a status that is a word": (
        lambda n: frame(BINARY, b"\x83\xa1t\xa8response\xa6stream%c\xa6status\xa1x" % n),
        4400,
    ),
    "T09 a status that is null": (
        lambda n: frame(BINARY, b"\x83\xa1t\xa8response\xa6stream%c\xa6status\xc0" % n),
        4400,
    ),
    "a challenge": (
        lambda n: frame(BINARY, encode_frame(Challenge(nonce=bytes(NONCE_BYTES)))),
        4400,
    ),
}


@pytest.mark.hostile("T05", "T07", "T08", "T09")
@pytest.mark.parametrize("what", VIOLATIONS)
async def test_what_no_host_says_ends_the_link_in_a_moment(server: BrokerServer, what: str) -> None:
    said, code = VIOLATIONS[what]
    async with open_link(server) as link:
        started = trio.current_time()
        data = await answered(server, link, said)
        assert await link.close_code() == code
        assert trio.current_time() - started < 10
        assert b" 504 " in data[:20] or data.endswith(b"<reset>")
    assert await ask(server) == (504, "host_unavailable")


@pytest.mark.hostile("T05", "T12")
async def test_a_just_closed_stream_may_be_spoken_of(server: BrokerServer) -> None:
    async with open_link(server) as link:
        for _ in range(3):
            data = await answered(
                server,
                link,
                lambda n: [
                    response(n, b"{}"),
                    Window(stream=n, credit=1),
                    Reset(stream=n, code="cancelled"),
                ],
            )
            assert data.startswith(b"HTTP/1.1 200 ")


# --- B: what gets through to a host ---------------------------------------------------------
STRIPPED = {
    "Cookie": "session=1; big=" + "x" * 4000,
    "Proxy-Authorization": "Basic x",
    "Proxy-Connection": "keep-alive",
    "X-Forwarded-For": "1.2.3.4",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "http",
    "Forwarded": "for=1.2.3.4",
    "Via": "1.1 evil",
    "X-Real-IP": "1.2.3.4",
    "X-Original-URL": "/admin",
    "X-HTTP-Method-Override": "DELETE",
    "User-Agent": "curl",
    "Accept-Encoding": "gzip, br",
    "Referer": "",
    "TE": "trailers",
    "Keep-Alive": "timeout=5",
    "Range": "bytes=0-1",
    "If-None-Match": "*",
    "Sec-Fetch-Site": "same-origin",
    "agentgather-room": "other",
}


@pytest.mark.hostile("B11")
async def test_a_host_hears_what_a_participant_says_and_nothing_else(
    server: BrokerServer,
) -> None:
    heard: list[Request] = []

    async def note(stream: Stream) -> None:
        assert isinstance(stream.head, Request)
        heard.append(stream.head)
        await echo(stream)

    await server.host(note)
    origin = server.url
    lines = [f"{name}: {value}" for name, value in STRIPPED.items() if name != "Referer"]
    lines += [f"Referer: {origin}/demo/", f"Origin: {origin}", "Accept: a/b", "Last-Event-ID: 7"]
    data = request("POST", "/demo/messages?a=b", *lines, token="agp_x", body=b"{}")
    assert (await server.ask(data)).status == 200
    assert sorted(heard[0].headers) == [
        (b"accept", b"a/b"),
        (b"authorization", b"Bearer agp_x"),
        (b"content-type", b"application/json"),
        (b"last-event-id", b"7"),
        (b"origin", origin.encode()),
    ]


@pytest.mark.hostile("B10")
async def test_a_connection_header_takes_no_other_away(server: BrokerServer) -> None:
    await server.host(echo)
    data = request("GET", "/demo/x", "Connection: x, authorization", token="agp_x")
    reply = await server.ask(data)
    if reply.status == 200:
        assert reply.json()["headers"]["authorization"] == "Bearer agp_x"
    else:
        assert reply.status == 400


SMUGGLED = {
    "two lengths": "Content-Length: 3\r\nContent-Length: 30",
    "a length and a coding": "Content-Length: 3\r\nTransfer-Encoding: chunked",
    "an odd coding": "Transfer-Encoding: xchunked",
    "two codings": "Transfer-Encoding: gzip, chunked",
    "a length with a sign": "Content-Length: +3",
    "a space before the colon": "Content-Length : 3",
    "a name with a space": "X Y: 3",
    "a fold": "X: 1\r\n y",
    "a bare line feed": "X: 1\nY: 2",
    "a zero byte": "X: \x00",
    "two tokens": "Authorization: Bearer a\r\nAuthorization: Bearer b",
    "two hosts": "Host: evil.example",
}


@pytest.mark.hostile("B10")
@pytest.mark.parametrize("what", SMUGGLED)
async def test_no_second_request_reaches_a_host(server: BrokerServer, what: str) -> None:
    heard: list[bytes] = []

    async def note(stream: Stream) -> None:
        assert isinstance(stream.head, Request)
        heard.append(stream.head.path)
        await echo(stream)

    await server.host(note)
    data = request("POST", "/demo/messages", SMUGGLED[what])
    second = request("GET", "/demo/smuggled")
    answer = await exchange(server, data + b"0\r\n\r\n" + second)
    assert answer.split(b" ")[1] in (b"400", b"501")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert heard == []


@pytest.mark.hostile("H03", "H04")
@pytest.mark.parametrize(
    "target", ["http://evil.example/demo/x", "*", "demo/x", "?x", "/demo/x#y z", "/demo/\xff"]
)
async def test_a_target_that_is_none_reaches_nobody(server: BrokerServer, target: str) -> None:
    await server.host(echo)
    answer = await exchange(server, request("GET", target))
    assert answer.split(b" ")[1] == b"400"


@pytest.mark.hostile("H14", "H28")
@pytest.mark.parametrize("preface", ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\x02\x00"])
async def test_other_protocols_are_none_of_ours(server: BrokerServer, preface: str) -> None:
    answer = await exchange(server, preface.encode("latin-1"))
    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"405", b"505")


# --- R: whom a limit counts for -------------------------------------------------------------
async def statuses(server: BrokerServer, count: int, target: str, *fields: str) -> list[int]:
    connection = await server.connect()
    async with connection.stream:
        found = []
        for _ in range(count):
            await connection.send(request("GET", target, *fields))
            found.append((await connection.reply()).status)
        return found


@pytest.mark.hostile("R04", "R05")
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
async def test_a_proxy_is_believed_if_it_is_ours(tmp_path: Path, *, trusted: bool) -> None:
    """With a proxy of ours each client has a budget, without one the peer has."""
    settings: dict[str, Any] = {"quotas": Quotas()}
    if trusted:
        settings["trusted_proxies"] = parse_networks(["loopback"])
    async with open_server(tmp_path, **settings) as server:
        await server.host(echo)
        flood = await statuses(server, 70, "/demo/", "X-Forwarded-For: 6.6.6.6, 203.0.113.1")
        assert flood.count(429) == 10
        other = await statuses(server, 1, "/demo/", "X-Forwarded-For: 203.0.113.2")
        assert other == ([200] if trusted else [429])


# --- O, A: two real rooms behind one broker -------------------------------------------------
class Rooms:
    """Rooms ``alpha`` and ``beta``, each with a seat ``ada`` of its own, behind a broker."""

    def __init__(self, server: BrokerServer, tokens: dict[str, str]) -> None:
        self.server = server
        self.tokens = tokens

    async def ask(
        self, method: str, target: str, *fields: str, seat: str | None = None, body: Any = None
    ) -> tuple[int, str]:
        data = json.dumps(body).encode() if body is not None else None
        token = self.tokens[seat] if seat is not None else None
        raw = request(method, target, *fields, token=token, body=data)
        return (await self.server.ask(raw)).outcome


@asynccontextmanager
async def open_room(path: Path, slug: str, server: BrokerServer, token: str) -> AsyncIterator[None]:
    """Serve a room under a slug, through a tunnel of its own."""
    home = Home(path)
    made = "2026-01-02T03:04:05.000Z"
    seats = [
        Participant.from_plain(
            {"alias": alias, "kind": "human", "is_host": alias == "host", "joinedAt": ""}
            | {"token_hash": hash_token(f"{token}{alias if alias != 'ada' else ''}")}
        )
        for alias in ("host", "ada")
    ]
    times = {"createdAt": made, "updatedAt": made, "brief_updated_at": made}
    state = RoomState.from_plain({"id": "demo", "brief_updated_by": "host", **times})
    home.create_room(state, seats, f"brief of {slug}", Tokens())
    async with open_tunnelled_room(home, slug, server.url):
        yield


@pytest.fixture
async def rooms(tmp_path: Path) -> AsyncIterator[Rooms]:
    tokens = {slug: mint_token(hash_token(slug)[:32].encode()) for slug in ("alpha", "beta")}
    async with open_server(tmp_path) as server, AsyncExitStack() as stack:
        for slug, token in tokens.items():
            await stack.enter_async_context(open_room(tmp_path / slug, slug, server, token))
        yield Rooms(server, tokens)


@pytest.mark.hostile("A09")
async def test_a_stranger_has_nobody_else_refused_at_the_room(rooms: Rooms) -> None:
    """The room sees one client, whoever asks: what one of them does is not the others' doing."""
    for number in range(BAD_TOKENS_PER_WINDOW + 1):
        stranger = await rooms.ask("GET", f"/alpha/card?token=agp_{number}")
        assert stranger == (403, "forbidden")
    mistyped = rooms.tokens["alpha"][:-1]
    assert await rooms.ask("GET", f"/alpha/card?token={mistyped}") == (403, "forbidden")
    assert await rooms.ask("GET", "/alpha/status", seat="alpha") == (200, "ok")


@pytest.mark.hostile("A02")
async def test_a_token_is_good_in_its_own_room(rooms: Rooms) -> None:
    post = {"text": "for alpha only"}
    assert await rooms.ask("POST", "/alpha/messages", seat="alpha", body=post) == (201, "ok")
    assert await rooms.ask("GET", "/alpha/messages", seat="alpha") == (200, "ok")
    for method, path, body in (
        ("GET", "messages?since_id=0", None),
        ("GET", "messages?before_id=2", None),
        ("GET", "wait?since_id=0&hold=0", None),
        ("GET", "events?since_id=0", None),
        ("GET", "status", None),
        ("GET", "brief", None),
        ("GET", "export", None),
        ("POST", "messages", {"text": "x", "reply_to": 1}),
        ("POST", "leave", None),
        ("POST", "close", None),
        ("POST", "join", None),
    ):
        assert await rooms.ask(method, f"/beta/{path}", seat="alpha", body=body) == (
            403,
            "forbidden",
        )
    assert await rooms.ask("GET", f"/beta/card?token={rooms.tokens['alpha']}") == (403, "forbidden")
    reply = await rooms.server.ask(request("GET", "/beta/messages", token=rooms.tokens["beta"]))
    assert b"alpha" not in reply.body


@pytest.mark.hostile("O06")
async def test_the_public_origin_is_a_rooms_own_and_another_is_not(rooms: Rooms) -> None:
    own = f"Origin: {rooms.server.url}"
    post = {"text": "hello"}
    assert await rooms.ask("POST", "/alpha/messages", own, seat="alpha", body=post) == (201, "ok")
    for evil in ("https://evil.example", "null", "http://localhost:9999", f"{rooms.server.url}0"):
        for method, path, body in (
            ("GET", "wait?hold=0", None),
            ("GET", f"card?token={rooms.tokens['alpha']}", None),
            ("POST", "messages", post),
            ("GET", "", None),
        ):
            fields = f"Origin: {evil}"
            got = await rooms.ask(method, f"/alpha/{path}", fields, seat="alpha", body=body)
            assert got == (403, "bad_origin")


@pytest.mark.hostile("O06")
async def test_a_host_judges_the_origin_that_the_browser_sent(server: BrokerServer) -> None:
    """The tunnel's end gets it as it was; an older one had put its own in its place."""
    await server.host(echo)
    raw = request("GET", "/demo/x", f"Origin: {server.url}")
    assert (await server.ask(raw)).json()["headers"]["origin"] == server.url


@pytest.mark.hostile("A14")
async def test_a_room_behind_a_broker_has_no_healthz_for_everybody(rooms: Rooms) -> None:
    status, code = await rooms.ask("GET", "/alpha/healthz")
    assert (status, code) != (200, "ok")


# --- Many at once ---------------------------------------------------------------------------
@pytest.mark.hostile("W11")
async def test_links_that_come_and_go_leave_nothing(server: BrokerServer) -> None:
    """Cut at every stage, a hundred times."""

    async def visit(number: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            link = RawLink(stream)
            stages: list[Callable[[], Awaitable[None]]] = [
                lambda: link.send(handshake(server.port)[:60]),
                # Who came from one address in vain too often would have to wait.
                lambda: link.upgrade(server.port, f"X-Forwarded-For: 192.0.2.{number}"),
                lambda: link.register(f"room-{number}"),
            ]
            if number % 4:
                stages = stages[1:]
            for stage in stages[: number % 4]:
                await stage()

    before = descriptors()
    for number in range(100):
        await visit(number)
    await server.until(lambda: descriptors() <= before + 5)
    text = await server.metrics()
    assert "agentgather_broker_links 1.0" in text


@pytest.mark.hostile("W06")
async def test_a_host_that_leaves_while_it_has_to_wait_is_not_kept(
    server: BrokerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that nothing but its leaving can end it.
    monkeypatch.setattr("agentgather.broker.handshakes.VAIN_WAIT_SECONDS", 1000)
    for _ in range(VAIN_HANDSHAKES_PER_WINDOW):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await RawLink(stream).upgrade(server.port)
    before = descriptors()
    for goodbye in (b"", frame(BINARY, b"early")):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            link = RawLink(stream)
            await link.send(handshake(server.port))
            with trio.move_on_after(0.2) as waiting:
                await stream.receive_some()
            assert waiting.cancelled_caught
            await link.send(goodbye)
        await server.until(lambda: descriptors() <= before)


async def test_a_burst_of_strangers_is_served_in_time(server: BrokerServer) -> None:
    async def visit() -> None:
        assert (await server.ask(request("GET", "/nowhere/"))).status == 200

    started = time.monotonic()
    async with trio.open_nursery() as nursery:
        for _ in range(150):
            nursery.start_soon(visit)
    assert time.monotonic() - started < 20
