"""Where a room is, and how a connection is opened to it."""

import ssl
from typing import Protocol

import trio

from agentgather.conformance.connection import Connection


class Place(Protocol):
    """A room's base URL ``text`` and its parts.

    ``prefix`` is the path before every endpoint, without a slash at its end.
    """

    text: str
    host: str
    port: int
    netloc: str
    prefix: str
    is_tls: bool
    is_loopback: bool


class Unreachable(Exception):
    """Nobody answers there. The text says why."""


async def connect(place: Place) -> Connection:
    """Open a connection.

    Raises:
        Unreachable: nobody listens there, or its certificate is not good.

    """
    try:
        plain = await trio.open_tcp_stream(place.host, place.port)
    except OSError as error:
        raise Unreachable(_reason(error)) from None
    if not place.is_tls:
        return Connection(plain)
    secure: trio.SSLStream[trio.SocketStream] = trio.SSLStream(
        plain,
        ssl.create_default_context(),
        server_hostname=place.host,
        https_compatible=True,
    )
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(secure)
        raise Unreachable(f"no TLS: {error.__cause__ or error}") from None
    return Connection(secure)


def _reason(error: OSError) -> str:
    # Of several addresses Trio keeps each one's error.
    cause = error.__cause__
    first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else cause or error
    text = getattr(first, "strerror", None) or str(first) or type(first).__name__
    return text[0].lower() + text[1:]
