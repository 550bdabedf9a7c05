"""One request at an older host, and its answer, which comes whole."""

from collections.abc import Callable
from typing import Final, Protocol

from agentgather.wire.limits import MAX_DATA_BYTES
from agentgather.wire.link import Request, Response
from agentgather.wire.older import Envelope


class Owner(Protocol):
    """What a request needs of its host."""

    def forget(self, request: "PolledRequest") -> None:
        """Note that a request is over, however it ended."""

    def free(self, size: int) -> None:
        """Note that some of an answer has left the buffer."""


def _no_news() -> None:
    pass


class PolledRequest:
    """See :class:`agentgather.broker.hosts.Asked`."""

    __slots__ = ("_answer", "_has_news", "_host", "envelope", "head", "on_news", "reset_code")

    def __init__(self, envelope: Envelope, host: Owner) -> None:
        self.envelope: Final = envelope
        self.head: Request | Response | None = None
        self.reset_code: str | None = None
        self.on_news: Callable[[], None] = _no_news
        self._host = host
        self._answer = memoryview(b"")
        self._has_news = False

    @property
    def body_size(self) -> int:
        """How many bytes of a body it carries to the host."""
        body = self.envelope.body_base64
        return len(body) if isinstance(body, bytes) else 0

    @property
    def has_news(self) -> bool:
        """Whether something has come since the last :meth:`take`."""
        return self._has_news

    @property
    def is_ended(self) -> bool:
        """Whether the answer is whole, and all of it was taken."""
        return self.head is not None and self.reset_code is None and not self._answer

    def take(self) -> bytes:
        """Give the next piece of the answer.

        A large one is given in pieces, so that what a participant does not read counts
        for the route's buffer.
        """
        self._has_news = False
        piece, self._answer = self._answer[:MAX_DATA_BYTES], self._answer[MAX_DATA_BYTES:]
        if piece:
            self._host.free(len(piece))
        return bytes(piece)

    def reset(self, code: str) -> None:
        """End it half-way. What the host answers then is dropped."""
        if self.reset_code is not None:
            return
        self.reset_code = code
        rest, self._answer = len(self._answer), memoryview(b"")
        if rest:
            self._host.free(rest)
        self._host.forget(self)
        self._tell()

    def answer(self, head: Response, body: bytes) -> None:
        """Take the host's answer."""
        self.head = head
        self._answer = memoryview(body)
        self._host.forget(self)
        self._tell()

    def _tell(self) -> None:
        self._has_news = True
        self.on_news()
