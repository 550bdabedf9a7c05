"""The open streams of a link, each with its owner: what comes is delivered, what ends is told."""

from collections.abc import Callable

import trio

from agentgather.link.machine import LinkMachine
from agentgather.link.outgoing import Frame
from agentgather.link.stream import Stream
from agentgather.link.streams import StreamState
from agentgather.link.writer import Writer
from agentgather.wire.errors import Unavailable
from agentgather.wire.link import Data, Request, Reset, Response, Window


class OpenStreams:
    """All of them, until :meth:`lose`."""

    def __init__(self, machine: LinkMachine, writer: Writer) -> None:
        self._machine = machine
        self._writer = writer
        self._by_id: dict[int, Stream] = {}
        self._idle = trio.Event()
        self._is_lost = False

    async def open(self, request: Callable[..., Request]) -> Stream:
        """Open a stream with a whole request, which is made by giving it its ``stream``.

        Raises:
            Unavailable, StreamOver: see :meth:`agentgather.link.channel.Channel.open`.

        """
        await self._writer.wait_turn()
        if self._is_lost:
            raise Unavailable("host_unavailable", retry_after=1)
        # From here to the head nothing is awaited: numbers rise on the wire as well.
        stream = self._add(self._machine.open())
        try:
            rest = stream.begin(request(stream=stream.id))
            await stream.send(rest, end=bool(rest))
        except BaseException:
            stream.reset("cancelled")
            while stream.take():
                pass
            raise
        return stream

    def deliver(self, frame: Frame, on_request: Callable[[Stream], None]) -> None:
        """Give a frame to the stream that it is for."""
        if isinstance(frame, Request):
            stream = self._add(self._machine.streams[frame.stream])
            stream.deliver(frame)
            on_request(stream)
        elif isinstance(frame, Response | Data | Reset | Window):
            known = self._by_id.get(frame.stream)
            if known is not None:
                known.deliver(frame)

    def lose(self) -> None:
        """Tell every stream that the link is over."""
        self._is_lost = True
        for stream in list(self._by_id.values()):
            stream.lose()
        self._idle.set()

    async def wait_idle(self) -> None:
        """Return once no stream is open, or all are lost."""
        while self._machine.streams and not self._is_lost:
            if self._idle.is_set():
                self._idle = trio.Event()
            await self._idle.wait()

    def _add(self, state: StreamState) -> Stream:
        stream = Stream(state, self._machine, self._writer, self._forget)
        self._by_id[stream.id] = stream
        return stream

    def _forget(self, stream_id: int) -> None:
        self._by_id.pop(stream_id, None)
        if not self._machine.streams:
            self._idle.set()
