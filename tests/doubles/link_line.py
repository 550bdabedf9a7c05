"""A WebSocket in memory: two transports, and what can go wrong between them.

Kept facts: messages arrive whole and in order; a sender waits while the other side has too
many unread; a close arrives after what was sent before it; a cancelled send may leave half
a message, after which the transport is of no use.
"""

from collections import deque
from collections.abc import Callable

import trio

from agentgather.link.transport import LinkClosed

MOST_UNREAD = 4


class LineEnd:
    """Stands in for a transport at one end.

    ``is_jammed``: what is sent waits for ever. ``is_lost``: it goes nowhere, as when a cable
    is pulled. ``is_torn``: a send was cancelled half-way.
    """

    def __init__(self) -> None:
        self.other = self
        self.inbox: deque[bytes | str] = deque()
        self.sent: list[bytes] = []
        self.closed: LinkClosed | None = None
        self.is_jammed = self.is_lost = self.is_torn = False
        self._moved = trio.lowlevel.ParkingLot()

    async def send(self, message: bytes) -> None:
        if self.is_torn:
            raise AssertionError("nothing can be sent behind half a message")
        self.is_torn = True
        await self._wait(lambda: not self.is_jammed and len(self.other.inbox) < MOST_UNREAD)
        self.is_torn = False
        if self.closed is not None:
            raise self.closed
        self.sent.append(message)
        if not self.is_lost:
            self.other.put(message)

    async def receive(self) -> bytes | str:
        await self._wait(lambda: bool(self.inbox))
        if not self.inbox:
            assert self.closed is not None
            raise self.closed
        self._move()
        return self.inbox.popleft()

    async def close(self, code: int, reason: str) -> None:
        if self.is_torn:
            raise AssertionError("nothing can be sent behind half a message")
        await trio.lowlevel.checkpoint()
        if not self.is_lost:
            self.cut(code, reason)

    def put(self, message: bytes | str) -> None:
        """Have a message arrive here."""
        self.inbox.append(message)
        self._move()

    def cut(self, code: int = 1006, reason: str = "") -> None:
        """End the line, for both ends."""
        for end in (self, self.other):
            end.closed = end.closed or LinkClosed(code, reason)
        self._move()

    def unjam(self) -> None:
        self.is_jammed = False
        self._move()

    def _move(self) -> None:
        for end in (self, self.other):
            end._moved.unpark_all()

    async def _wait(self, is_ready: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not is_ready() and self.closed is None:
            await self._moved.park()


def line() -> tuple[LineEnd, LineEnd]:
    """Give the two ends of a line."""
    one, other = LineEnd(), LineEnd()
    one.other, other.other = other, one
    return one, other
