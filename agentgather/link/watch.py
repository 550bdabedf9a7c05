"""The task that sees whether the other end of a link is still there."""

from collections.abc import Callable
from typing import Final

import trio

from agentgather.link.heartbeat import Heartbeat
from agentgather.wire.limits import PING_SECONDS, PONG_SECONDS

SUSPECTED_PONG_SECONDS: Final = 5
"""How long a pong may take where the link is likely to be dead, as after a laptop's sleep."""


class Watch:
    """Has a ping sent now and then; ``wake`` is called when one is to be sent."""

    def __init__(self, heartbeat: Heartbeat, wake: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._wake = wake
        self._suspected = trio.Event()

    def suspect(self) -> None:
        """Have a look at once, and wait for the pong no longer than a moment."""
        self._suspected.set()

    async def run(self) -> None:
        """Watch until the other end is gone.

        Raises:
            PeerViolation: ``heartbeat_timeout``: it is.

        """
        pause, patience = float(PING_SECONDS), float(PONG_SECONDS)
        while True:
            due = trio.current_time() + pause
            with trio.move_on_at(due):
                await self._suspected.wait()
            now = trio.current_time()
            # Whoever was stopped for a while finds a link that may have died meanwhile.
            is_news = self._suspected.is_set() or now > due + pause
            self._suspected = trio.Event()
            if is_news and (self._heartbeat.is_alive or patience == PONG_SECONDS):
                pause = patience = SUSPECTED_PONG_SECONDS
                self._heartbeat.ask_anew(now)
            else:
                if self._heartbeat.is_alive:
                    pause, patience = PING_SECONDS, PONG_SECONDS
                self._heartbeat.ask(now, patience)
            self._wake()
