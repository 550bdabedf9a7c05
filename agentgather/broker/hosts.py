"""A host as the broker sees it, whether it is on a link or polls."""

from collections.abc import Callable
from typing import Protocol

from agentgather.wire.link import Headers, Request, Response


class Asked(Protocol):
    """One request at a host, and its answer as it comes; see ``link.stream.Stream``."""

    head: Request | Response | None
    reset_code: str | None
    on_news: Callable[[], None]

    @property
    def has_news(self) -> bool:
        """Whether something has come since the last look."""

    @property
    def is_ended(self) -> bool:
        """Whether the answer is whole, and all of it was taken."""

    def take(self) -> bytes:
        """Give what has come of the body. What was taken before is done with."""

    def reset(self, code: str) -> None:
        """End it half-way."""


class Host(Protocol):
    """A host that is there, on a link or polling."""

    async def open(
        self, *, method: str, path: bytes, query: bytes, headers: Headers, body: bytes
    ) -> Asked:
        """Ask it. Raises Unavailable, or StreamOver where it went meanwhile."""

    def end(self, code: str) -> None:
        """Let it go, and fail what it was asked."""
