"""A WebSocket to a broker, over trio-websocket.

That library takes an answer of any length for a refusal, and does not notice a broker that
hangs up during the handshake. So the connection is ours, and looks at what comes before.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from agentgather.edge.origins import DEFAULT_PORTS
from agentgather.link.transport import LinkClosed
from agentgather.tunnel.no_link import NoLink, explain
from agentgather.wire.limits import MAX_HEADERS_BYTES
from agentgather.wire.link import LINK_PATH, SUBPROTOCOL

CONNECT_SECONDS: Final = 10
"""From the name to the end of the handshake."""
MAX_REFUSAL_BYTES: Final = MAX_HEADERS_BYTES + 16 * 1024
"""An answer that is no handshake."""
READ_BYTES: Final = 64 * 1024
MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Past it the library closes; a frame of the link is far shorter, and is checked again."""
QUEUED_MESSAGES: Final = 64
"""Read ahead of the link, so that a ping is answered while a frame is being dealt with."""


class WebSocket:
    """See :class:`agentgather.link.transport.Transport`."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def send(self, message: bytes) -> None:
        """Send one binary message."""
        try:
            await self._connection.send_message(message)
        except (ConnectionClosed, LocalProtocolError) as error:
            raise _closed(error) from error

    async def receive(self) -> bytes | str:
        """Give the next message."""
        try:
            return await self._connection.get_message()
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the peer's. The caller has a deadline for it."""
        with suppress(LocalProtocolError):
            await self._connection.aclose(code, reason)


def _closed(error: Exception) -> LinkClosed:
    reason = error.reason if isinstance(error, ConnectionClosed) else None
    return LinkClosed(1006) if reason is None else LinkClosed(reason.code, reason.reason or "")


@asynccontextmanager
async def open_websocket(broker: str) -> AsyncIterator[WebSocket]:
    """Have a WebSocket to a broker, a base URL in normal form, for the length of the block.

    Raises:
        NoLink: it could not be had, or it broke in a way that is the broker's fault.

    """
    raised: Exception | None = None
    due = trio.current_time() + CONNECT_SECONDS
    try:
        async with trio.open_nursery() as reading:
            with trio.fail_at(due):
                stream = _Guarded(await _connect(broker))
            try:
                with trio.fail_at(due):
                    connection = await _shake_hands(reading, stream, broker)
                stream.is_open = True
                try:
                    yield WebSocket(connection)
                except Exception as error:
                    # Out of the nursery it would come in a group.
                    raised = error
            finally:
                await trio.aclose_forcefully(stream)
                reading.cancel_scope.cancel()
    except* Exception as group:
        # Out of the attempt, or out of the library's reader.
        raised = raised or explain(group)
    if raised is not None:
        raise raised


async def _shake_hands(
    handler_nursery: trio.Nursery, stream: trio.abc.Stream, broker: str
) -> WebSocketConnection:
    parts = urlsplit(broker)
    connection = await wrap_client_stream(
        handler_nursery,
        stream,  # type: ignore[arg-type] # any stream will do
        parts.netloc,
        parts.path + LINK_PATH,
        subprotocols=[SUBPROTOCOL],
        message_queue_size=QUEUED_MESSAGES,
        max_message_size=MAX_MESSAGE_BYTES,
        receive_buffer_size=READ_BYTES,
    )
    if connection.subprotocol != SUBPROTOCOL:
        raise NoLink("it speaks another form of the link; is there a newer agentgather?")
    return connection


async def _connect(broker: str) -> trio.abc.Stream:
    parts = urlsplit(broker)
    host = parts.hostname or ""
    stream = await trio.open_tcp_stream(host, parts.port or DEFAULT_PORTS[parts.scheme])
    if parts.scheme == "http":
        return stream
    context = ssl.create_default_context()
    secured = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    try:
        await secured.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


class _Guarded(trio.abc.Stream):
    """Ends a handshake that is too long, or broken off."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.is_open = False
        self._stream = stream
        self._left = MAX_REFUSAL_BYTES

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await self._stream.receive_some(max_bytes)
        if not self.is_open:
            self._left -= len(data)
            if not data or self._left < 0:
                # What the library has just read may have been the end of the handshake.
                await trio.lowlevel.checkpoint()
                if not self.is_open:
                    raise NoLink("it broke off the handshake; is it a broker?")
        return bytes(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
