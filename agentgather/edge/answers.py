"""An answer as data, and its way out through ASGI.

Every answer of every surface is made here, so that none can lack a header.
"""

from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from agentgather.wire.api import encode_refusal
from agentgather.wire.errors import Rejected

JSON: Final = b"application/json; charset=utf-8"
TEXT: Final = b"text/plain; charset=utf-8"
EVENT_STREAM: Final = b"text/event-stream"

# The page needs its own scripts, styles and requests, and nothing else on earth.
CONTENT_SECURITY_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
NO_STORE: Final = (b"cache-control", b"no-store")

Headers = tuple[tuple[bytes, bytes], ...]


class Send(Protocol):
    """ASGI's ``send``."""

    async def __call__(self, message: Any, /) -> None:
        """Send one event; see the ASGI specification."""


class Answer(NamedTuple):
    """One whole answer. ``headers`` are those beside the content's and the security ones."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = (NO_STORE,)


def json_answer(status: int, document: bytes, *headers: tuple[bytes, bytes]) -> Answer:
    """Answer with an encoded JSON document; it gets its line end here."""
    return Answer(status, document + b"\n", JSON, (NO_STORE, *headers))


def refusal(error: Rejected) -> Answer:
    """Answer with an error: status from the table, body in the one shape."""
    headers = error.headers
    if error.retry_after is not None:
        headers = (*headers, (b"retry-after", b"%d" % max(1, error.retry_after)))
    return json_answer(error.status, encode_refusal(error.code, error.message), *headers)


def header_list(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Give all headers of an answer, content type and exact length first."""
    headers = [(b"content-type", answer.content_type)]
    # A 304 has no body, and a length in it would be that of the body it spares: RFC 9110, 8.6.
    if answer.status != 304:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return [*headers, *SECURITY_HEADERS, *answer.headers]


async def send_answer(send: Send, answer: Answer) -> None:
    """Send an answer. The server below leaves the body out for HEAD."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": header_list(answer),
        }
    )
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


def encode_last_answer(answer: Answer) -> bytes:
    """Give the bytes of an answer after which the connection closes.

    For requests that never became one: what h11 could not read it cannot answer.
    """
    phrase = HTTPStatus(answer.status).phrase.encode()
    head = b"".join(b"%b: %b\r\n" % header for header in header_list(answer))
    return b"HTTP/1.1 %d %b\r\n%bconnection: close\r\n\r\n%b" % (
        answer.status,
        phrase,
        head,
        answer.body,
    )
