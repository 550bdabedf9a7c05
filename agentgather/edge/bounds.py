"""What one server allows its peers: the numbers of ``wire.limits``, and its own."""

from typing import Final, NamedTuple

from agentgather.wire.limits import (
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_CLIENT,
    UNREAD_ANSWER_SECONDS,
    UNSENT_BODY_SECONDS,
)

READ_BYTES: Final = 64 * 1024
"""One read of a socket. A request's head fits; a body's chunk is what an application gets."""
MAX_PIPELINED_BYTES: Final = 64 * 1024
"""Bytes behind a request that is being answered. They are kept for later, because only who
reads notices the peer's end. Past it the peer counts as gone."""
MAX_DISCARDED_BYTES: Final = 1024 * 1024
"""What a lingering close reads and throws away: any refused body, and then some."""
MAX_BODY_EVENTS: Final = 256
"""Chunks taken from the parser in one turn. A body of chunks of one byte costs 4 ms a turn."""
MAX_WEBSOCKET_MESSAGE_BYTES: Final = 1024 * 1024
"""A WebSocket message; one frame of a link is at most 64 KiB."""


class Bounds(NamedTuple):
    """The bounds of one server. Durations are in seconds, sizes in bytes."""

    headers_seconds: float = HEADERS_SECONDS
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS
    unread_answer_seconds: float = UNREAD_ANSWER_SECONDS
    unsent_body_seconds: float = UNSENT_BODY_SECONDS
    connections: int = MAX_CONNECTIONS
    connections_per_client: int = MAX_CONNECTIONS_PER_CLIENT
    websocket_message_bytes: int = MAX_WEBSOCKET_MESSAGE_BYTES


DEFAULT_BOUNDS: Final = Bounds()
