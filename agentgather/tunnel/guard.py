"""What a host takes from a broker, and what it gives back. Pure.

The broker is somebody the host does not know: a request is held to what any HTTP server
here takes (``spec/http-api.md``), and to less, because a broker has no reason for more.
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
from agentgather.wire.link import Headers, Request

METHODS: Final = frozenset({"GET", "HEAD", "POST"})
REQUEST_HEADERS: Final = frozenset(
    {b"authorization", b"content-type", b"accept", b"origin", b"last-event-id"}
)
"""All that a participant says to a room. A broker's own headers are none of its business."""
ANSWER_HEADERS: Final = frozenset(
    {
        *(b"content-type", b"content-length", b"content-disposition"),
        *(b"retry-after", b"allow", b"www-authenticate"),
    }
)
"""What a broker passes on; all others it sets itself."""
OLDER_ANSWER_HEADERS: Final = ANSWER_HEADERS | {
    *(b"content-security-policy", b"x-content-type-options", b"referrer-policy"),
}
"""A broker of 0.1.0 to 0.2.5 sets none, so what hardens the page has to come from the room."""

# One slash, then what is visible in ASCII, without what some reader takes for another
# slash or for the path's end.
_PATH: Final = re.compile(rb"/[!-\"$->@-\[\]-~]*")
_QUERY: Final = re.compile(rb"[!-\"$-~]*")
_TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE: Final = re.compile(rb"[\t -~\x80-\xff]*")
_DOTS: Final = frozenset({b".", b".."})


def admit_request(head: Request) -> Headers:
    """Check the head of a request, and give the headers that go on to the room.

    Raises:
        Rejected: ``method_not_allowed``, ``bad_request_target``, ``target_too_long``,
            ``headers_too_large``, ``bad_request``.

    """
    if head.method not in METHODS:
        raise Rejected("method_not_allowed", headers=((b"allow", b"GET, HEAD, POST"),))
    _check_target(head.path, head.query)
    return _admit_headers(head.headers)


def _check_target(path: bytes, query: bytes) -> None:
    if len(path) + len(query) >= MAX_TARGET_BYTES:
        raise Rejected("target_too_long")
    if path.startswith(b"//") or _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        raise Rejected("bad_request_target")
    # A reader that decodes first, and then climbs, would leave the room.
    segments = path.lower().replace(b"%2e", b".").split(b"/")
    if not _DOTS.isdisjoint(segments):
        raise Rejected("bad_request_target")


def _admit_headers(headers: Headers) -> Headers:
    if len(headers) > MAX_HEADERS:
        raise Rejected("headers_too_large")
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
        if len(value) > MAX_REQUEST_LINE_BYTES or size > MAX_HEADERS_BYTES:
            raise Rejected("headers_too_large")
        if _TOKEN.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise Rejected("bad_request")
    admitted = tuple(pair for pair in headers if pair[0] in REQUEST_HEADERS)
    if len({name for name, _ in admitted}) != len(admitted):
        raise Rejected("bad_request", "a header that may appear once appears twice")
    return admitted
