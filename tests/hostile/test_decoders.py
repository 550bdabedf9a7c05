"""Whatever bytes come, a decoder gives what it declares or refuses as it declares."""

import logging
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import h11
import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentgather.broker.older_answer import read_answer
from agentgather.cli.answers import document_of
from agentgather.cli.failures import Unreachable
from agentgather.cli.http_client import NoAnswer, _read
from agentgather.domain.tokens import parse_bearer
from agentgather.edge.bodies import decode_body
from agentgather.edge.origins import normalise_base_url, parse_authority
from agentgather.edge.queries import integer, parse_query
from agentgather.edge.request_head import build_scope, parse_head
from agentgather.tunnel.guard import admit_request
from agentgather.tunnel.older_request import OlderRequest
from agentgather.tunnel.public_url import BadPublicUrl, check_public_url
from agentgather.wire import api
from agentgather.wire.errors import PeerViolation, Rejected
from agentgather.wire.link import (
    Data,
    Ping,
    Register,
    Request,
    Reset,
    Response,
    Window,
    decode_from_broker,
    decode_from_host,
    encode_frame,
)
from agentgather.wire.older import Credentials, Polled, Registration, Respond
from agentgather.wire.records import (
    CurrentRoom,
    Participant,
    RoomState,
    RouteSecrets,
    Tokens,
    TunnelState,
    decode_message,
    decode_plain,
    encode_message,
)
from tests.doubles.mutations import hostile_bytes
from tests.edge.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame, handshake
from tests.edge.peers import Pair, echo, get, one_connection, post

MANY: Final = 5 * settings().max_examples
"""A decoder takes next to no time."""
BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
RECORD: Final = (
    b'{"id":7,"room":"demo","ts":"2026-01-02T03:04:05.000Z","from":"ada","type":"message",'
    b'"text":"@rev hi","mentions":["rev"],"reply_to":3,"client_msg_id":"k"}'
)
BODIES: Final = (
    b'{"text":"@rev hi","type":"question","reply_to":3,"client_msg_id":"k-1"}',
    b'{"alias":"rev","kind":"agent","role":"observer","single_use":true,"expires_in_s":60}',
    b'{"display_name":"Ada L."}',
    b'{"body":"Goal"}',
    b'{"policy":"manual-ok"}',
)
FILES: Final = (
    b'{"id":"demo","status":"open","createdAt":"x","updatedAt":"y","brief_version":2,"schema":1}',
    b'{"alias":"ada","kind":"human","is_host":true,"token_hash":"00","removed_at":"x","extra":1}',
    b'{"roomId":"demo","alias":"ada","token":"agp_x","baseUrl":"http://127.0.0.1:8787"}',
    b'{"tokens":{"ada":"agp_x"}}',
    b'{"public_base_url":"https://rooms.example/demo","slug":"demo"}',
    b'{"routes":[{"broker":"https://b.example","slug":"demo","secret":"agh_x"}],"asked":[]}',
)
FROM_HOST: Final = [
    encode_frame(one)
    for one in (
        Register(slug="demo", owner=bytes(32), proof=bytes(32)),
        Response(stream=1, status=200, headers=((b"content-type", b"text/plain"),), data=b"x"),
        Data(stream=1, data=b"abc", end=True),
        Window(stream=1, credit=9),
        Reset(stream=1, code="cancelled"),
        Ping(id=3),
    )
]
FROM_BROKER: Final = [
    *FROM_HOST[2:],
    encode_frame(
        Request(
            stream=1,
            method="POST",
            path=b"/messages",
            query=b"a=b",
            headers=((b"origin", b"https://a"),),
            data=b"x",
            end=True,
        )
    ),
]
OLDER: Final = (
    b'{"route_slug":"demo"}',
    b'{"route_id":"r","host_connection_id":"h"}',
    b'{"route_id":"r","host_connection_id":"h","request_id":"q","response":{"status":200}}',
    b'{"status":200,"headers":{"content-type":"application/json"},"body_base64":"e30="}',
    b'{"ok":true,"request":{"request_id":"q","route_slug":"demo","method":"POST",'
    b'"path":"/messages?a=b","headers":{"Authorization":"Bearer agp_x"},"body_base64":"e30="}}',
    b'{"ok":true,"request":null}',
)
QUERIES: Final = (b"since_id=5&limit=10", b"participant=rev&for=me&hold=0", b"a=%C3%A9&b=")
URLS: Final = (b"http://127.0.0.1:8787", b"https://rooms.example/my-room/", b"http://[::1]:8787")
ANSWERS: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nretry-after: 5\r\n\r\n" + b'{"ok":true}',
    b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{"ok":true}\r\n0\r\n\r\n',
    b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n" + b'{"ok":true}',
)


