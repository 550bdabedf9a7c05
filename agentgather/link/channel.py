"""The Trio driver of a link: one reader, one writer, one watch.

    reader  transport -> machine -> streams
    writer  machine.outgoing -> transport
    watch   a ping now and then, and the end when its pong does not come

Streams have no tasks here. Whoever serves one is told by ``on_news`` that there is
something to look at, and waits for its turn where it sends. Nothing that a stream's owner
does or leaves undone stops the reader: what it may buffer is bounded by the credit it gave.
"""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

import trio

from agentgather.link.allowance import Allowance
from agentgather.link.machine import End, LinkMachine
from agentgather.link.open_streams import OpenStreams
from agentgather.link.stream import Stream
from agentgather.link.transport import LinkClosed, Transport
from agentgather.link.watch import Watch
from agentgather.link.writer import Writer
from agentgather.wire.errors import PeerViolation
from agentgather.wire.link import (
    CLOSE_CODES,
    GoingAway,
    Headers,
    Request,
    decode_from_broker,
    decode_from_host,
)

GOODBYE_SECONDS: Final = 2
"""How long the last frames may take, and then the peer's close."""
_NORMAL: Final = 1000
_NAMES: Final = {number: code for code, number in CLOSE_CODES.items()}


class LinkEnd(NamedTuple):
    """Why a link ended. ``code`` is a code of the link, or "" where the peer just went."""

    code: str
    by_peer: bool
    return_after_ms: int = 0


class Channel:
    """One registered link. :meth:`run` is its life.

    ``on_end`` is told at once why it ended, before the goodbye. ``allowance`` is what is left
    of the peer's from an earlier link.
    """

    def __init__(
        self,
        end: End,
        transport: Transport,
        *,
        on_going: Callable[[], None] = lambda: None,
        on_end: Callable[[LinkEnd], None] = lambda _end: None,
        allowance: Allowance | None = None,
    ) -> None:
        self._machine = LinkMachine(end, allowance or Allowance(trio.current_time()))
        self._decode = decode_from_host if end is End.BROKER else decode_from_broker
        self._transport = transport
        self._writer = Writer(transport, self._machine.outgoing)
        self._on_going = on_going
        self._on_end = on_end
        self._streams = OpenStreams(self._machine, self._writer)
        self._end: LinkEnd | None = None
        self._scope = trio.CancelScope()
        self._watch = Watch(self._machine.heartbeat, self._writer.wake)

    @property
    def stream_count(self) -> int:
        """How many streams are open."""
        return len(self._machine.streams)

    @property
    def is_open(self) -> bool:
        """Whether a stream may be opened."""
        return self._end is None and self._machine.going is None

    # --- Life ----------------------------------------------------------------------
    async def run(self, *, on_request: Callable[[Stream], None] = lambda _stream: None) -> LinkEnd:
        """Serve the link until it ends, and say why. Streams that are open then are reset.

        ``on_request`` is given each stream that the peer opens. Cancelling ends the link.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as tasks:
                    tasks.start_soon(self._write)
                    tasks.start_soon(self._look)
                    tasks.start_soon(self._read, on_request)
        finally:
            end = self._finish(LinkEnd("", by_peer=True))
        if not self._writer.is_torn:
            with trio.move_on_after(GOODBYE_SECONDS):
                await self._transport.close(CLOSE_CODES.get(end.code, _NORMAL), end.code)
        return end

    def go_away(self, code: str, return_after_ms: int = 0) -> None:
        """Announce that no stream is to be opened any more; those that are open go on."""
        self._machine.go_away(code, return_after_ms)
        self._writer.wake()

    def end(self, code: str) -> None:
        """Reset every stream, say why, and end the link."""
        if self._end is None:
            self._machine.go_away(code)
            self._finish(LinkEnd(code, by_peer=False))
            self._say_goodbye()

    def suspect(self) -> None:
        """Look at once whether the other end is there: the machine slept, the network changed."""
        self._watch.suspect()

    async def wait_idle(self) -> None:
        """Return once no stream is open. To be called after :meth:`go_away`."""
        await self._streams.wait_idle()

    async def open(
        self, *, method: str, path: bytes, query: bytes, headers: Headers, body: bytes
    ) -> Stream:
        """Open a stream with a whole request. Cancelling resets what was opened.

        Raises:
            Unavailable: ``route_request_limit``, or ``host_unavailable``: the link is ending.
            StreamOver: it was reset before all of the request was sent.

        """
        request = partial(
            Request, method=method, path=path, query=query, headers=headers, data=body, end=True
        )
        return await self._streams.open(request)

    # --- Tasks ---------------------------------------------------------------------
    async def _read(self, on_request: Callable[[Stream], None]) -> None:
        try:
            while self._end is None:
                message = await self._transport.receive()
                frame = self._machine.receive(self._decode(message), trio.current_time())
                if self._machine.outgoing:
                    self._writer.wake()
                if isinstance(frame, GoingAway):
                    self._on_going()
                elif frame is not None:
                    self._streams.deliver(frame, on_request)
        except LinkClosed as closed:
            self._finish(LinkEnd(_NAMES.get(closed.code, ""), by_peer=True))
            self._scope.cancel()
        except PeerViolation as violation:
            self._fail(violation)

    async def _write(self) -> None:
        try:
            await self._writer.run()
        except LinkClosed:
            # What came before the end says why it came: the reader gets there.
            self._scope.deadline = trio.current_time() + GOODBYE_SECONDS
        except PeerViolation as violation:
            self._finish(LinkEnd(violation.code, by_peer=False))
            self._scope.cancel()
        else:
            self._scope.cancel()

    async def _look(self) -> None:
        try:
            await self._watch.run()
        except PeerViolation as violation:
            self._fail(violation)

    # --- The end -------------------------------------------------------------------
    def _fail(self, violation: PeerViolation) -> None:
        """End the link for the peer's fault. It is told by the close and by nothing else."""
        if self._end is None:
            self._machine.outgoing.clear()
            self._finish(LinkEnd(violation.code, by_peer=False))
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        self._scope.deadline = trio.current_time() + GOODBYE_SECONDS

    def _finish(self, end: LinkEnd) -> LinkEnd:
        """Note the link's end, the first reason that there is, and tell every stream."""
        if self._end is not None:
            return self._end
        going = self._machine.going
        if going is not None and end.by_peer:
            end = LinkEnd(
                end.code or going.code, by_peer=True, return_after_ms=going.return_after_ms
            )
        self._end = end
        self._on_end(end)
        self._streams.lose()
        self._writer.stop()
        return end
