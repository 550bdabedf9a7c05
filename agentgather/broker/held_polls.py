"""The polls of one host that wait for something to take."""

import trio

from agentgather.edge.bodies import ClientLeft, Receive, wait_gone
from agentgather.wire.limits import MAX_OLDER_POLLS, POLL_SECONDS


class HeldPolls:
    """At most ``MAX_OLDER_POLLS``; beyond that the oldest one is answered."""

    def __init__(self) -> None:
        self._scopes: list[trio.CancelScope] = []

    async def hold(self, receive: Receive) -> None:
        """Sleep until woken, or for ``POLL_SECONDS``.

        Raises:
            ClientLeft: the host closed the connection.

        """
        with trio.move_on_after(POLL_SECONDS) as scope:
            if len(self._scopes) >= MAX_OLDER_POLLS:
                self._scopes.pop(0).cancel()  # Most likely nobody reads its answer any more.
            self._scopes.append(scope)
            try:
                await wait_gone(receive)
                raise ClientLeft
            finally:
                if scope in self._scopes:
                    self._scopes.remove(scope)

    def wake(self) -> None:
        """Wake one, the newest: it is the likeliest to have a living host behind it."""
        if self._scopes:
            self._scopes.pop().cancel()

    def wake_all(self) -> None:
        """Wake each of them."""
        while self._scopes:
            self._scopes.pop().cancel()
