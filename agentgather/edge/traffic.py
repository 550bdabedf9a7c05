"""What a server counts: answers in flight, connections, and connections by client."""

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from agentgather.wire.limits import (
    MAX_CONNECTIONS,
    MAX_CONNECTIONS_PER_CLIENT,
    RESERVED_DESCRIPTORS,
)


class Traffic:
    """One per server. ``idle`` are the reads of connections that wait for a request."""

    def __init__(self) -> None:
        self.idle: set[trio.CancelScope] = set()
        self._connections = 0
        self._by_client: Counter[str] = Counter()
        self._in_flight = 0
        self._none_in_flight = trio.Event()
        self._draining = False
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._most = max(1, min(MAX_CONNECTIONS, hard - RESERVED_DESCRIPTORS))

    def admits(self, client: str) -> bool:
        """Say whether one more connection of this client may be served."""
        return (
            self._connections < self._most and self._by_client[client] < MAX_CONNECTIONS_PER_CLIENT
        )

    @contextmanager
    def counted(self, client: str) -> Iterator[None]:
        """Count a connection for as long as the block lasts."""
        self._connections += 1
        self._by_client[client] += 1
        try:
            yield
        finally:
            self._connections -= 1
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]

    def begin(self) -> None:
        """Count one more answer in flight."""
        self._in_flight += 1

    def end(self) -> None:
        """Count one answer in flight less: it was written, or its peer is gone."""
        self._in_flight -= 1
        if self._draining and not self._in_flight:
            self._none_in_flight.set()

    async def drain(self) -> None:
        """Return once no answer is in flight. Call it when no more can begin."""
        self._draining = True
        if self._in_flight:
            await self._none_in_flight.wait()
