"""A stream at a host's end without a link: a request that is there, an answer that is kept."""

from collections.abc import Callable

import trio

from agentgather.link.stream import StreamOver
from agentgather.wire.link import Request, Response


class FakeIncoming:
    """See :class:`agentgather.tunnel.incoming.Incoming`.

    ``frames`` are what was sent, as ``(kind, bytes, end)``. Without ``room`` nothing more
    is taken, as by a broker that gives no credit.
    """

    def __init__(
        self,
        method: str = "GET",
        path: bytes = b"/",
        *,
        query: bytes = b"",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        body: bytes = b"",
        whole: bool = True,
    ) -> None:
        self.head: Request | Response | None = Request(
            stream=7, method=method, path=path, query=query, headers=headers, data=body, end=whole
        )
        self.reset_code: str | None = None
        self.reset_by_us: str | None = None
        self.on_news: Callable[[], None] = lambda: None
        self.answer: Response | None = None
        self.frames: list[tuple[str, bytes, bool]] = []
        self.sent = trio.Event()
        self.room = trio.Event()
        self.room.set()
        self._pieces = [body] if body else []
        self._is_whole = whole
        self._news = False

    # --- What the participant does ----------------------------------------------
    def give(self, data: bytes, *, end: bool = False) -> None:
        """Send more of the request's body."""
        self._pieces.append(data)
        self._is_whole = end
        self._tell()

    def leave(self) -> None:
        """Go away."""
        self.reset_code = "cancelled"
        self.room.set()
        self._tell()

    @property
    def body(self) -> bytes:
        return b"".join(data for _, data, _ in self.frames)

    @property
    def is_answered(self) -> bool:
        return bool(self.frames) and self.frames[-1][2]

    @property
    def headers(self) -> dict[bytes, bytes]:
        assert self.answer is not None
        return dict(self.answer.headers)

    async def wait_frames(self, count: int) -> None:
        while len(self.frames) < count:
            self.sent = trio.Event()
            await self.sent.wait()

    # --- What the host does --------------------------------------------------------
    @property
    def is_ended(self) -> bool:
        return self._is_whole and not self._pieces

    def take(self) -> bytes:
        self._news = False
        data = b"".join(self._pieces)
        self._pieces = []
        return data

    async def wait_news(self) -> None:
        if self._news:
            await trio.lowlevel.checkpoint()
        else:
            came = trio.Event()
            before, self.on_news = self.on_news, came.set
            try:
                await came.wait()
            finally:
                self.on_news = before
        self._news = False

    async def send_head(self, head: Request | Response) -> None:
        assert isinstance(head, Response)
        assert self.answer is None, "a second head"
        self.answer = head
        await self._send("head", head.data, end=head.end)

    async def send(self, data: bytes, *, end: bool) -> None:
        assert self.answer is not None, "a body before its head"
        assert not self.is_answered, "sent after the end"
        await self._send("data", data, end=end)

    def reset(self, code: str) -> None:
        if self.reset_code is None and not self.is_answered:
            self.reset_code = self.reset_by_us = code
            self._tell()

    async def _send(self, kind: str, data: bytes, *, end: bool) -> None:
        await self.room.wait()
        if self.reset_code is not None:
            raise StreamOver(self.reset_code)
        self.frames.append((kind, data, end))
        self.sent.set()

    def _tell(self) -> None:
        self._news = True
        self.on_news()
