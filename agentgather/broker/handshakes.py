"""Hosts between their handshake and their registration: how many, and how often in vain.

Coming is cheap for whoever comes and not for a broker. Who came to nothing too often is not
turned away but answered late: behind one address there may be others who mean it, and the
address of a proxy that is not trusted stands for all hosts.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from agentgather.edge.counts import Counts
from agentgather.edge.rates import CoarseWindow
from agentgather.wire.errors import Unavailable
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


class Handshakes:
    """All of them. ``on_late`` is told of each that has to wait."""

    def __init__(self, on_late: Callable[[], None]) -> None:
        self._on_late = on_late
        self._pending = 0
        self._by_client = Counts()
        self._in_vain = CoarseWindow(VAIN_HANDSHAKES_PER_WINDOW)

    @asynccontextmanager
    async def open(self, client: str) -> AsyncIterator[Handshake]:
        """Have a place for the length of the block, which may begin ``VAIN_WAIT_SECONDS`` late.

        Raises:
            Unavailable: ``overloaded``.

        """
        if self._pending >= MAX_PENDING or self._by_client.of(client) >= MAX_PENDING_PER_CLIENT:
            raise Unavailable("overloaded", retry_after=BUSY_RETRY_SECONDS)
        self._pending += 1
        self._by_client.add(client)
        handshake = Handshake()
        try:
            if self._in_vain.wait_seconds(client, trio.current_time()):
                self._on_late()
                await trio.sleep(VAIN_WAIT_SECONDS)
            yield handshake
        finally:
            self._pending -= 1
            self._by_client.take(client)
            if handshake.is_vain:
                self._in_vain.record(client, trio.current_time())