def request_head(data: bytes) -> None:
    head = parse_head(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", h11.Connection(h11.SERVER))
    assert head.http_version in ("1.0", "1.1")
    build_scope(head, None, None)


def query(data: bytes) -> None:
    parameters = parse_query(data)
    for name in parameters:
        with suppress(Rejected):
            assert 0 <= integer(parameters, name, 0, code="invalid_limit") < 10**15


def body(data: bytes) -> None:
    """Every endpoint's, one after the other: what one takes another refuses."""
    found = [value for name, value in vars(api).items() if name.endswith("Draft")]
    for form in found:
        decoder = msgspec.json.Decoder(form)
        code = "invalid_json"
        try:
            msgspec.json.encode(decode_body(decoder, data, {}))
        except Rejected as refused:
            code = refused.code
        assert code in ("invalid_json", "invalid_body")


def small_files(data: bytes) -> None:
    plain = decode_plain(data)
    if not isinstance(plain, dict):
        return
    for form in (RoomState, Participant, CurrentRoom, Tokens, TunnelState, RouteSecrets):
        try:
            form.from_plain(plain).to_plain()
        except (ValueError, msgspec.ValidationError):
            continue


def record(data: bytes) -> None:
    message = decode_message(data)
    again = encode_message(message)
    assert b"\n" not in again
    assert decode_message(again) == message


def older_words(data: bytes) -> None:
    """Each of the words, one after the other: what is one of them is not another."""
    refused: list[Exception] = []
    for form in (Registration, Credentials, Respond):
        try:
            msgspec.json.decode(data, type=form)
        except BROKEN as error:
            refused.append(error)
    if len(refused) == 3:
        raise refused[0]


def older_request(data: bytes) -> None:
    envelope = msgspec.json.decode(data, type=Polled).request
    if envelope is None:
        return
    head = OlderRequest(envelope).head
    assert isinstance(head, Request)
    for name, value in admit_request(head):
        assert not re.search(rb"[\r\n\0]", name + value)


def older_answer(data: bytes) -> None:
    head, content = read_answer(msgspec.Raw(data))
    assert 200 <= head.status <= 599
    assert head.end == (not content)
    for name, value in head.headers:
        assert not re.search(rb"[\r\n\0]", name + value)


def frame_for(decode: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        found = decode(data)
        assert decode(encode_frame(found)) == found

    return check


def host_header(data: bytes) -> None:
    found = parse_authority(data.decode("latin-1"))
    if found is None:
        raise ValueError("no host")
    assert found.name == found.name.lower()
    assert "@" not in found.name


def base_url(data: bytes) -> None:
    for check in (normalise_base_url, lambda text: check_public_url(text, "my-room")):
        try:
            found = check(data.decode("latin-1"))
        except (ValueError, BadPublicUrl):
            continue
        assert re.fullmatch(r"https?://[a-z0-9.:\[\]_-]+[A-Za-z0-9._~/-]*", found), found


def bearer(data: bytes) -> None:
    token = parse_bearer(data)
    assert token is None or re.fullmatch(r"[!-~]+", token)


def answer_to_a_command(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        machine = h11.Connection(h11.CLIENT)
        machine.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        machine.send(h11.EndOfMessage())
        reply = _read(ours, machine, time.monotonic() + 5, 10_000)
    document_of(reply, api.OkAnswer)


class Decoder(NamedTuple):
    """What is done with bytes, how it may refuse them, and good ones."""

    check: Callable[[bytes], None]
    refusals: tuple[type[BaseException], ...]
    samples: list[bytes]


DECODERS: Final = {
    "a host's frame": Decoder(frame_for(decode_from_host), (PeerViolation,), FROM_HOST),
    "a broker's frame": Decoder(frame_for(decode_from_broker), (PeerViolation,), FROM_BROKER),
    "a record": Decoder(record, BROKEN, [RECORD]),
    "small files": Decoder(small_files, (ValueError,), [*FILES]),
    "bodies": Decoder(body, (), [*BODIES]),
    "a request's head": Decoder(
        request_head, (Rejected,), [get("/a?b=c", "Origin: https://a"), post(b"", length=3)]
    ),
    "a query": Decoder(query, (Rejected,), [*QUERIES]),
    "an older host's words": Decoder(older_words, BROKEN, [*OLDER[:3]]),
    "an older host's answer": Decoder(older_answer, (Rejected,), [OLDER[3]]),
    "an older broker's request": Decoder(older_request, (*BROKEN, Rejected), [*OLDER[4:]]),
    "a Host": Decoder(host_header, (ValueError,), [url.split(b"/")[2] for url in URLS]),
    "a base URL": Decoder(base_url, (), [*URLS]),
    "a token": Decoder(bearer, (), [b"Bearer agp_" + b"x" * 43, b"Bearer tgl_" + b"y" * 43]),
    "an answer to a command": Decoder(answer_to_a_command, (NoAnswer, Unreachable), [*ANSWERS]),
}


@pytest.mark.hostile("J02", "J03", "J04", "H10", "T08", "C03", "U06")
@pytest.mark.parametrize("what", DECODERS)
@given(data=st.data())
@settings(max_examples=MANY)
def test_any_bytes_are_what_they_should_be_or_are_refused(what: str, data: st.DataObject) -> None:
    decoder = DECODERS[what]
    given_bytes = data.draw(hostile_bytes(decoder.samples))
    try:
        decoder.check(given_bytes)
    except decoder.refusals:
        return


@pytest.mark.parametrize("what", DECODERS)
def test_the_samples_are_good(what: str) -> None:
    """Else the mutations would be of what is refused anyway."""
    decoder = DECODERS[what]
    for sample in decoder.samples:
        decoder.check(sample)


# --- Whole connections ----------------------------------------------------------------------
async def accepting(scope: Any, receive: Any, send: Any) -> None:
    """Take WebSockets and whatever comes in them; answer requests with their body."""
    if scope["type"] != "websocket":
        await echo(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] != "websocket.disconnect":
        assert isinstance(event["bytes"] if event["text"] is None else event["text"], bytes | str)


FRAMES: Final = [
    *(frame(TEXT, b"hello"), frame(BINARY, b"\x81" * 130), frame(PING, b"x"), frame(PONG)),
    *(frame(BINARY, b"a", fin=False) + frame(CONTINUATION, b"b"), frame(CLOSE, b"\x03\xe8")),
    frame(BINARY, b"x", length=1 << 40),
]
REQUESTS: Final = [
    *(get("/a%20b?c=d"), post(b"abc"), get("/", "Upgrade: h2c"), handshake()),
    get("/", "Transfer-Encoding: chunked", method="POST") + b"3\r\nabc\r\n0\r\n\r\n",
    get() + post(b"abcdef", "Expect: 100-continue") + get(),
]


async def rest_after(peer: Pair, data: bytes) -> bytes:
    """Send bytes on a connection, end it, and give all that came back."""
    with suppress(trio.BrokenResourceError):
        await peer.send(data)
        await peer.stream.send_eof()
    rest = await peer.rest()
    await peer.ended.wait()
    return rest


def exchange(data: bytes) -> bytes:
    """Have a connection for nothing but these bytes."""

    async def run() -> bytes:
        async with one_connection(accepting) as peer:
            with trio.fail_after(20):
                return await rest_after(peer, data)

    return trio.run(run)


@pytest.mark.hostile("W04", "W05", "W06", "W08")
@given(data=hostile_bytes(FRAMES))
@settings(max_examples=MANY, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_a_websocket_are_frames_or_its_end(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        async with one_connection(accepting) as peer:
            with trio.fail_after(20):
                await peer.send(handshake())
                assert (await peer.answer(head_only=True)).status == 101
                await rest_after(peer, data)

    trio.run(run)
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []


@pytest.mark.hostile("H06", "H08", "H09", "H10", "H28", "H29")
@given(data=hostile_bytes(REQUESTS))
@settings(max_examples=MANY, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_on_a_connection_are_answered_in_whole_answers_or_not_at_all(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    answers = exchange(data)
    if answers:
        statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)
        assert answers.startswith(b"HTTP/1.1 ")
        assert {int(status) for status in statuses} <= {
            *(100, 101, 200, 400, 408, 413, 414, 431, 501, 505),
        }
    assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
