"""What a link needs of a WebSocket, whichever library speaks it."""

from typing import Protocol


class LinkClosed(Exception):
    """The WebSocket is over. ``code`` and ``reason`` are the peer's, or 1006 and nothing."""

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"closed with {code} {reason}".rstrip())


class Transport(Protocol):
    """One WebSocket: for one reader and one writer.

    A cancelled ``send`` leaves half a frame, so the transport is of no use afterwards.
    """

    async def send(self, message: bytes) -> None:
        """Send one binary message. Raises LinkClosed."""

    async def receive(self) -> bytes | str:
        """Give the next message. Cancelling loses nothing. Raises LinkClosed."""

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait a moment for the peer's. Raises nothing but Cancelled."""
