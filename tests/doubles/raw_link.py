"""A host's end of a link as raw bytes: handshake and WebSocket frames, well or badly."""

from contextlib import suppress

import trio

from agentgather.link.proof import owner_of, prove
from agentgather.wire.link import (
    LINK_PATH,
    SUBPROTOCOL,
    Challenge,
    FromBroker,
    FromHost,
    Register,
    Registered,
    decode_from_broker,
    encode_frame,
)
from tests.doubles.broker_stage import SECRET
from tests.edge.frames import BINARY, CLOSE, Frame, frame

SECONDS = 20
FIELDS = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
)


def handshake(port: int, *fields: str) -> bytes:
    lines = [f"GET {LINK_PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(fields or FIELDS)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class RawLink:
    """One connection. ``head`` is the answer to its handshake."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.head = b""
        self._received = b""

    async def send(self, data: bytes) -> None:
        """Send bytes; a connection that the broker ended takes none, and that is no error."""
        with suppress(trio.BrokenResourceError):
            await self.stream.send_all(data)

    async def say(self, *frames: FromHost) -> None:
        await self.send(b"".join(frame(BINARY, encode_frame(one)) for one in frames))

    async def upgrade(self, port: int, *more: str) -> None:
        await self.send(handshake(port, *FIELDS, *more))
        while b"\r\n\r\n" not in self._received:
            await self._more()
        self.head, _, self._received = self._received.partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head

    async def register(self, slug: str = "demo", *, secret: str = SECRET) -> None:
        challenge = await self.hear()
        assert isinstance(challenge, Challenge)
        proof = prove(secret, slug, challenge.nonce)
        await self.say(Register(slug=slug, owner=owner_of(secret), proof=proof))
        answer = await self.hear()
        assert isinstance(answer, Registered), answer

    async def frame(self) -> Frame:
        """Read a WebSocket frame; EOFError at the end."""
        with trio.fail_after(SECONDS):
            while True:
                data = self._received
                size = data[1] & 127 if len(data) > 1 else 0
                extra = {126: 2, 127: 8}.get(size, 0)
                if len(data) >= 2 + extra:
                    if extra:
                        size = int.from_bytes(data[2 : 2 + extra], "big")
                    if len(data) >= 2 + extra + size:
                        self._received = data[2 + extra + size :]
                        return Frame(data[0] & 15, data[2 + extra : 2 + extra + size])
                await self._more()

    async def hear(self) -> FromBroker:
        """Read a frame of the link."""
        found = await self.frame()
        assert found.opcode == BINARY, found
        return decode_from_broker(found.payload)

    async def close_code(self) -> int:
        """Read to the end, and give the close's code; 0 where the connection was just cut."""
        try:
            while True:
                found = await self.frame()
                if found.opcode == CLOSE:
                    return found.code
        except (EOFError, trio.BrokenResourceError):
            return 0

    async def rest(self) -> bytes:
        """Read to the end of the connection."""
        with trio.fail_after(SECONDS):
            try:
                while True:
                    await self._more()
            except (EOFError, trio.BrokenResourceError):
                return self._received

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError
        self._received += data
