"""A connection that has become a WebSocket: the application, and beside it the reader."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from hypercorn.events import Closed, RawData

from agentgather.edge.peer import Peer
from agentgather.edge.protocol import Protocol, Started
from agentgather.wire.limits import UNSENT_BODY_SECONDS

logger: Final = logging.getLogger(__name__)


async def run_websocket(
    app: Callable[[Any, Any, Any], Awaitable[None]], started: Started, http: Protocol, peer: Peer
) -> None:
    """Run the application until it returns or the peer leaves.

    The reader answers pings and closes, so two tasks write, and take turns. When the peer
    leaves, the application hears of it and has ``UNSENT_BODY_SECONDS`` to end.
    """
    channel = started.channel
    assert channel is not None
    turn = trio.Lock()

    async def flush() -> None:
        async with turn:
            await peer.flush()

    async def send(message: Any) -> None:
        await started.send(message)
        await flush()

    async def run_app() -> None:
        try:
            await app(started.scope, channel.receive, send)
        except Exception:
            logger.exception("an application failed")
        await started.send(None)
        await flush()
        nursery.cancel_scope.cancel()

    await flush()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_app)
        while not peer.closing and not peer.gone:
            data = await peer.read()
            if not data:
                break
            await http.handle(RawData(data))
            await flush()
        nursery.cancel_scope.deadline = trio.current_time() + UNSENT_BODY_SECONDS
        await http.handle(Closed())
