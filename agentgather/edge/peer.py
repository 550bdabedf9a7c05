"""The other end of one connection, as a stream of bytes."""

import socket
from contextlib import suppress
from typing import Final

import trio

from agentgather.edge.bounds import READ_BYTES

_RESET_ON_CLOSE: Final = b"\1\0\0\0\0\0\0\0"
"""``struct linger``: on, zero seconds."""


class Peer(trio.abc.HalfCloseableStream):
    """One non-blocking socket, for one reader and one writer at a time.

    trio's own stream asks the socket first and waits if it has nothing. A server's socket
    has nothing as a rule, so this one waits first, and saves a system call per request.
    No deadline is set here: each caller has one.
    """

    __slots__ = ("_sock", "is_closed")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.is_closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give what has come, b"" at the peer's end. Cancelling loses nothing.

        Raises:
            BrokenResourceError: the connection is lost.
            ClosedResourceError: we closed it.

        """
        while not self.is_closed:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(max_bytes or READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError("the connection is lost") from error
        raise trio.ClosedResourceError

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Give the kernel what it takes at once; say how many bytes that is.

        Raises:
            BrokenResourceError: the connection is lost.

        """
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError("the connection is lost") from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write all of it. After a cancellation nobody knows how much was written.

        Raises:
            BrokenResourceError, ClosedResourceError: as for ``receive_some``.

        """
        rest = memoryview(data)
        while rest:
            await self.wait_send_all_might_not_block()
            rest = rest[self.send_nowait(rest) :]

    async def wait_send_all_might_not_block(self) -> None:
        """Return once the kernel takes more."""
        if self.is_closed:
            raise trio.ClosedResourceError
        await trio.lowlevel.wait_writable(self._sock)

    async def send_eof(self) -> None:
        """End our side; the peer may still send."""
        self.end()
        await trio.lowlevel.checkpoint()

    def end(self) -> None:
        """End our side, now."""
        with suppress(OSError):  # the peer is gone already
            self._sock.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        """Close."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self, *, reset: bool = False) -> None:
        """Close now; whoever waits is told so.

        ``reset`` throws away what the peer has not taken yet, and tells it: otherwise the
        kernel would go on offering it, and half an answer would end like a whole one.
        """
        if self.is_closed:
            return
        self.is_closed = True
        if reset:
            with suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
