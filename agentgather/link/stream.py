"""One request and its answer on a link, at either end."""

from collections.abc import Callable

import trio
from msgspec.structs import replace

from agentgather.link.machine import LinkMachine
from agentgather.link.outgoing import head_bytes
from agentgather.link.streams import StreamState
from agentgather.link.writer import Writer
from agentgather.wire.limits import MAX_DATA_BYTES, MAX_HEAD_BYTES
from agentgather.wire.link import Data, Request, Reset, Response, Window

Forget = Callable[[int], None]


class StreamOver(Exception):
    """The stream was reset: by the other end, by ours, or with its link."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class Stream:
    """One stream, for one owner.

    ``head`` is what the other end began with, None until it came. ``reset_code`` is set
    once the stream is over half-way. ``on_news`` is called, synchronously, whenever a head,
    data, an end or a reset has come; an owner that waits otherwise assigns its own.
    ``has_news``: something has come since the last :meth:`take` or :meth:`wait_news`.
    """

    def __init__(
        self, state: StreamState, machine: LinkMachine, writer: Writer, forget: Forget
    ) -> None:
        self.id = state.id
        self.head: Request | Response | None = None
        self.reset_code: str | None = None
        self.on_news: Callable[[], None] = lambda: None
        self.has_news = self._got_end = False
        self._state = state
        self._machine = machine
        self._writer = writer
        self._forget = forget
        self._pieces: list[bytes] = []
        self._taken = 0
        self._credit_came: trio.Event | None = None

    # --- What comes ----------------------------------------------------------------
    @property
    def is_ended(self) -> bool:
        """Whether the other end's body is whole, and all of it was taken."""
        return self._got_end and not self._pieces

    def take(self) -> bytes:
        """Give what has come of the body; b"" if nothing did.

        Who takes again, or waits, is done with what was taken: its sender gets credit for it.
        """
        self.has_news = False
        self._give_back()
        data, self._pieces = b"".join(self._pieces), []
        self._taken = len(data)
        return data

    async def wait_news(self) -> None:
        """Return once something has come since the last look. One waiter; see :meth:`take`."""
        self._give_back()
        if self.has_news:
            await trio.lowlevel.checkpoint()
        else:
            came = trio.Event()
            before, self.on_news = self.on_news, came.set
            try:
                await came.wait()
            finally:
                self.on_news = before
        self.has_news = False

    def deliver(self, frame: Request | Response | Data | Reset | Window) -> None:
        """Take a frame of this stream. For the channel."""
        if isinstance(frame, Window):
            self._wake_sender()
            return
        if isinstance(frame, Reset):
            self._over(frame.code)
            return
        if not isinstance(frame, Data):
            self.head = frame
        if frame.data:
            self._pieces.append(frame.data)
        if frame.end:
            self._got_end = True
            if self._is_answered:
                self._forget(self.id)
                self._wake_sender()
        self._tell()

    def lose(self) -> None:
        """Note that the link is over. For the channel. What has come whole stays whole."""
        self._over("host_unavailable")

    # --- What goes -----------------------------------------------------------------
    async def send_head(self, head: Request | Response) -> None:
        """Send a head, with as much of a body as it has. Cancelling may leave half of it sent.

        Raises:
            StreamOver: the stream was reset, or the head is too long for a frame.

        """
        await self._writer.wait_turn()
        self._check()
        rest = self.begin(head)
        if rest:
            await self.send(rest, end=head.end)

    def begin(self, head: Request | Response) -> bytes:
        """Queue a head, and give what of the body is not sent with it.

        Raises:
            StreamOver: the head is too long for a frame.

        """
        if head_bytes(head) > MAX_HEAD_BYTES:
            self.reset("bad_host_response" if isinstance(head, Response) else "bad_frame")
            self._check()
        first = min(len(head.data), self._state.credit, MAX_DATA_BYTES)
        rest = head.data[first:]
        self._queue(replace(head, data=head.data[:first], end=False) if rest else head)
        return rest

    async def send(self, data: bytes, *, end: bool) -> None:
        """Send more of the body, of any size; waits for credit. Cancelling may leave half sent.

        What of a request is left when its answer is whole goes nowhere.

        Raises:
            StreamOver: the stream was reset.

        """
        rest = memoryview(data)
        while rest or end:
            self._check()
            if rest and not self._state.credit and not self._is_answered:
                self._credit_came = trio.Event()
                await self._credit_came.wait()
                continue
            await self._writer.wait_turn()
            self._check()
            if self._is_answered:
                return
            size = min(len(rest), self._state.credit, MAX_DATA_BYTES)
            piece, rest = rest[:size], rest[size:]
            self._queue(Data(stream=self.id, data=bytes(piece), end=end and not rest))
            end = end and bool(rest)

    def reset(self, code: str) -> None:
        """End it half-way, both ways, unless it is over. What had come is to be taken still."""
        self._machine.reset(self.id, code)
        self._writer.wake()
        self._over(code)

    @property
    def _is_answered(self) -> bool:
        """Whether, at the broker's end, the whole answer has come."""
        return self._got_end and isinstance(self.head, Response)

    def _queue(self, frame: Request | Response | Data) -> None:
        self._machine.send(self._state, frame)
        self._writer.wake()
        if frame.end and isinstance(self.head, Request):
            self._forget(self.id)

    def _check(self) -> None:
        if self.reset_code is not None:
            raise StreamOver(self.reset_code)

    def _over(self, code: str) -> None:
        if self.reset_code is not None or self._is_answered:
            return
        self.reset_code = code
        self._forget(self.id)
        self._wake_sender()
        self._tell()

    def _give_back(self) -> None:
        if self._taken:
            self._machine.consume(self._state, self._taken)
            self._taken = 0
            self._writer.wake()

    def _wake_sender(self) -> None:
        if self._credit_came is not None:
            self._credit_came.set()

    def _tell(self) -> None:
        self.has_news = True
        self.on_news()
