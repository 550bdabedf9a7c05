"""What a request must look like before anything else is asked. Pure.

h11 parses, and is lenient where a proxy in front may read otherwise: bare line feeds,
folded headers, a length beside a coding. Two readings of one request are how requests are
smuggled, so whatever has two is refused (RFC 9112 sections 2.2, 3.2, 5.2, 6.1 and 6.3).
"""

import re
from typing import Final

import h11

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    MAX_HEADERS,
    MAX_HEADERS_BYTES,
    MAX_REQUEST_LINE_BYTES,
    MAX_TARGET_BYTES,
)

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
"""Methods that some endpoint has. Others go on with any target, to be told so."""

MAX_METHOD_BYTES: Final = 32
"""The longest registered method has 17 letters."""

HEAD_END: Final = b"\r\n\r\n"

_VERSION: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])?")
_ONCE: Final = frozenset({b"host", b"authorization", b"content-length", b"content-type"})
_LENGTHS: Final = re.compile(rb"^content-length:(.*)$", re.IGNORECASE | re.MULTILINE)
_LENGTH: Final = re.compile(rb"[0-9]{1,15}\r?")


def find_head_end(data: bytes | bytearray) -> int:
    """Give where the head of a request ends, or -1 while it has not ended.

    Raises:
        Rejected: what has come so far can't become a head that we read.

    """
    end = data.find(HEAD_END)
    head = bytes(data if end < 0 else data[: end + 2])
    line, separator, fields = head.partition(b"\r\n")
    _check_request_line(line, whole=bool(separator))
    if len(fields) > MAX_HEADERS_BYTES or fields.count(b"\n") > MAX_HEADERS:
        raise Rejected("headers_too_large")
    if len(fields) > MAX_REQUEST_LINE_BYTES and any(
        len(one) > MAX_REQUEST_LINE_BYTES for one in fields.split(b"\r\n")
    ):
        raise Rejected("headers_too_large")
    if end < 0:
        return -1
    _check_fields(fields)
    return end + len(HEAD_END)


def _check_request_line(line: bytes, *, whole: bool) -> None:
    parts = line.split(b" ")
    if len(parts) > 1 and len(parts[1]) > MAX_TARGET_BYTES:
        raise Rejected("target_too_long")
    if len(line) > MAX_REQUEST_LINE_BYTES:
        raise Rejected("headers_too_large")
    if b"\n" in line:
        raise Rejected("bad_request", "lines end with CR LF")
    # A TLS hello, a banner, noise: none of it starts with a method's letters.
    if len(parts[0]) > MAX_METHOD_BYTES or (parts[0] and not parts[0].isalpha()):
        raise Rejected("bad_request")
    if not whole:
        return
    if len(parts) != 3:
        raise Rejected("bad_request", "the request line is: method, target, version")
    method, target, version = parts
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        known = _VERSION.fullmatch(version) is not None
        raise Rejected("http_version_not_supported" if known else "bad_request")
    if not target.startswith(b"/") and method in METHODS:
        raise Rejected("bad_request_target")


def _check_fields(fields: bytes) -> None:
    lines = fields.count(b"\r\n")
    if fields.count(b"\n") != lines or fields.count(b"\r") != lines:
        raise Rejected("bad_request", "lines end with CR LF")
    if b"\0" in fields or b"\n " in fields or b"\n\t" in fields or fields[:1] in (b" ", b"\t"):
        raise Rejected("bad_request", "a header is one line without NUL")
    # h11 takes two equal lengths, and `3, 3`, for one.
    lengths = _LENGTHS.findall(fields)
    if len(lengths) > 1 or (lengths and _LENGTH.fullmatch(lengths[0].strip(b" \t")) is None):
        raise Rejected("bad_request", "content-length is one number")


def check_request(request: h11.Request) -> None:
    """Check the header fields of a request that h11 has read.

    Raises:
        Rejected: ``bad_request``, ``not_implemented``, ``unexpected_body``.

    """
    seen: set[bytes] = set()
    for name, value in request.headers:
        if name in _ONCE:
            if name in seen:
                raise Rejected("bad_request", f"{name.decode()} may appear once")
            seen.add(name)
            if name == b"content-length" and value.strip(b"0"):
                seen.add(b"body")
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked":
                raise Rejected("not_implemented")
            if b"transfer-encoding" in seen or request.http_version == b"1.0":
                raise Rejected("bad_request", "the transfer coding is not one we read")
            seen.update((b"transfer-encoding", b"body"))
        elif name == b"upgrade" and value.lower() != b"websocket":
            # h2c among others: this connection stays what it is.
            raise Rejected("bad_request", "there is nothing to upgrade to")
        elif name.startswith(b"sec-websocket-") and not value.isascii():
            raise Rejected("bad_request")
    if b"transfer-encoding" in seen and b"content-length" in seen:
        raise Rejected("bad_request", "a body has a length or a coding, not both")
    if b"body" in seen and request.method in (b"GET", b"HEAD"):
        raise Rejected("unexpected_body")
