"""A connection to a server: bytes out as they are, and answers in.

A request is written as bytes, because a library would refuse or mend what is to be tried.
An answer is read by h11, so one that is no whole HTTP answer is noticed.
"""

import ssl
from collections.abc import Iterable
from typing import Final

import h11
import trio

from agentgather.conformance.answer import Answer
from agentgather.conformance.verdict import Broken

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
"""An export of a full log is about 50 MB."""
_CHUNK_BYTES: Final = 64 * 1024
_MAX_HEAD_BYTES: Final = 64 * 1024


class Connection:
    """One connection. Whoever opened it closes it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._received = b""
        self._asked_at = 0.0
        self.is_over = False
        """Whether the server has closed it, as far as :meth:`is_silent` knows."""

    async def send(self, data: bytes) -> None:
        """Send bytes. A peer that has closed is noticed at the answer."""
        self._asked_at = trio.current_time()
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            # A server that refuses a long body answers before it has read it.
            return

    async def answer(self, *, is_head: bool = False) -> Answer:
        """Read one whole answer.

        Raises:
            Broken: it is no HTTP answer, or breaks off.

        """
        reader = self._reader(is_head=is_head)
        body = bytearray()
        response: h11.Response | None = None
        while True:
            event = await self._next(reader)
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_ANSWER_BYTES:
                    raise Broken(f"an answer is over {MAX_ANSWER_BYTES:,} bytes")
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None
                self._received = reader.trailing_data[0]
                return self._answer(response, bytes(body))

    async def begin(self) -> tuple[Answer, "Body"]:
        """Read the head of an answer, and give the body to be read as it comes."""
        reader = self._reader(is_head=False)
        while True:
            event = await self._next(reader)
            if isinstance(event, h11.Response):
                return self._answer(event, b""), Body(self, reader)

    async def behind(self) -> bytes:
        """Give what comes behind an answer that is the last; nothing where the server closes."""
        return self._received or await self._receive()

    async def is_silent(self, seconds: float) -> bool:
        """Say whether nothing comes for so long."""
        with trio.move_on_after(seconds):
            more = await self._receive()
            self._received += more
            self.is_over = not more
            return False
        return True

    async def close(self) -> None:
        """Close it without a word, as a client that is gone."""
        await trio.aclose_forcefully(self._stream)

    def _reader(self, *, is_head: bool) -> h11.Connection:
        # h11 reads an answer only to what it has written, and needs the method for its end.
        reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        method = "HEAD" if is_head else "GET"
        reader.send(h11.Request(method=method, target="/", headers=[("host", "any")]))
        reader.send(h11.EndOfMessage())
        if self._received:
            reader.receive_data(self._received)
            self._received = b""
        return reader

    async def _next(self, reader: h11.Connection) -> object:
        while True:
            try:
                event = reader.next_event()
                if event is not h11.NEED_DATA:
                    break
                data = await self._receive()
                is_begun = reader.their_state is not h11.SEND_RESPONSE or reader.trailing_data[0]
                if not (data or is_begun):
                    raise Broken("the connection is closed without an answer")
                reader.receive_data(data)
            except h11.RemoteProtocolError as error:
                raise Broken(f"the answer is no whole HTTP answer: {error}") from None
        return event

    async def _receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(_CHUNK_BYTES))
        except (trio.BrokenResourceError, ssl.SSLError):
            return b""

    def _answer(self, response: h11.Response, body: bytes) -> Answer:
        fields = tuple((k.decode("ascii"), v.decode("latin-1")) for k, v in response.headers)
        return Answer(response.status_code, fields, body, trio.current_time() - self._asked_at)


class Body:
    """The body of an answer that is streamed."""

    def __init__(self, connection: Connection, reader: h11.Connection) -> None:
        self._connection = connection
        self._reader = reader

    async def more(self) -> bytes:
        """Give the next piece; nothing at the end.

        Raises:
            Broken: it breaks off.

        """
        event = await self._connection._next(self._reader)
        return bytes(event.data) if isinstance(event, h11.Data) else b""


def request_bytes(
    method: str,
    target: str,
    fields: Iterable[str],
    body: bytes | None = None,
    *,
    version: str = "HTTP/1.1",
) -> bytes:
    """Write a request; ``fields`` are header lines as they are."""
    lines = [f"{method} {target} {version}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
