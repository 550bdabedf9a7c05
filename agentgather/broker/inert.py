"""What of a host's answer may reach a participant: nothing that a browser would act on.

A host is somebody the broker does not know, under the broker's own origin. So a status is
one of an API, a type is one of three, and of the headers only those are passed on that
an API needs, each in the one form that it has there.
"""

import re
from typing import Final, NamedTuple

from agentgather.edge.answers import EVENT_STREAM, JSON, NO_STORE, SECURITY_HEADERS, TEXT
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_HEADERS, MAX_HOST_ANSWER_BYTES
from agentgather.wire.link import Response

_TYPES: Final = {
    b"application/json": JSON,
    b"text/plain": TEXT,
    b"text/event-stream": EVENT_STREAM,
}
_PASSED: Final = {
    b"retry-after": re.compile(rb"[0-9]{1,6}"),
    b"allow": re.compile(rb"[A-Z]{1,16}(?:, ?[A-Z]{1,16}){0,15}"),
    b"www-authenticate": re.compile(rb'Bearer(?: realm="[A-Za-z0-9._ -]{1,64}")?'),
    b"content-disposition": re.compile(rb'attachment; filename="[A-Za-z0-9._-]{1,128}"'),
}
_LENGTH: Final = re.compile(rb"[0-9]{1,10}")


class Head(NamedTuple):
    """The head of an answer as it goes out. ``length`` is None where it is not announced."""

    status: int
    headers: list[tuple[bytes, bytes]]
    length: int | None
    is_stream: bool


def inert_head(answer: Response, method: str) -> Head:
    """Give what may go out of a host's head.

    Raises:
        Rejected: ``bad_host_response``, ``response_too_large``.

    """
    status = answer.status
    if not (200 <= status <= 299 or 400 <= status <= 599) or len(answer.headers) > MAX_HEADERS:
        raise Rejected("bad_host_response")
    fields: dict[bytes, bytes] = {}
    for name, value in answer.headers:
        if name in fields and name in (b"content-type", b"content-length"):
            raise Rejected("bad_host_response")
        fields[name] = value
    media = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    content_type = _TYPES.get(media)
    has_body = status != 204
    if has_body and content_type is None:
        raise Rejected("bad_host_response")
    if not has_body and answer.data:
        raise Rejected("bad_host_response")
    length = _length(fields, method)
    headers = [] if content_type is None else [(b"content-type", content_type)]
    if length is not None and has_body:
        headers.append((b"content-length", b"%d" % length))
    headers += [*SECURITY_HEADERS, NO_STORE]
    for name, form in _PASSED.items():
        if name in fields and form.fullmatch(fields[name]) is not None:
            headers.append((name, fields[name]))
    return Head(status, headers, length, content_type is EVENT_STREAM)


def _length(fields: dict[bytes, bytes], method: str) -> int | None:
    announced = fields.get(b"content-length")
    if announced is None:
        return None
    if _LENGTH.fullmatch(announced) is None or b"transfer-encoding" in fields:
        raise Rejected("bad_host_response")
    if int(announced) > MAX_HOST_ANSWER_BYTES and method != "HEAD":
        raise Rejected("response_too_large")
    return int(announced)
