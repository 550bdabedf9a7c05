"""The line to one peer: what was read ahead, what may be written, and by when.

The line has one cancel scope around everything that happens on it, and the scope's deadline
is whatever the peer has to do next. Moving a deadline costs a tenth of a scope of its own,
and one request moves it three times.
"""

from math import inf

import trio

from agentgather.edge.bounds import MAX_DISCARDED_BYTES, READ_BYTES, Bounds
from agentgather.edge.peer import Peer


class Line:
    """One peer.

    ``unread`` is what was read and not used. ``is_gone``: nobody reads what is written.
    ``is_torn``: half of something was written, so the line ends with a reset.
    """

    __slots__ = ("bounds", "is_gone", "is_torn", "peer", "scope", "unread")

    def __init__(self, peer: Peer, bounds: Bounds) -> None:
        self.peer = peer
        self.bounds = bounds
        self.scope = trio.CancelScope()
        self.unread = b""
        self.is_gone = False
        self.is_torn = False

    def expect_within(self, seconds: float) -> None:
        """Give the peer so long for its next step; ``inf`` where the next step is ours."""
        self.scope.deadline = trio.current_time() + seconds if seconds != inf else inf

    def cut(self) -> None:
        """Cancel whatever runs on this line."""
        self.scope.cancel()

    async def read(self, max_bytes: int = READ_BYTES) -> bytes:
        """Give what comes next; b"" where the peer has ended, and is gone.

        Cancelling loses nothing. The deadline is the caller's.
        """
        try:
            data = await self.peer.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self.is_gone = True
        return data

    async def write(self, data: bytes) -> None:
        """Write all of it. A peer that has left is gone afterwards, and that is no error.

        A peer that does not take it within ``unread_answer_seconds`` is cut. Cancelling a
        write half-way tears the line: nothing can be written behind it.
        """
        if self.is_torn:
            self.is_gone = True
        if self.is_gone or not data:
            return
        try:
            # Nearly always all of it fits the socket's buffer, and nothing has to wait.
            sent = self.peer.send_nowait(data)
            if sent < len(data):
                self.is_torn = True
                self.expect_within(self.bounds.unread_answer_seconds)
                await self.peer.send_all(memoryview(data)[sent:])
                self.expect_within(inf)
                self.is_torn = False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.is_gone = True

    async def linger(self) -> None:
        """End our side, and read on for a while: the peer may be sending yet.

        Closing at once would reset the connection, and with it the answer that the peer
        has not read.
        """
        self.peer.end()
        self.expect_within(self.bounds.unsent_body_seconds)
        discarded = 0
        while discarded < MAX_DISCARDED_BYTES and not self.is_gone:
            discarded += len(await self.read())

    def close(self) -> None:
        """Close. A torn line is reset, so that half an answer is not taken for a whole one."""
        self.peer.close(reset=self.is_torn)
