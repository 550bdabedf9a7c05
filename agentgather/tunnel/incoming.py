"""One request that has come in, as whoever answers it sees it."""

from collections.abc import Callable
from typing import Protocol

from agentgather.wire.link import Request, Response


class Incoming(Protocol):
    """A stream at the host's end: :class:`agentgather.link.stream.Stream`, or like it.

    Methods that send raise ``StreamOver`` where the participant has left.
    """

    head: Request | Response | None
    reset_code: str | None
    on_news: Callable[[], None]

    @property
    def is_ended(self) -> bool:
        """Whether the request's body is whole, and all of it was taken."""

    def take(self) -> bytes:
        """Give what has come of the body. What was taken before is done with."""

    async def wait_news(self) -> None:
        """Return once something has come that was not there at the last look.

        What was taken is done with.
        """

    async def send_head(self, head: Request | Response) -> None:
        """Send the head of the answer, with as much of the body as it has."""

    async def send(self, data: bytes, *, end: bool) -> None:
        """Send more of the body."""

    def reset(self, code: str) -> None:
        """End it half-way."""
