"""Who waits, and whom to wake. It holds numbers and cancel scopes, never messages.

A waiter registers, then looks at the log, then sleeps; with no ``await`` between the
first two, what lands in between finds it registered. Data never travels through the
wake-up: who wakes looks at the log again.

A held wait is one task in one cancel scope. The scope is its hold, its wake-up and,
because inside it the task reads from its client, the detector of a client that left.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import trio

from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import MAX_WAITS, WAKE_BATCH


class Waiter:
    """One held wait or stream. ``for_me`` waits sleep through what does not concern them.

    A ``stream`` also tells of the room's facts, so it wakes when only those have changed.
    """

    __slots__ = ("alias", "for_me", "scope", "stream", "woken")

    def __init__(self, alias: str, *, for_me: bool, stream: bool) -> None:
        self.alias = alias
        self.for_me = for_me
        self.stream = stream
        self.scope: trio.CancelScope | None = None
        self.woken = False


class WaitHub:
    """One per room."""

    def __init__(self) -> None:
        # Dicts, because they keep the order: who came first is woken first.
        self._to_any: dict[Waiter, None] = {}
        self._to_alias: dict[str, dict[Waiter, None]] = {}
        self._streams: dict[Waiter, None] = {}
        self._due: deque[Waiter] = deque()
        self._has_due = trio.Event()
        self._count = 0
        self.released = False

    def __len__(self) -> int:
        return self._count

    @contextmanager
    def seat(self, alias: str, *, for_me: bool = False, stream: bool = False) -> Iterator[Waiter]:
        """Register a waiter for the length of the block.

        Raises:
            Unavailable: ``overloaded``: the room holds as many waits as it can.

        """
        if self._count >= MAX_WAITS:
            raise Unavailable("overloaded", "the room holds too many waits", retry_after=5)
        waiter = Waiter(alias, for_me=for_me, stream=stream)
        self._count += 1
        self._register(waiter)
        try:
            yield waiter
        finally:
            self._count -= 1
            self._forget(waiter)

    def rearm(self, waiter: Waiter) -> None:
        """Let a stream's waiter that was woken sleep again."""
        if waiter.woken:
            waiter.woken = False
            waiter.scope = None
            self._register(waiter)

    def publish(self, aliases: Iterable[str], *, everybody: bool) -> None:
        """Wake those whom news concerns: everybody who waits for any, ``aliases``, or all."""
        self._wake(self._to_any)
        if everybody:
            for waiters in list(self._to_alias.values()):
                self._wake(waiters)
        else:
            for alias in aliases:
                self._wake(self._to_alias.get(alias, {}))

    def publish_facts(self) -> None:
        """Wake the streams: a seat or a name has changed, and no message tells of it."""
        self._wake(self._streams)

    def kick(self, alias: str) -> None:
        """Wake every wait and stream of one participant: its seat has changed."""
        self._wake({w: None for w in self._to_any if w.alias == alias})
        self._wake(self._to_alias.get(alias, {}))

    def release(self) -> None:
        """End every wait, now and from now on. For shutdown: each gets its answer."""
        self.released = True
        self.publish((), everybody=True)

    async def run(self) -> None:
        """Wake those who are due, in batches, so that nobody else has to stand still."""
        while True:
            await self._has_due.wait()
            for _ in range(min(WAKE_BATCH, len(self._due))):
                waiter = self._due.popleft()
                # One that was re-armed meanwhile has looked at the log, and sleeps anew.
                if waiter.woken and waiter.scope is not None:
                    waiter.scope.cancel()
            if not self._due:
                self._has_due = trio.Event()
            # Let the woken write their answers, and others their requests, in between.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    def _register(self, waiter: Waiter) -> None:
        if waiter.for_me:
            self._to_alias.setdefault(waiter.alias, {})[waiter] = None
        else:
            self._to_any[waiter] = None
        if waiter.stream:
            self._streams[waiter] = None

    def _forget(self, waiter: Waiter) -> None:
        self._to_any.pop(waiter, None)
        self._streams.pop(waiter, None)
        waiters = self._to_alias.get(waiter.alias)
        if waiters is not None:
            waiters.pop(waiter, None)
            if not waiters:
                del self._to_alias[waiter.alias]

    def _wake(self, waiters: dict[Waiter, None]) -> None:
        for waiter in list(waiters):
            waiter.woken = True
            self._forget(waiter)
            self._due.append(waiter)
        if self._due:
            self._has_due.set()
