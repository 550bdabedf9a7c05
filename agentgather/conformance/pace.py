"""How quickly a room is asked through a broker, which takes so many requests a minute."""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from agentgather.wire.limits import RATE_WINDOW_SECONDS, ROUTE_REQUESTS_PER_WINDOW

_MARGIN: Final = 40
"""Requests in a minute that others at the same route may make, as its host does."""
MOST: Final = ROUTE_REQUESTS_PER_WINDOW - _MARGIN
WINDOW_SECONDS: Final = RATE_WINDOW_SECONDS + 2
"""A broker counts by the second, and the one that its window begins in as a whole; and a
request is there later than it was sent."""


class Pace:
    """Counts requests, and waits where a broker would refuse one; ``say`` is told why.

    ``is_bound``: there is a broker in between.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.is_bound = False
        self._say = say
        self._asked: deque[float] = deque()

    async def take(self) -> None:
        """Wait until one more request is taken, and count it."""
        await self.make_room_for(1)
        self._asked.append(trio.current_time())

    async def make_room_for(self, requests: int) -> None:
        """Wait until so many more are taken within a window."""
        now = trio.current_time()
        while self._asked and self._asked[0] <= now - WINDOW_SECONDS:
            self._asked.popleft()
        while self.is_bound and len(self._asked) + requests > MOST:
            waits = self._asked[0] + WINDOW_SECONDS - trio.current_time()
            if waits >= 1:
                self._say(f"waiting {waits:.0f} s: the broker takes so many requests a minute")
            if waits > 0:
                await trio.sleep(waits)
            self._asked.popleft()
