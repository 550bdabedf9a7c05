"""WebSocket frames as a client writes them, well or badly (RFC 6455 section 5.2)."""

import struct
from typing import NamedTuple

from tests.edge.peers import RawPeer, get

FIELDS = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""What RFC 6455 section 1.3 makes of that key."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def handshake(*fields: str) -> bytes:
    return get("/link?a=b", *FIELDS, *fields)


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """Give one frame. ``length`` is what it says its length is, if it lies."""
    size = len(payload) if length is None else length
    first = (fin << 7) | (rsv << 4) | opcode
    if size < 126:
        head = struct.pack("!BB", first, (masked << 7) | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, (masked << 7) | 126, size)
    else:
        head = struct.pack("!BBQ", first, (masked << 7) | 127, size)
    # A mask of zeros is one too, and leaves the payload as it is.
    return head + (bytes(4) if masked else b"") + payload


class Frame(NamedTuple):
    """One frame as the server wrote it."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """Why it closes."""
        assert self.opcode == CLOSE
        return int.from_bytes(self.payload[:2], "big")


def parse_frames(data: bytes) -> list[Frame]:
    found = []
    while data:
        assert not data[0] & 0x70, "a reserved bit is set"
        size, start = data[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        found.append(Frame(data[0] & 15, data[start : start + size]))
        data = data[start + size :]
    return found


async def upgrade(peer: RawPeer, *fields: str) -> dict[str, str]:
    """Make a WebSocket of a connection; give the headers of the 101."""
    await peer.send(handshake(*fields))
    found = await peer.answer(head_only=True)
    assert found.status == 101
    return found.headers
