"""Request bodies: bounded, on time, strict JSON, or refused before they are parsed."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
import trio

from agentgather.wire.errors import Rejected
from agentgather.wire.limits import BODY_SECONDS, MAX_BODY_BYTES

Receive = Callable[[], Awaitable[Any]]
T = TypeVar("T")

_FIELD: Final = re.compile(r"`\$\.([a-z_]+)")


class ClientLeft(Exception):
    """The peer closed the connection before its request was whole. Nobody reads an answer."""


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Say whether a body is announced. Without one, nothing comes but the peer's end."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


async def wait_gone(receive: Receive) -> None:
    """Return once a peer whose request was read has left. Cancelling loses nothing.

    All that can still come of such a request is its empty rest, and the peer's end.
    """
    while (await receive())["type"] != "http.disconnect":
        pass


async def read_body(
    headers: Mapping[bytes, bytes], receive: Receive, *, most: int = MAX_BODY_BYTES
) -> bytes:
    """Read a whole JSON body of at most ``most`` bytes; b"" where there is none.

    Raises:
        Rejected: ``unsupported_media_type``, ``body_too_large``, ``body_timeout``.
        ClientLeft: the peer went away.

    """
    if has_body(headers):
        if b"content-encoding" in headers:
            raise Rejected("unsupported_media_type", "send the body without Content-Encoding")
        if not _is_json(headers.get(b"content-type", b"")):
            raise Rejected(
                "unsupported_media_type", "send the body with Content-Type: application/json"
            )
    return await collect_body(headers, receive, most=most, code="body_too_large")


async def collect_body(
    headers: Mapping[bytes, bytes], receive: Receive, *, most: int, code: str
) -> bytes:
    """Read a whole body of any type, of at most ``most`` bytes; b"" where there is none.

    Raises:
        Rejected: ``code`` where it is longer, ``body_timeout``.
        ClientLeft: the peer went away.

    """
    if int(headers.get(b"content-length", b"0")) > most:
        raise Rejected(code)
    chunks: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_SECONDS) as deadline:
        while True:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise ClientLeft
            chunk = event.get("body", b"")
            size += len(chunk)
            if size > most:
                raise Rejected(code)
            chunks.append(chunk)
            if not event.get("more_body", False):
                break
    if deadline.cancelled_caught:
        raise Rejected("body_timeout")
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _is_json(content_type: bytes) -> bool:
    media, _, parameters = content_type.partition(b";")
    if media.strip().lower() != b"application/json":
        return False
    charset = parameters.strip().lower().replace(b'"', b"")
    return charset in (b"", b"charset=utf-8")


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes, field_codes: Mapping[str, str]) -> T:
    """Read a body as what the endpoint takes.

    ``field_codes`` names the code for a bad value of a field; a body that is not an
    object, and a field without a code, are ``invalid_body`` or what ``""`` names.

    Raises:
        Rejected: ``invalid_json`` or the field's code. The text never repeats the value.

    """
    try:
        # The decoder skips unknown fields without looking at their bytes.
        body.decode("utf-8")
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        _check_syntax(body)
        raise _rejected(str(error), field_codes) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Rejected("invalid_json") from None


def _rejected(text: str, field_codes: Mapping[str, str]) -> Rejected:
    field = _FIELD.search(text)
    if field is not None:
        code = field_codes.get(field[1])
        return Rejected(code) if code else Rejected("invalid_body", f"{field[1]} is not valid")
    if text.startswith("Object missing"):
        return Rejected(field_codes.get("", "invalid_body"), f"{text.split('`')[1]} is missing")
    return Rejected("invalid_body", "send a JSON object")


def _check_syntax(body: bytes) -> None:
    # A type error is found before the syntax behind it. What is no JSON is called so.
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        raise Rejected("invalid_json") from None
