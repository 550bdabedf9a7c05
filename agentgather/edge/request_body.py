"""The body of one request, out of the bytes that come behind its head. Pure."""

import h11

from agentgather.edge.bounds import MAX_BODY_EVENTS


class MalformedBody(Exception):
    """The chunks are not what they say they are."""


class RequestBody:
    """A body that is being read. ``is_whole`` once nothing of it is still to come."""

    __slots__ = ("_parser", "is_whole")

    def __init__(self, parser: h11.Connection) -> None:
        self._parser = parser
        self.is_whole = False

    def take(self, data: bytes) -> bytes:
        """Give what of the body is in ``data`` and in what was left of the call before.

        A turn is bounded. Where it was full the rest comes with ``take(b"")``; b"" then means
        that all of it was taken.

        Raises:
            MalformedBody: h11 can't read it. Nor can it read anything behind it.

        """
        if data:
            self._parser.receive_data(data)
        chunks: list[bytes] = []
        try:
            while len(chunks) < MAX_BODY_EVENTS:
                event = self._parser.next_event()
                if isinstance(event, h11.Data):
                    chunks.append(event.data)
                    continue
                self.is_whole = isinstance(event, h11.EndOfMessage)
                break
        except h11.RemoteProtocolError as error:
            raise MalformedBody from error
        return b"".join(chunks)

    @property
    def behind(self) -> bytes:
        """What came behind a whole body: a next request."""
        return self._parser.trailing_data[0]
