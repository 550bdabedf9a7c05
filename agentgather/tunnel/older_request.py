"""One request that was polled from an older broker, and its answer, which is kept whole."""

from collections.abc import Callable

import trio
from msgspec import UNSET

from agentgather.edge.answers import header_list, refusal
from agentgather.link.stream import StreamOver
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import MAX_HOST_ANSWER_BYTES
from agentgather.wire.link import Headers, Request, Response
from agentgather.wire.older import Envelope, OlderAnswer


class OlderRequest:
    """See :class:`agentgather.tunnel.incoming.Incoming`. Nobody says that they have left."""

    def __init__(self, envelope: Envelope) -> None:
        path, _, query = envelope.path.partition("?")
        self._body = envelope.body_base64 if isinstance(envelope.body_base64, bytes) else b""
        self.head: Request | Response | None = Request(
            # The number is a link's; the answer has none.
            stream=1,
            method=envelope.method,
            path=path.encode(),
            query=query.encode(),
            headers=tuple(
                (name.lower().encode(), value.encode()) for name, value in envelope.headers.items()
            ),
            end=True,
        )
        self.reset_code: str | None = None
        self.on_news: Callable[[], None] = lambda: None
        self._answer: Response | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_whole = False

    # --- The request ---------------------------------------------------------------
    @property
    def is_ended(self) -> bool:
        """Whether all of the request's body was taken."""
        return not self._body

    def take(self) -> bytes:
        """Give the request's body."""
        body, self._body = self._body, b""
        return body

    async def wait_news(self) -> None:
        """Return once the request was reset: nothing else can come."""
        came = trio.Event()
        before, self.on_news = self.on_news, came.set
        try:
            if self.reset_code is None:
                await came.wait()
        finally:
            self.on_news = before

    # --- The answer ----------------------------------------------------------------
    async def send_head(self, head: Request | Response) -> None:
        """Keep the head, with as much of the body as it has. Raises StreamOver."""
        assert isinstance(head, Response), "an answer begins with its head"
        self._answer = head
        await self.send(head.data, end=head.end)

    async def send(self, data: bytes, *, end: bool) -> None:
        """Keep more of the body. Raises StreamOver."""
        await trio.lowlevel.checkpoint()
        if self.reset_code is not None:
            raise StreamOver(self.reset_code)
        self._size += len(data)
        if self._size > MAX_HOST_ANSWER_BYTES:
            self.reset("response_too_large")
            raise StreamOver("response_too_large")
        self._pieces.append(data)
        self._is_whole = end

    def reset(self, code: str) -> None:
        """End it half-way: the answer is an error now."""
        if self.reset_code is None and not self._is_whole:
            self.reset_code = code
            self._pieces = []
            self.on_news()

    def answer(self) -> OlderAnswer:
        """Give what goes back to the broker: the whole answer, or why there is none."""
        if self._answer is None or not self._is_whole:
            return refused("response_too_large" if self._is_too_large else "host_unavailable")
        return _older(self._answer.status, self._answer.headers, b"".join(self._pieces))

    @property
    def _is_too_large(self) -> bool:
        return self.reset_code == "response_too_large"


def refused(code: str, message: str | None = None) -> OlderAnswer:
    """Give an error as an answer."""
    answer = refusal(Rejected(code, message))
    return _older(answer.status, tuple(header_list(answer)), answer.body)


def _older(status: int, headers: Headers, body: bytes) -> OlderAnswer:
    # Of the rest those brokers drop what they do not know.
    fields = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name != b"content-length"
    }
    return OlderAnswer(status=status, headers=fields, body_base64=body or UNSET)
