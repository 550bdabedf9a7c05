"""The other end of one connection, as bytes. Every wait on it is bounded."""

import socket
from typing import Final

import trio

from agentgather.wire.limits import UNREAD_ANSWER_SECONDS, UNSENT_BODY_SECONDS

READ_BYTES: Final = 64 * 1024
MAX_DISCARDED_BYTES: Final = 1024 * 1024
"""What a lingering close reads and throws away: any refused body, and then some."""

_RESET_ON_CLOSE: Final = b"\1\0\0\0\0\0\0\0"


class Peer:
    """Reads and writes one socket, for one task at a time in each direction.

    ``gone`` is true once nobody reads what is written: the peer left, or took no data for
    ``UNREAD_ANSWER_SECONDS``. Writing to a peer that is gone does nothing. ``closing`` is
    true once our side has nothing more to say than what is collected.
    """

    __slots__ = ("_out", "_sock", "_stream", "closing", "gone")

    def __init__(self, sock: socket.socket, stream: trio.SocketStream) -> None:
        self._sock = sock
        self._stream = stream
        self._out: list[bytes] = []
        self.closing = False
        self.gone = False

    async def read(self) -> bytes:
        """Give what has come, b"" at the peer's end. The caller sets the deadline."""
        await trio.lowlevel.wait_readable(self._sock)
        try:
            return self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except ConnectionError:
            return b""

    def collect(self, data: bytes) -> None:
        """Take what is to be written; it goes out with :meth:`flush`, in one piece."""
        self._out.append(data)

    async def flush(self) -> None:
        """Write what was collected. A peer that does not take it is gone afterwards."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        if self.gone or not data:
            return
        try:
            # Nearly always all of it fits the socket's buffer, and nothing has to wait.
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.gone = True
            return
        if sent == len(data):
            return
        with trio.move_on_after(UNREAD_ANSWER_SECONDS) as deadline:
            try:
                await self._stream.send_all(memoryview(data)[sent:])
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self.gone = True
        if deadline.cancelled_caught:
            self.gone = True
            # The kernel would go on offering what nobody takes.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    async def linger(self) -> None:
        """End our side, and read on for a while: the peer may be sending yet.

        Closing at once would reset the connection, and with it the answer that the peer
        has not read.
        """
        self._sock.shutdown(socket.SHUT_WR)
        discarded = 0
        with trio.move_on_after(UNSENT_BODY_SECONDS):
            while discarded < MAX_DISCARDED_BYTES:
                data = await self.read()
                if not data:
                    return
                discarded += len(data)
