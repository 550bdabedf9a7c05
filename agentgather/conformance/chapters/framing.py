"""Clauses of what is no request: bytes that a reader may take in more than one way."""

from collections.abc import Awaitable, Callable
from typing import Final

from agentgather.conformance.clause import ERRORS, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import Broken, NotChecked
from agentgather.wire.limits import MAX_HEADERS, MAX_HEADERS_BYTES, MAX_TARGET_BYTES

CODES: Final = f"{ERRORS}#error-codes"
_HOST: Final = b"Host: "


def _raw(
    code: str, *, before: bytes, after: bytes, body: bytes = b""
) -> Callable[[Room], Awaitable[None]]:
    """Make a check that a good request with bytes changed in it is refused.

    ``after`` is in the place of ``before``, and ``body`` comes behind it all.
    """

    async def check(room: Room) -> None:
        human = await room.human()
        data = room.client.written("GET", "/status", human.token)
        changed = data.replace(before, after, 1)
        assert changed != data
        answer = await room.client.raw(changed + body)
        room.client.fronted(answer)
        try:
            answer.refuses(code)
        except Broken:
            # A proxy may have passed on half of it, which is refused for something else.
            if room.client.may_be_fronted:
                raise NotChecked("a proxy in front of the server may have altered it") from None
            raise

    return check


CLAUSES: Final = (
    Clause(
        "request.version",
        CODES,
        "other versions of HTTP",
        _raw("http_version_not_supported", before=b"HTTP/1.1", after=b"HTTP/3.0"),
    ),
    Clause(
        "request.long-target",
        CODES,
        "a target of more than 4 KiB",
        _raw("target_too_long", before=b"/status", after=b"/status?" + b"a" * MAX_TARGET_BYTES),
    ),
    Clause(
        "request.many-headers",
        CODES,
        "more than 100 header fields",
        _raw("headers_too_large", before=_HOST, after=b"X: y\r\n" * (MAX_HEADERS + 1) + _HOST),
    ),
    Clause(
        "request.long-headers",
        CODES,
        "more than 16 KiB of headers",
        _raw(
            "headers_too_large",
            before=_HOST,
            after=b"".join(b"X-%d: %b\r\n" % (n, b"y" * (MAX_HEADERS_BYTES // 4)) for n in range(5))
            + _HOST,
        ),
    ),
    Clause(
        "request.two-hosts",
        CODES,
        "two Hosts",
        _raw("bad_request", before=_HOST, after=b"Host: x\r\nHost: "),
    ),
    Clause(
        "request.two-lengths",
        CODES,
        "two lengths",
        _raw(
            "bad_request", before=_HOST, after=b"Content-Length: 1\r\nContent-Length: 2\r\nHost: "
        ),
    ),
    Clause(
        "request.length-and-chunks",
        CODES,
        "a length and chunks",
        _raw(
            "bad_request",
            before=_HOST,
            after=b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: ",
            body=b"0\r\n\r\n",
        ),
    ),
    Clause(
        "request.bare-line-end",
        CODES,
        "a line that ends without CR",
        _raw("bad_request", before=b"HTTP/1.1\r\n", after=b"HTTP/1.1\n"),
    ),
    Clause(
        "request.folded-header",
        CODES,
        "a header on two lines",
        _raw("bad_request", before=_HOST, after=b"X: a\r\n b\r\nHost: "),
    ),
    Clause(
        "request.spaced-header",
        CODES,
        "a space before a header's colon",
        _raw("bad_request", before=_HOST, after=b"X : a\r\nHost: "),
    ),
)
