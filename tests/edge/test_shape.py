"""Requests that are refused before anything is asked, and those that go on."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgather.edge.request_body import MalformedBody, RequestBody
from agentgather.edge.request_head import RequestHead, build_scope, parse_head
from agentgather.edge.shape import check_partial_head
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    MAX_HEADERS,
    MAX_HEADERS_BYTES,
    MAX_REQUEST_LINE_BYTES,
    MAX_TARGET_BYTES,
)

HOST = b"Host: a\r\n"
UPGRADE = b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HANDSHAKE = UPGRADE + KEY + b"Sec-WebSocket-Version: 13\r\n"


def parse(data: bytes) -> RequestHead:
    return parse_head(data, h11.Connection(h11.SERVER))


def head(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + HOST + fields + b"\r\n"


def refused(data: bytes) -> str:
    with pytest.raises(Rejected) as refusal:
        parse(data)
    return refusal.value.code


def refused_early(data: bytes) -> str:
    with pytest.raises(Rejected) as refusal:
        check_partial_head(data)
    return refusal.value.code


def test_a_request_is_read_as_it_was_sent() -> None:
    read = parse(b"GET /a%20b/%2e?x=%31 HTTP/1.1\r\nHOST: a:8787\r\nX-Two: 1\r\nx-two:\t2 \r\n\r\n")
    assert read == RequestHead(
        method="GET",
        target=b"/a%20b/%2e?x=%31",
        http_version="1.1",
        headers=[(b"host", b"a:8787"), (b"x-two", b"1"), (b"x-two", b"2")],
        has_body=False,
        keeps_alive=True,
        expects_continue=False,
        is_websocket=False,
    )
    scope = build_scope(read, ("192.0.2.1", 1), None)
    assert scope["type"] == "http"
    assert (scope["path"], scope["raw_path"]) == ("/a b/.", b"/a%20b/%2e")
    assert scope["query_string"] == b"x=%31"
    assert (scope["client"], scope["server"]) == (("192.0.2.1", 1), None)


BAD_HEADS = {
    "a bare line feed ends the line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare line feed ends a header": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "a carriage return is inside a value": head(b"X: a\rb\r\n"),
    "carriage return and line feed stand apart": head(b"X: a\rb\nc: d\r\n"),
    "a doubled carriage return": head(b"X: a\r\r\n"),
    "a folded header": head(b"X: a\r\n b\r\n"),
    "a header folded by a tab": head(b"X: a\r\n\tb\r\n"),
    "the first header begins with a space": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "a space before the colon": head(b"X : y\r\n"),
    "no name": head(b": y\r\n"),
    "no colon": head(b"X\r\n"),
    "NUL in a value": head(b"X: a\0b\r\n"),
    "another control character in a value": head(b"X: a\x01b\r\n"),
    "DEL in a value": head(b"X: a\x7fb\r\n"),
    "NUL in the target": head(line=b"GET /\0 HTTP/1.1"),
    "a target that is not ASCII": head(line="GET /é HTTP/1.1".encode()),
    "two spaces in the line": head(line=b"GET  / HTTP/1.1"),
    "four words in the line": head(line=b"GET / / HTTP/1.1"),
    "no version": head(line=b"GET /"),
    "another protocol": head(line=b"GET / SIP/2.0"),
    "a lower-case protocol": head(line=b"GET / http/1.1"),
    "a version of two digits": head(line=b"GET / HTTP/1.10"),
    "a method that is no token": head(line=b"G@T / HTTP/1.1"),
    "nothing but a blank line": b"\r\n\r\n",
    "two Hosts": head(b"Host: b\r\n"),
    "no Host in HTTP/1.1": b"GET / HTTP/1.1\r\n\r\n",
    "two Authorizations": head(b"Authorization: a\r\nauthorization: a\r\n"),
    "two Origins": head(b"Origin: http://a\r\nOrigin: http://b\r\n"),
    "two lengths that differ": head(b"Content-Length: 3\r\nContent-Length: 4\r\n"),
    "two lengths that agree": head(b"Content-Length: 3\r\nContent-Length: 3\r\n"),
    "a list of lengths": head(b"Content-Length: 3, 3\r\n"),
    "a negative length": head(b"Content-Length: -1\r\n"),
    "a signed length": head(b"Content-Length: +3\r\n"),
    "a hexadecimal length": head(b"Content-Length: 0x3\r\n"),
    "an empty length": head(b"Content-Length:\r\n"),
    "a length of 16 digits": head(b"Content-Length: 1000000000000000\r\n"),
    "a length of 23 digits": head(b"Content-Length: 12345678901234567890123\r\n"),
    "an underscore in a length": head(b"Content-Length: 1_0\r\n"),
    "a length and a coding": head(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
    "a coding in HTTP/1.0": head(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"),
    "an upgrade to HTTP/2": head(b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"),
    "HTTP/2 among others": head(b"Upgrade: foo, H2C\r\n"),
}


@pytest.mark.hostile("H06", "H08", "H10", "H14", "H15")
@pytest.mark.parametrize("data", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_what_has_two_readings_is_refused(data: bytes) -> None:
    assert refused(data) == "bad_request"


CODINGS = [b"gzip, chunked", b"chunked, identity", b"xchunked", b"identity", b"chunked;q=1", b""]


@pytest.mark.hostile("H07")
@pytest.mark.parametrize("coding", CODINGS)
def test_no_transfer_coding_but_chunked_is_read(coding: bytes) -> None:
    fields = b"Transfer-Encoding: " + coding + b"\r\n"
    assert refused(head(fields, b"POST / HTTP/1.1")) == "not_implemented"


@pytest.mark.hostile("H07")
def test_two_codings_are_not_one() -> None:
    fields = b"Transfer-Encoding: chunked\r\n" * 2
    assert refused(head(fields, b"POST / HTTP/1.1")) in ("not_implemented", "bad_request")


@pytest.mark.hostile("H13")
@pytest.mark.parametrize("version", [b"3.0", b"2.0", b"1.2", b"0.9", b"2", b"9.9"])
def test_a_version_that_is_not_spoken_is_named(version: bytes) -> None:
    assert refused(head(line=b"GET / HTTP/" + version)) == "http_version_not_supported"


@pytest.mark.hostile("H14")
def test_the_preface_of_http_2_is_refused() -> None:
    assert refused(b"PRI * HTTP/2.0\r\n\r\n") == "http_version_not_supported"


@pytest.mark.hostile("H03", "H04")
@pytest.mark.parametrize("target", [b"?x", b"http://evil.example/messages", b"*", b"x:1", b"x"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_a_target_begins_with_a_slash(method: bytes, target: bytes) -> None:
    assert refused(head(line=method + b" " + target + b" HTTP/1.1")) == "bad_request_target"


@pytest.mark.hostile("H05")
@pytest.mark.parametrize("line", ["OPTIONS *", "CONNECT x:1", "TRACE /", "FOO ?", "post /x"])
def test_a_method_that_nothing_has_goes_on_as_it_was_sent(line: str) -> None:
    read = parse(head(line=f"{line} HTTP/1.1".encode()))
    assert [read.method, read.target.decode()] == line.split(" ")


def test_http_1_0_needs_no_host_and_ends_after_one_answer() -> None:
    read = parse(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (read.http_version, read.headers[0][0], read.keeps_alive) == (
        "1.0",
        b"connection",
        False,
    )


@pytest.mark.parametrize("value", [b"close", b"Close", b"foo, close", b"close, TE"])
def test_a_peer_may_ask_for_the_end(value: bytes) -> None:
    assert not parse(head(b"Connection: " + value + b"\r\n")).keeps_alive


def test_the_end_may_be_asked_for_in_the_second_of_two_fields() -> None:
    assert not parse(head(b"Connection: close\r\nConnection: te\r\n")).keeps_alive


def test_nothing_is_read_behind_a_chunked_body() -> None:
    read = parse(head(b"Transfer-Encoding: Chunked\r\n", b"POST / HTTP/1.1"))
    assert (read.has_body, read.keeps_alive) == (True, False)


@pytest.mark.hostile("H19")
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("field", [b"Content-Length: 10", b"Transfer-Encoding: chunked"])
def test_reading_takes_no_body(method: bytes, field: bytes) -> None:
    line = method + b" /wait HTTP/1.1"
    assert refused(head(field + b"\r\n", line)) == "unexpected_body"
    assert not parse(head(b"Content-Length: 0\r\n", line)).has_body


def test_only_a_current_peer_waits_for_a_go() -> None:
    fields = b"Content-Length: 3\r\nExpect: 100-Continue\r\n"
    assert parse(head(fields, b"POST / HTTP/1.1")).expects_continue
    assert not parse(head(fields, b"POST / HTTP/1.0")).expects_continue


# --- Bounds, at the limit and one past ------------------------------------------------


def line_of(target_bytes: int) -> bytes:
    return b"GET /" + b"a" * (target_bytes - 1) + b" HTTP/1.1"


@pytest.mark.hostile("H12")
def test_a_target_is_at_most_so_long() -> None:
    assert len(parse(head(line=line_of(MAX_TARGET_BYTES))).target) == MAX_TARGET_BYTES
    assert refused(head(line=line_of(MAX_TARGET_BYTES + 1))) == "target_too_long"
    assert refused(head(line=line_of(17 * 1024))) == "target_too_long"
    assert refused(head(line=line_of(MAX_TARGET_BYTES + 1).replace(b"GET", b"FOO"))) == (
        "target_too_long"
    )


def field_of(size: int) -> bytes:
    """Give a header line of so many bytes, and its end."""
    return b"X: " + b"a" * (size - 3) + b"\r\n"


@pytest.mark.hostile("H11")
def test_a_header_line_is_at_most_so_long() -> None:
    parse(head(field_of(MAX_REQUEST_LINE_BYTES)))
    assert refused(head(field_of(MAX_REQUEST_LINE_BYTES + 1))) == "headers_too_large"


def test_a_request_line_with_a_short_target_is_at_most_so_long() -> None:
    method = b"A" * (MAX_REQUEST_LINE_BYTES - len(b" / HTTP/1.1"))
    parse(head(line=method + b" / HTTP/1.1"))
    assert refused(head(line=method + b"A / HTTP/1.1")) == "headers_too_large"


@pytest.mark.hostile("H11")
def test_all_headers_together_are_at_most_so_long() -> None:
    left = MAX_HEADERS_BYTES - len(HOST)
    two = field_of(7998) * 2
    last = field_of(left - len(two) - 2)
    parse(head(two + last))
    assert refused(head(two + b"X" + last)) == "headers_too_large"
    assert refused(head(field_of(1000) * 60)) == "headers_too_large"


@pytest.mark.hostile("H11")
def test_there_are_at_most_so_many_headers() -> None:
    parse(head(b"A: b\r\n" * (MAX_HEADERS - 1)))
    assert refused(head(b"A: b\r\n" * MAX_HEADERS)) == "headers_too_large"
    assert refused(head(b"A: b\r\n" * 3000)) == "headers_too_large"


# --- What has come of a head --------------------------------------------------------


@pytest.mark.parametrize("data", [head(), head(HANDSHAKE), head(b"X: y\r\n", line_of(4096))])
def test_no_beginning_of_a_good_head_is_refused(data: bytes) -> None:
    for size in range(1, len(data)):
        check_partial_head(data[:size])


BANNERS = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "a mail client": b"EHLO example.org\r\n",
    "a binary": bytes(range(256)) * 256,
    "a space": b" GET / HTTP/1.1\r\n",
    "a blank line": b"\r\nGET / HTTP/1.1\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare line feeds after the line": b"GET / HTTP/1.1\r\nHost: a\n\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\n b",
}


@pytest.mark.hostile("H28")
@pytest.mark.parametrize("data", BANNERS.values(), ids=BANNERS.keys())
def test_what_can_become_no_request_is_refused_before_it_ends(data: bytes) -> None:
    assert refused_early(data) == "bad_request"


@pytest.mark.hostile("H11", "H12")
def test_a_flood_is_refused_before_it_ends() -> None:
    assert refused_early(b"GET /" + b"a" * 9000) == "target_too_long"
    assert refused_early(line_of(5000) + b"\r\nHo") == "target_too_long"
    assert refused_early(b"A" * 9000) == "headers_too_large"
    assert refused_early(head(b"A: b\r\n" * 101)[:-2]) == "headers_too_large"
    assert refused_early(head(field_of(8000) * 3)[:-2]) == "headers_too_large"
    assert refused_early(head(field_of(9000))[:-4]) == "headers_too_large"
    assert refused_early(b"GET / HTTP/3.0\r\n") == "http_version_not_supported"


PIECES = [
    *(b"GET", b"POST", b"FOO", b" ", b"/", b"?x", b"*", b" HTTP/1.1", b" HTTP/1.0", b"HTTP/2.0"),
    *(
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\t",
        b":",
        b"Host: a",
        b"Content-Length: 3",
        b"3, 3",
    ),
    *(
        b"Transfer-Encoding: chunked",
        b"Connection: close",
        b"Upgrade: websocket",
        b"\xff",
        b"a" * 4100,
    ),
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=30).map(b"".join))
def test_whatever_comes_is_a_request_or_a_refusal(data: bytes) -> None:
    try:
        check_partial_head(data.partition(b"\r\n\r\n")[0])
        read = parse(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        build_scope(read, None, None)
    except Rejected:
        return
    assert read.http_version in ("1.0", "1.1")


@given(
    st.lists(st.sampled_from([b"3\r\n", b"abc", b"0\r\n", b"\r\n", b";x", b"X: y"]) | st.binary())
)
def test_whatever_comes_as_chunks_is_a_body_or_a_refusal(parts: list[bytes]) -> None:
    parser = h11.Connection(h11.SERVER)
    parse_head(head(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.1"), parser)
    body = RequestBody(parser)
    try:
        for part in parts:
            body.take(part)
            if body.is_whole:
                assert isinstance(body.behind, bytes)
                break
    except MalformedBody:
        return


# --- WebSocket handshakes -------------------------------------------------------------


def test_a_handshake_is_known() -> None:
    assert parse(head(HANDSHAKE)).is_websocket
    assert parse(head(HANDSHAKE.upper().replace(KEY.upper(), KEY))).is_websocket


BAD_HANDSHAKES = {
    "version 8": head(UPGRADE + KEY + b"Sec-WebSocket-Version: 8\r\n"),
    "no version": head(UPGRADE + KEY),
    "no key": head(UPGRADE + b"Sec-WebSocket-Version: 13\r\n"),
    "two keys": head(HANDSHAKE + KEY),
    "a short key": head(HANDSHAKE.replace(b"dGhlIHN", b"")),
    "no word in Connection": head(HANDSHAKE.replace(b", Upgrade", b"")),
    "another method": head(HANDSHAKE, b"POST / HTTP/1.1"),
    "a subprotocol that is not ASCII": head(HANDSHAKE + b"Sec-WebSocket-Protocol: \xe9\r\n"),
    "extensions that are not ASCII": head(HANDSHAKE + b"Sec-WebSocket-Extensions: \xff\r\n"),
}


@pytest.mark.hostile("W08")
@pytest.mark.parametrize("data", BAD_HANDSHAKES.values(), ids=BAD_HANDSHAKES.keys())
def test_a_bad_handshake_is_refused(data: bytes) -> None:
    assert refused(data) == "bad_request"


def test_an_unknown_version_is_told_the_known_one() -> None:
    with pytest.raises(Rejected) as refusal:
        parse(head(UPGRADE + KEY + b"Sec-WebSocket-Version: 8\r\n"))
    assert refusal.value.headers == ((b"sec-websocket-version", b"13"),)


def test_an_upgrade_that_nobody_knows_is_not_heard() -> None:
    assert not parse(head(b"Upgrade: foo/2\r\nConnection: upgrade\r\n")).is_websocket
    assert not parse(head(HANDSHAKE, b"GET / HTTP/1.0")).is_websocket
