"""A link between two channels, for tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
import trio.testing

from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.machine import End
from agentgather.link.stream import Stream, StreamOver
from agentgather.wire.link import Response
from tests.doubles.link_line import line


class Link:
    """Both ends, running. ``ends`` is how each ended; ``streams`` what came to the host.

    ``tasks`` is where its ends run, in a link that :func:`open_link` gives.
    """

    tasks: trio.Nursery

    def __init__(self, serve: Callable[[Stream], Awaitable[None]] | None) -> None:
        self.broker_line, self.host_line = line()
        self.goings: list[str] = []
        self.broker = Channel(End.BROKER, self.broker_line)
        self.host = Channel(End.HOST, self.host_line, on_going=lambda: self.goings.append("host"))
        self.streams: list[Stream] = []
        self.ends: dict[str, LinkEnd] = {}
        self._serve = serve

    async def ask(self, body: bytes = b"", method: str = "GET") -> Stream:
        return await self.broker.open(method=method, path=b"/x", query=b"", headers=(), body=body)

    async def run_broker(self) -> None:
        self.ends["broker"] = await self.broker.run()

    async def run_host(self) -> None:
        async with trio.open_nursery() as serving:

            def on_request(stream: Stream) -> None:
                self.streams.append(stream)
                if self._serve is not None:
                    serving.start_soon(self._serve_one, stream)

            self.ends["host"] = await self.host.run(on_request=on_request)
            serving.cancel_scope.cancel()

    async def _serve_one(self, stream: Stream) -> None:
        assert self._serve is not None
        with suppress(StreamOver):
            await self._serve(stream)

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def open_link(
    serve: Callable[[Stream], Awaitable[None]] | None = None,
) -> AsyncIterator[Link]:
    """Run a link for the length of the block, with ``serve`` for each request at the host."""
    link = Link(serve)
    async with trio.open_nursery() as running:
        link.tasks = running
        running.start_soon(link.run_broker)
        running.start_soon(link.run_host)
        yield link
        running.cancel_scope.cancel()


async def read_all(stream: Stream, pause: float = 0) -> bytes:
    """Read a body to its end. Raises StreamOver."""
    pieces = []
    while not stream.is_ended:
        if stream.reset_code is not None:
            raise StreamOver(stream.reset_code)
        await stream.wait_news()
        if pause:
            await trio.sleep(pause)
        pieces.append(stream.take())
    return b"".join(pieces)


async def answer_with(stream: Stream, *, body: bytes = b"", is_echo: bool = False) -> None:
    """Answer a request, once it is whole."""
    came = await read_all(stream)
    data = came if is_echo else body
    await stream.send_head(Response(stream=stream.id, status=200, data=data, end=True))


echo = partial(answer_with, is_echo=True)


async def until(is_so: Callable[[], bool]) -> None:
    """Let virtual time pass until something is so."""
    for _ in range(10_000):
        if is_so():
            return
        await trio.sleep(0.1)
    raise AssertionError("it never is")
