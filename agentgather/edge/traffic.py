"""What a server counts: connections, connections by client, and answers in flight."""

import resource
from contextlib import suppress
from typing import Final, Protocol

import trio

from agentgather.edge.bounds import Bounds
from agentgather.edge.counts import Counts
from agentgather.wire.limits import RESERVED_DESCRIPTORS

_UNLIMITED: Final = 1 << 31


class Stoppable(Protocol):
    """A connection, as far as stopping goes."""

    def stop_if_idle(self) -> None:
        """End now if no request is in progress; otherwise after its answer."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit on descriptors to the hard one, and give what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says that there is no limit, and has one.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


class Traffic:
    """One per server. ``is_stopping`` is true from the moment that no request may begin.

    ``connections`` are those that run, for :meth:`stop`; they enter and leave it themselves.
    """

    def __init__(self, bounds: Bounds, descriptors: int) -> None:
        self._bounds = bounds
        # Where descriptors are few, half of them are for connections.
        spare = max(descriptors - RESERVED_DESCRIPTORS, descriptors // 2)
        self.most_connections: Final = max(1, min(bounds.connections, spare))
        self.is_stopping = False
        self.connections: set[Stoppable] = set()
        self._count = 0
        self._by_client = Counts()
        self._in_flight = 0
        self._none_in_flight = trio.Event()

    def enter(self, client: str) -> bool:
        """Count one more connection of this address. False, and not counted: it is too many."""
        if (
            self._count >= self.most_connections
            or self._by_client.of(client) >= self._bounds.connections_per_client
        ):
            return False
        self._count += 1
        self._by_client.add(client)
        return True

    def leave(self, client: str) -> None:
        """Count one connection less."""
        self._count -= 1
        self._by_client.take(client)

    def begin_answer(self) -> None:
        """Count one more answer in flight."""
        self._in_flight += 1

    def end_answer(self) -> None:
        """Count one less: it was written, or there is nobody to write it to."""
        self._in_flight -= 1
        if self.is_stopping and not self._in_flight:
            self._none_in_flight.set()

    def stop(self) -> None:
        """Let no request begin, and end every connection that has none."""
        self.is_stopping = True
        for connection in list(self.connections):
            connection.stop_if_idle()

    async def drain(self) -> None:
        """Return once no answer is in flight. Call it after :meth:`stop`."""
        if self._in_flight:
            await self._none_in_flight.wait()
