"""How the bytes of one answer are laid out (RFC 9112 sections 4, 5 and 6). Pure.

h11 would do the same from events, checking each header twice: that was a third of what a
request cost. What is checked here is what a fault could hurt: that a header adds no line,
and that the body is as long as announced.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from http import HTTPStatus
from re import compile as pattern
from typing import Final

_STATUS_LINES: Final[Mapping[int, bytes]] = {
    status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode())
    for status in HTTPStatus
    if status.value >= 200
}
_TOKEN: Final = pattern(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE: Final = bytes(byte for byte in range(256) if byte == 9 or (byte >= 32 and byte != 127))
_NO_BODY: Final = frozenset({204, 304})


class BadAnswer(Exception):
    """The application's answer is none: a bug of ours."""


class Body(Enum):
    """How an answer's end is told."""

    NONE = "no body, whatever the application gives"
    LENGTH = "as long as content-length says"
    CHUNKED = "by a last chunk"
    CLOSE = "by the connection's end; HTTP/1.0 knows no chunks"


class AnswerFraming:
    """One answer. ``keeps_alive`` may turn false: then the connection ends behind it."""

    __slots__ = ("_body", "_is_head", "_is_old", "_left", "keeps_alive")

    def __init__(self, method: str, http_version: str, *, keeps_alive: bool) -> None:
        self._is_head = method == "HEAD"
        self._is_old = http_version == "1.0"
        self._body = Body.NONE
        self._left = 0
        self.keeps_alive = keeps_alive

    def first(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, more: bool
    ) -> bytes:
        """Give the head and the first of the body.

        Raises:
            BadAnswer: see there.

        """
        line = _STATUS_LINES.get(status)
        lines = [line if line is not None else b"HTTP/1.1 %d " % status]
        length: bytes | None = None
        for name, value in headers:
            if not _is_token(name):
                raise BadAnswer("a header's name is no token")
            if name == b"content-length":
                length = value
            elif name == b"connection":
                self.keeps_alive = self.keeps_alive and b"close" not in value.lower()
            elif name != b"transfer-encoding":
                lines.append(b"%b: %b" % (name, value))
        if not 200 <= status <= 999 or (length is not None and not length.isdigit()):
            raise BadAnswer("the status or the content-length is no number that can be")
        self._choose_body(status, length, len(body), lines, more=more)
        if not self.keeps_alive:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        head = b"\r\n".join(lines)
        # Every control character left must be one of our own line ends.
        if head.translate(None, _VISIBLE) != b"\r\n" * len(lines):
            raise BadAnswer("a header holds a control character")
        return head + self.next(body, more=more)

    def _choose_body(
        self, status: int, length: bytes | None, given: int, lines: list[bytes], *, more: bool
    ) -> None:
        if status == HTTPStatus.NO_CONTENT:
            length = None
        elif length is None and not more and status not in _NO_BODY:
            length = b"%d" % given
        if length is not None:
            lines.append(b"content-length: " + length)
        if self._is_head or status in _NO_BODY:
            self._body = Body.NONE
        elif length is not None:
            self._body, self._left = Body.LENGTH, int(length)
        elif self._is_old:
            self._body, self.keeps_alive = Body.CLOSE, False
        else:
            self._body = Body.CHUNKED
            lines.append(b"transfer-encoding: chunked")

    def next(self, body: bytes, *, more: bool) -> bytes:
        """Give the next of the body; with ``more`` false its end too.

        Raises:
            BadAnswer: it is longer or shorter than announced.

        """
        if self._body is Body.LENGTH:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                raise BadAnswer("the body is not as long as its content-length")
            return body
        if self._body is Body.CHUNKED:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        return b"" if self._body is Body.NONE else body


@lru_cache(maxsize=256)
def _is_token(name: bytes) -> bool:
    return _TOKEN.fullmatch(name) is not None
