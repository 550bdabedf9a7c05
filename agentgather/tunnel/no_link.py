"""Why there is no connection to a broker, in words for people."""

import socket
import ssl
from typing import Final

import trio
from trio_websocket import ConnectionRejected

_MAX_CAUSES: Final = 32
_WORDS: Final[dict[type[Exception], str]] = {
    trio.TooSlowError: "no answer in time",
    ssl.SSLError: "it speaks no TLS that is spoken here",
    socket.gaierror: "its name is not known here; is there a network?",
    ConnectionRefusedError: "nobody listens there",
}


class NoLink(Exception):
    """There is no WebSocket. The text says why, for people.

    ``status`` and ``body`` are what the broker answered instead; 0 where it did not.
    """

    def __init__(self, message: str, *, status: int = 0, body: bytes = b"") -> None:
        self.status = status
        self.body = body
        super().__init__(message)


def explain(group: ExceptionGroup[Exception]) -> NoLink:
    """Say what went wrong, out of whatever was raised."""
    errors: list[BaseException] = [group]
    for error in errors:
        if isinstance(error, NoLink):
            return error
        if isinstance(error, ConnectionRejected):
            text = f"it answers HTTP {error.status_code}, as no broker does"
            return NoLink(text, status=error.status_code, body=error.body or b"")
        if isinstance(error, ssl.SSLCertVerificationError):
            return NoLink(f"its certificate is not good: {error.verify_message}")
        for kind, text in _WORDS.items():
            if isinstance(error, kind):
                return NoLink(text)
        if isinstance(error, BaseExceptionGroup):
            errors += error.exceptions
        if error.__cause__ is not None and len(errors) < _MAX_CAUSES:
            errors.append(error.__cause__)
    return NoLink("the connection failed")
