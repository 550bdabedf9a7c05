"""Request bodies on their way to one host: read whole, and not too much of them at once.

A host is given whole bodies, so that a participant who sends one slowly holds nothing of
the host's. Meanwhile they lie here, where all bodies of one route share so many bytes. A
body has all of its bytes before the first of it is read: with a share for each that had
come, many halves would wait for each other. Strangers' bodies have half of it at most.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from agentgather.edge.bodies import Receive, collect_body
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.limits import BODY_SECONDS, MAX_BODY_BYTES, MAX_ROUTE_BODY_BYTES

_TOO_LARGE: Final = "request_too_large"


class BodyBudget:
    """The bodies of one route. ``bytes`` is what they may take, ``of_strangers`` of it theirs."""

    __slots__ = ("_room", "bytes", "of_strangers")

    def __init__(self) -> None:
        self.bytes = 0
        self.of_strangers = 0
        self._room = trio.lowlevel.ParkingLot()

    @asynccontextmanager
    async def read(
        self, headers: Mapping[bytes, bytes], receive: Receive, *, is_stranger: bool
    ) -> AsyncIterator[bytes]:
        """Give a whole body, and count it until the block is left.

        Raises:
            Rejected: ``unsupported_media_type``: it is encoded. ``request_too_large``,
                ``body_timeout``.
            Unavailable: ``route_request_limit``: there was no room for it in time.
            ClientLeft: the participant went away.

        """
        if b"content-encoding" in headers:
            # The header is not passed on, and the host would take the bytes for plain ones.
            raise Rejected("unsupported_media_type", "send the body without Content-Encoding")
        size = int(headers.get(b"content-length", b"%d" % MAX_BODY_BYTES))
        if size > MAX_BODY_BYTES:
            raise Rejected(_TOO_LARGE)
        with trio.move_on_after(BODY_SECONDS) as deadline:
            while not self._has_room(size, is_stranger=is_stranger):
                await self._room.park()
        if deadline.cancelled_caught:
            raise Unavailable("route_request_limit", retry_after=1)
        self.bytes += size
        self.of_strangers += size * is_stranger
        try:
            yield await collect_body(headers, receive, most=MAX_BODY_BYTES, code=_TOO_LARGE)
        finally:
            self.bytes -= size
            self.of_strangers -= size * is_stranger
            self._room.unpark_all()

    def _has_room(self, size: int, *, is_stranger: bool) -> bool:
        if is_stranger and self.of_strangers + size > MAX_ROUTE_BODY_BYTES // 2:
            return False
        return self.bytes + size <= MAX_ROUTE_BODY_BYTES
