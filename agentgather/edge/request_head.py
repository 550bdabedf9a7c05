"""A request up to its body, as h11 reads it and as we take it. Pure.

The two agree on everything that a proxy in front could read otherwise: where the body
ends, whom the request is for, who asks (RFC 9112 sections 3.2, 6.1 and 6.3).
"""

import re
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import h11

from agentgather.edge.shape import check_lines, check_request_line
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_TARGET_BYTES

METHODS: Final = frozenset({"GET", "HEAD", "POST"})
"""What some endpoint has. Other methods go on with any target, to be told that."""
SINGLE_FIELDS: Final = frozenset(
    {
        *(b"host", b"authorization", b"origin", b"referer", b"expect", b"last-event-id"),
        *(b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"),
        *(b"sec-fetch-site", b"sec-fetch-mode", b"upgrade"),
        *(b"sec-websocket-key", b"sec-websocket-version"),
    }
)
"""Fields that something is decided by: of two, each hop may take another."""

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_LENGTHS: Final = re.compile(rb"^content-length:[ \t]*(.*?)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_WEBSOCKET_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


class RequestHead(NamedTuple):
    """A request up to its body. ``headers`` have lower-case names, in the order sent."""

    method: str
    target: bytes
    http_version: str
    headers: list[tuple[bytes, bytes]]
    has_body: bool
    keeps_alive: bool
    expects_continue: bool
    is_websocket: bool


def parse_head(data: bytes, parser: h11.Connection) -> RequestHead:
    """Read a whole head, blank line and all. ``parser`` is fresh, and reads the body next.

    Raises:
        Rejected: ``bad_request``, ``bad_request_target``, ``target_too_long``,
            ``headers_too_large``, ``http_version_not_supported``, ``not_implemented``,
            ``unexpected_body``.

    """
    line_end = data.find(b"\r\n")
    check_lines(data[:-2], line_end)
    if line_end > MAX_TARGET_BYTES:
        check_request_line(data[:line_end])
    parser.receive_data(data)
    try:
        request = parser.next_event()
    except h11.RemoteProtocolError as error:
        check_request_line(data[:line_end])  # may know better
        is_coding = error.error_status_hint == 501
        raise Rejected("not_implemented" if is_coding else "bad_request") from None
    assert isinstance(request, h11.Request)
    if request.http_version not in (b"1.1", b"1.0"):
        raise Rejected("http_version_not_supported")
    method = request.method.decode("ascii")
    if method in METHODS and not request.target.startswith(b"/"):
        raise Rejected("bad_request_target")
    if len(request.target) > MAX_TARGET_BYTES:
        raise Rejected("target_too_long")
    headers = [(name.lower(), value) for name, value in request.headers.raw_items()]
    fields = dict(headers)
    if len(fields) != len(headers):
        names = [name for name, _ in headers]
        if any(names.count(name) > 1 for name in fields.keys() & SINGLE_FIELDS):
            raise Rejected("bad_request", "a header that may appear once appears twice")
    is_current = request.http_version == b"1.1"
    # Nothing is read behind a chunked body: h11 takes a bare line feed for its end.
    keeps_alive = is_current and b"transfer-encoding" not in fields
    if keeps_alive and b"connection" in fields:
        keeps_alive = b"close" not in _tokens(headers, b"connection")
    head = RequestHead(
        method,
        request.target,
        "1.1" if is_current else "1.0",
        headers,
        _has_body(data, fields, is_current=is_current),
        keeps_alive,
        is_current and fields.get(b"expect", b"").lower() == b"100-continue",
        # HTTP/1.0 has no upgrades (RFC 9110 section 7.8).
        is_current and b"upgrade" in fields and _is_websocket(method, headers, fields),
    )
    if head.has_body and method in ("GET", "HEAD"):
        raise Rejected("unexpected_body")
    return head


def build_scope(
    head: RequestHead, client: tuple[str, int] | None, server: tuple[str, int] | None
) -> dict[str, Any]:
    """Give the ASGI scope of a request."""
    path, _, query = head.target.partition(b"?")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": head.http_version,
        "method": head.method,
        "scheme": "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": head.headers,
        "client": client,
        "server": server,
        "extensions": {},
    }


def _has_body(data: bytes, fields: dict[bytes, bytes], *, is_current: bool) -> bool:
    is_chunked = b"transfer-encoding" in fields
    if b"content-length" not in fields:
        if is_chunked and not is_current:
            raise Rejected("bad_request", "HTTP/1.0 has no transfer codings")
        return is_chunked
    if is_chunked:
        raise Rejected("bad_request", "a body has a length or a coding, not both")
    # h11 takes two equal lengths, and `3, 3`, for one; so look at what was sent.
    lengths = _LENGTHS.findall(data)
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise Rejected("bad_request", "content-length is one number")
    return int(lengths[0]) > 0


def _is_websocket(
    method: str, headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]
) -> bool:
    wanted = _tokens(headers, b"upgrade")
    if b"websocket" not in wanted:
        if b"h2c" in wanted:
            raise Rejected("bad_request", "HTTP/2 is not spoken here")
        return False  # RFC 9110 section 7.8: what is not known is not heard
    key = fields.get(b"sec-websocket-key", b"")
    if method != "GET" or b"upgrade" not in _tokens(headers, b"connection"):
        raise Rejected("bad_request", "this is no WebSocket handshake")
    if fields.get(b"sec-websocket-version") != b"13":
        raise Rejected(
            "bad_request",
            "WebSocket version 13 is spoken here",
            headers=((b"sec-websocket-version", b"13"),),
        )
    if _WEBSOCKET_KEY.fullmatch(key) is None or not all(
        value.isascii() for name, value in headers if name.startswith(b"sec-websocket-")
    ):
        raise Rejected("bad_request", "this is no WebSocket handshake")
    return True


def _tokens(headers: list[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    joined = b",".join(value for found, value in headers if found == name)
    return {token.strip() for token in joined.lower().split(b",")}
