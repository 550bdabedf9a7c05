"""The bytes of a request's head, before a parser reads them. Pure.

h11 is lenient where a proxy in front may read otherwise: bare line feeds, folded headers,
control characters. Two readings of one request are how requests are smuggled, so whatever
has two is refused (RFC 9112 sections 2.2, 3 and 5.2).
"""

import re
from typing import Final

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import (
    MAX_HEADERS,
    MAX_HEADERS_BYTES,
    MAX_REQUEST_LINE_BYTES,
    MAX_TARGET_BYTES,
)

HEAD_END: Final = b"\r\n\r\n"

_VISIBLE: Final = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_REQUEST_LINE: Final = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ (?P<target>[!-~]+) HTTP/(?P<version>[0-9](?:\.[0-9])?)"
)


def check_partial_head(data: bytes) -> None:
    """Check what has come of a head that has not ended.

    Raises:
        Rejected: it can't become a head that we read, however it goes on.

    """
    line_end = data.find(b"\n")
    if line_end < 0:
        line_end = len(data)
        if data[:1] <= b" ":
            raise Rejected("bad_request")  # a TLS hello, among others
    check_lines(data.removesuffix(b"\r"), min(line_end, len(data)))
    if line_end < len(data):
        check_request_line(data[: line_end - 1])


def check_lines(data: bytes, line_end: int) -> None:
    """Check lengths and line ends of a head, or of the first part of one.

    ``data`` is without the blank line; its first ``line_end`` bytes are the request line.

    Raises:
        Rejected: ``headers_too_large``, ``target_too_long``, ``bad_request``.

    """
    if line_end > MAX_REQUEST_LINE_BYTES:
        target = data[:line_end].split(b" ")[1:2]
        too_long = target and len(target[0]) > MAX_TARGET_BYTES
        raise Rejected("target_too_long" if too_long else "headers_too_large")
    # What is left without the visible ones: a CR LF for each line, and nothing else.
    controls = data.translate(None, _VISIBLE)
    lines = len(controls) // 2
    if controls != b"\r\n" * lines or data.count(b"\r\n") != lines:
        raise Rejected("bad_request", "lines end with CR LF, and hold no control characters")
    if len(data) - line_end - 2 > MAX_HEADERS_BYTES or lines - 1 > MAX_HEADERS:
        raise Rejected("headers_too_large")
    if len(data) > MAX_REQUEST_LINE_BYTES and any(
        len(line) > MAX_REQUEST_LINE_BYTES for line in data.split(b"\r\n")
    ):
        raise Rejected("headers_too_large")
    if b"\n " in data or b"\n\t" in data:
        raise Rejected("bad_request", "a header is one line")


def check_request_line(line: bytes) -> None:
    """Check a whole request line.

    Raises:
        Rejected: ``bad_request``, ``http_version_not_supported``, ``target_too_long``.

    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Rejected("bad_request", "the request line is: method, target, version")
    if match["version"] not in (b"1.1", b"1.0"):
        raise Rejected("http_version_not_supported")
    if len(match["target"]) > MAX_TARGET_BYTES:
        raise Rejected("target_too_long")
