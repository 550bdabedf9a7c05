"""A broker over real sockets, in this process: for what is said in bytes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from agentgather.broker.service import serve_broker
from agentgather.broker.settings import BrokerSettings
from agentgather.broker.state import open_state
from agentgather.edge.serve import open_listener
from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.handshake import register
from agentgather.link.machine import End
from agentgather.link.stream import Stream, StreamOver
from agentgather.tunnel.websocket import open_websocket
from tests.doubles.broker_stage import OPEN_QUOTAS, SECRET, LogBytes, Serve
from tests.doubles.raw_http import RawServer, request

SECONDS = 20
"""Nothing here takes as long, on however slow a machine."""


class BrokerServer(RawServer):
    """A running broker. ``log`` is what it has written."""

    def __init__(self, port: int, metrics_port: int, tasks: trio.Nursery) -> None:
        super().__init__(port)
        self.url = f"http://127.0.0.1:{port}"
        self.metrics_port = metrics_port
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.log = LogBytes()
        self.channels: list[Channel] = []
        self.tasks = tasks

    @property
    def streams(self) -> int:
        """How many requests are at hosts."""
        return sum(channel.stream_count for channel in self.channels)

    async def host(
        self,
        serve: Serve,
        slug: str = "demo",
        *,
        secret: str = SECRET,
        on_end: Callable[[LinkEnd], None] = lambda _end: None,
        **options: Any,
    ) -> Channel:
        """Have a host on a link, over a real WebSocket."""

        async def run(task_status: trio.TaskStatus[Channel]) -> None:
            async with open_websocket(self.url) as websocket:
                await register(websocket, slug=slug, secret=secret, **options)
                channel = Channel(End.HOST, websocket)
                self.channels.append(channel)
                task_status.started(channel)
                async with trio.open_nursery() as serving:

                    async def serve_one(stream: Stream) -> None:
                        try:
                            await serve(stream)
                        except StreamOver:
                            return

                    end = await channel.run(
                        on_request=lambda stream: serving.start_soon(serve_one, stream)
                    )
                    on_end(end)
                    serving.cancel_scope.cancel()

        channel: Channel = await self.tasks.start(run)
        return channel

    async def metrics(self) -> str:
        reply = await RawServer(self.metrics_port).ask(request("GET", "/metrics"))
        assert reply.status == 200
        return reply.body.decode()

    async def until(self, what: Callable[[], object]) -> None:
        """Return once it is so."""
        with trio.fail_after(SECONDS):
            while not what():  # noqa: ASYNC110 - it happens elsewhere, and tells nobody
                await trio.sleep(0.01)


@asynccontextmanager
async def open_server(path: Path, **settings: Any) -> AsyncIterator[BrokerServer]:
    """Run a broker on a free port, with a state directory under ``path``."""
    state = open_state(path / "state", serving=True)
    sockets, metrics_sockets = open_listener("127.0.0.1", 0), open_listener("127.0.0.1", 0)
    port, metrics_port = (some[0].getsockname()[1] for some in (sockets, metrics_sockets))
    options = {"quotas": OPEN_QUOTAS, **settings}
    chosen = BrokerSettings(base_url=f"http://127.0.0.1:{port}", **options)
    try:
        async with trio.open_nursery() as nursery, trio.open_nursery() as tasks:
            server = BrokerServer(port, metrics_port, tasks)

            async def run(task_status: trio.TaskStatus[None]) -> None:
                await serve_broker(
                    chosen,
                    sockets,
                    metrics_sockets,
                    state,
                    server.log,
                    stop=server.stop,
                    task_status=task_status,
                )
                server.ended.set()

            await nursery.start(partial(run))
            yield server
            server.stop.set()
            with trio.fail_after(SECONDS):
                await server.ended.wait()
            tasks.cancel_scope.cancel()
    finally:
        state.close()
