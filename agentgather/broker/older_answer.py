"""An older host's answer, read as strictly as anything from somebody unknown. Pure."""

import re
from typing import Final

import msgspec

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_HEADERS, MAX_HEADERS_BYTES, MAX_HOST_ANSWER_BYTES
from agentgather.wire.link import Headers, Response
from agentgather.wire.older import OlderAnswer

_ANSWER: Final = msgspec.json.Decoder(OlderAnswer)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)
_VALUE: Final = re.compile(r"[\t -~]*", re.ASCII)

# What frames the body between the host and its own room is nobody's business here.
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "content-encoding"})


def read_answer(document: msgspec.Raw) -> tuple[Response, bytes]:
    """Give head and body of an answer; the head announces the body's length.

    Raises:
        Rejected: ``bad_host_response``, ``response_too_large``.

    """
    try:
        answer = _ANSWER.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected("bad_host_response") from None
    body = answer.body_base64 if isinstance(answer.body_base64, bytes) else b""
    if len(body) > MAX_HOST_ANSWER_BYTES:
        raise Rejected("response_too_large")
    if answer.status == 204 and body:
        raise Rejected("bad_host_response")
    headers = _headers(answer.headers)
    if body:
        headers = (*headers, (b"content-length", b"%d" % len(body)))
    # The stream's number is a link's; here there is one request to one answer.
    return Response(stream=1, status=answer.status, headers=headers, end=not body), body


def _headers(fields: dict[str, str]) -> Headers:
    if (
        len(fields) > MAX_HEADERS
        or sum(len(name) + len(value) for name, value in fields.items()) > MAX_HEADERS_BYTES
        or any(_NAME.fullmatch(name) is None for name in fields)
        or any(_VALUE.fullmatch(value) is None for value in fields.values())
    ):
        raise Rejected("bad_host_response")
    lowered = {name.lower(): value for name, value in fields.items()}
    if len(lowered) != len(fields):
        raise Rejected("bad_host_response")
    return tuple(
        (name.encode("ascii"), value.encode("ascii"))
        for name, value in lowered.items()
        if name not in _FRAMING
    )
