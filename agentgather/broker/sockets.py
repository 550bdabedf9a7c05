"""A host's WebSocket, as the server below gives it by ASGI."""

from typing import Final

from agentgather.edge.answers import Send, header_list, refusal
from agentgather.edge.bodies import Receive
from agentgather.link.transport import LinkClosed
from agentgather.wire.errors import PeerViolation, Rejected

# What the server below cuts a peer for, by the close code that it gave.
_FAULTS: Final = {
    1002: "bad_frame",
    1007: "bad_frame",
    1008: "rate_limited",
    1009: "bad_frame",
}


class SocketTransport:
    """A link's transport over ASGI."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._is_closed = False

    async def send(self, message: bytes) -> None:
        """Send one binary message."""
        if self._is_closed:
            raise LinkClosed(1006)
        await self._send({"type": "websocket.send", "bytes": message})

    async def receive(self) -> bytes | str:
        """Give the next message.

        Raises:
            LinkClosed: the connection ended.
            PeerViolation: the server below has cut it, for what the peer did.

        """
        event = await self._receive()
        if event["type"] != "websocket.receive":
            self._is_closed = True
            code = event.get("code") or 1006
            if code in _FAULTS:
                raise PeerViolation(_FAULTS[code], "no frames of a WebSocket, or too many")
            raise LinkClosed(code, event.get("reason") or "")
        data = event.get("bytes")
        # An empty binary message has been seen to come as None.
        return data if data is not None else event.get("text") or ""

    async def wait_left(self) -> None:
        """Return once a host has left that was not answered yet. Cancelling loses nothing.

        Before the answer to its handshake a host may send nothing; the server below ends
        one that does.
        """
        while (await self._receive())["type"] != "websocket.disconnect":
            pass

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye. The server below waits for the peer's."""
        if not self._is_closed:
            self._is_closed = True
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


async def refuse_handshake(send: Send, error: Rejected) -> None:
    """Answer a handshake with an HTTP answer (ASGI's WebSocket denial response)."""
    answer = refusal(error)
    await send(
        {
            "type": "websocket.http.response.start",
            "status": answer.status,
            "headers": header_list(answer),
        }
    )
    await send({"type": "websocket.http.response.body", "body": answer.body})
