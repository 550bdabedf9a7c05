"""The five calls of a host to an older broker, over HTTP."""

from typing import Final, TypeVar

import httpcore
import msgspec
import trio

from agentgather.tunnel.http_server import HttpServer
from agentgather.wire.errors import Refusal
from agentgather.wire.limits import MAX_BODY_BYTES, MAX_HEADERS_BYTES, MAX_TARGET_BYTES
from agentgather.wire.older import (
    HOST_PREFIX,
    Credentials,
    Envelope,
    OlderAnswer,
    OlderRegistered,
    OlderRoute,
    Polled,
    Registration,
    Respond,
)

CALL_SECONDS: Final = 10
"""Such a broker answers each call at once; what takes longer is a dead connection."""
IDLE_SECONDS: Final = 4
"""How long a connection is kept; those brokers close theirs after 5 s."""
MAX_CONNECTIONS: Final = 16
"""Polls, the heartbeat and a few answers at once; further answers wait for a moment."""
MAX_REPLY_BYTES: Final = 2 * (MAX_BODY_BYTES + MAX_HEADERS_BYTES + MAX_TARGET_BYTES)
"""A request in JSON: its body is longer by a third in base64, the rest by some escapes."""

T = TypeVar("T")

_encode: Final = msgspec.json.Encoder().encode
_REGISTERED: Final = msgspec.json.Decoder(OlderRegistered)
_POLLED: Final = msgspec.json.Decoder(Polled)
_REFUSAL: Final = msgspec.json.Decoder(Refusal)
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)


class CallRefused(Exception):
    """The broker refused. ``code`` is its word, and so is the text."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(code)


class CallFailed(Exception):
    """There was no answer, or none that can be read. The text says why, for people."""


class OlderCalls:
    """Calls to the broker at a base URL in normal form. To be closed by whoever made it."""

    def __init__(self, broker: str, backend: httpcore.AsyncNetworkBackend | None = None) -> None:
        self._server = HttpServer(
            broker, connections=MAX_CONNECTIONS, idle_seconds=IDLE_SECONDS, backend=backend
        )
        self._headers = [
            (b"host", self._server.host),
            (b"content-type", b"application/json"),
            (b"accept", b"application/json"),
        ]

    async def close_connections(self) -> None:
        """Close the connections that are kept."""
        await self._server.pool.aclose()

    async def register(self, slug: str) -> OlderRoute:
        """Claim a slug. Raises CallRefused, CallFailed, as all calls do."""
        answer = await self._call("register", Registration(slug), _REGISTERED)
        return answer.route

    async def beat(self, credentials: Credentials) -> None:
        """Say that the host is there."""
        await self._call("heartbeat", credentials, _ANYTHING)

    async def poll(self, credentials: Credentials) -> Envelope | None:
        """Take the next request, if there is one. Cancelling may lose it."""
        answer = await self._call("poll", credentials, _POLLED)
        return answer.request

    async def respond(self, credentials: Credentials, request_id: str, answer: OlderAnswer) -> None:
        """Answer a request."""
        respond = Respond(
            route_id=credentials.route_id,
            host_connection_id=credentials.host_connection_id,
            request_id=request_id,
            response=msgspec.Raw(_encode(answer)),
        )
        await self._call("respond", respond, _ANYTHING)

    async def close(self, credentials: Credentials) -> None:
        """Give the route up."""
        await self._call("close", credentials, _ANYTHING)

    async def _call(
        self, action: str, document: msgspec.Struct, decoder: msgspec.json.Decoder[T]
    ) -> T:
        try:
            with trio.fail_after(CALL_SECONDS):
                status, body = await self._post(action, _encode(document))
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            raise CallFailed("the connection to the broker failed") from None
        except (httpcore.TimeoutException, trio.TooSlowError):
            raise CallFailed(f"no answer within {CALL_SECONDS} s") from None
        try:
            if 200 <= status <= 299:
                return decoder.decode(body)
            refusal = _REFUSAL.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise CallFailed(f"it answers HTTP {status}, as no broker does") from None
        raise CallRefused(refusal.error, refusal.message[:500])

    async def _post(self, action: str, content: bytes) -> tuple[int, bytes]:
        url = self._server.url((HOST_PREFIX + action).encode())
        headers = [*self._headers, (b"content-length", b"%d" % len(content))]
        pieces: list[bytes] = []
        size = status = 0
        with trio.CancelScope() as reading:
            async with self._server.pool.stream(
                "POST", url, headers=headers, content=content
            ) as answer:
                status = answer.status
                async for piece in answer.aiter_stream():
                    size += len(piece)
                    pieces.append(piece)
                    if size > MAX_REPLY_BYTES:
                        # Left half-way, its iterator would be open until it is collected.
                        reading.cancel()
        if size > MAX_REPLY_BYTES:
            raise CallFailed("its answer is longer than any")
        return status, b"".join(pieces)
