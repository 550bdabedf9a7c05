"""Hosts between their handshake and their registration: how many, and how often in vain.

Coming is cheap for whoever comes and not for a broker. Who came to nothing too often is not
turned away but answered late: behind one address there may be others who mean it, and the
address of a proxy that is not trusted stands for all hosts. Where all places are taken, the
address that has most of them gives one up: a few addresses that stay silent shut nobody out.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from agentgather.edge.rates import CoarseWindow
from agentgather.link.transport import LinkClosed
from agentgather.wire.errors import PeerViolation, Unavailable
from agentgather.wire.limits import (
    MAX_PENDING,
    MAX_PENDING_PER_CLIENT,
    VAIN_HANDSHAKES_PER_WINDOW,
    VAIN_WAIT_SECONDS,
)

BUSY_RETRY_SECONDS: Final = 5
"""When to come again where there is no place."""


class Handshake:
    """One host on its way. ``is_vain`` unless its slug became its own."""

    def __init__(self) -> None:
        self.is_vain = True
        self.scope = trio.CancelScope()


class Handshakes:
    """All of them. ``on_late`` is told of each that has to wait."""

    def __init__(self, on_late: Callable[[], None]) -> None:
        self._on_late = on_late
        self._count = 0
        # Each client's, the oldest first. No client is here that has none.
        self._by_client: dict[str, dict[Handshake, None]] = {}
        self._in_vain = CoarseWindow(VAIN_HANDSHAKES_PER_WINDOW)

    def __len__(self) -> int:
        """Count those that are on their way."""
        return self._count

    @asynccontextmanager
    async def open(
        self, client: str, wait_left: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[Handshake]:
        """Have a place for the length of the block, which may begin ``VAIN_WAIT_SECONDS`` late.

        The block is cancelled when the place goes to somebody else. ``wait_left`` returns once
        the host has left; it is cancelled when the block begins.

        Raises:
            Unavailable: ``overloaded``: there is no place, or it was lost before the block.
            LinkClosed: the host left before the block.
            PeerViolation: ``heartbeat_timeout``: the place was lost in the block.

        """
        handshake = self._take_place(client)
        has_begun = False
        try:
            with handshake.scope:
                if self._in_vain.wait_seconds(client, trio.current_time()):
                    self._on_late()
                    with trio.move_on_after(VAIN_WAIT_SECONDS):
                        await wait_left()
                        raise LinkClosed(1006)
                has_begun = True
                yield handshake
        finally:
            self._give_up(client, handshake)
            if handshake.is_vain:
                self._in_vain.record(client, trio.current_time())
        if handshake.scope.cancelled_caught:
            if has_begun:
                raise PeerViolation("heartbeat_timeout", "others needed the place")
            raise _full()

    def _take_place(self, client: str) -> Handshake:
        own = len(self._by_client.get(client, ()))
        if own >= MAX_PENDING_PER_CLIENT:
            raise _full()
        if self._count >= MAX_PENDING:
            most = max(self._by_client, key=lambda other: len(self._by_client[other]))
            # Among equals who came first stays: hosts that all come back at once, as after a
            # restart, would put out one another for ever.
            if len(self._by_client[most]) <= own + 1:
                raise _full()
            oldest = next(iter(self._by_client[most]))
            self._give_up(most, oldest)
            oldest.scope.cancel()
        handshake = Handshake()
        self._by_client.setdefault(client, {})[handshake] = None
        self._count += 1
        return handshake

    def _give_up(self, client: str, handshake: Handshake) -> None:
        """Free a place, if it is not somebody else's by now."""
        places = self._by_client.get(client, {})
        if handshake in places:
            del places[handshake]
            self._count -= 1
            if not places:
                del self._by_client[client]


def _full() -> Unavailable:
    return Unavailable("overloaded", retry_after=BUSY_RETRY_SECONDS)
