"""A tunnel that is cancelled at every step: its requests, its connection and its socket."""

from functools import partial
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from agentgather.link.stream import Stream, StreamOver
from agentgather.tunnel.client import run_tunnel
from agentgather.tunnel.events import Opened, TunnelPlan
from agentgather.tunnel.responder import AsgiResponder
from agentgather.tunnel.websocket import open_websocket
from agentgather.wire.limits import RESPONSE_CREDIT_BYTES
from agentgather.wire.link import SUBPROTOCOL
from tests.cancellation.baseline import baseline
from tests.doubles.cancelling import Cut, cut_everywhere
from tests.doubles.fake_broker import BROKER, FakeBroker, Visit, serve_for_ever
from tests.doubles.raw_http import eventually
from tests.edge.peers import serving
from tests.link.links import read_all

PLAN = TunnelPlan(BROKER, "review", "agh_" + "s" * 43)
LARGE = bytes(2 * RESPONSE_CREDIT_BYTES)


class Room:
    """An application that counts whom it serves: one at once, one at length, one for ever."""

    def __init__(self) -> None:
        self.serving = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.serving += 1
        try:
            await receive()
            if scope["path"].endswith("/wait"):
                await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            body = LARGE if scope["path"].endswith("/export") else b""
            await send({"type": "http.response.body", "body": body})
        finally:
            self.serving -= 1


async def test_an_attempt_leaves_neither_requests_nor_connections(
    autojump_clock: MockClock,
) -> None:
    async def once(cut: Cut) -> None:
        before = baseline()
        room, stop = Room(), trio.Event()
        answers: dict[bytes, bytes | str] = {}

        async def ask(visit: Visit, path: bytes) -> None:
            assert visit.channel is not None
            asking = partial(visit.channel.open, method="GET", query=b"", headers=(), body=b"")
            try:
                stream: Stream = await asking(path=path)
                answers[path] = await read_all(stream)
            except StreamOver as over:
                answers[path] = over.code

        async def ask_three(visit: Visit) -> None:
            channel = await visit.register()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.run)
                for path in (b"/status", b"/export", b"/wait"):
                    nursery.start_soon(ask, visit, path)
                await wait_all_tasks_blocked()
                stop.set()

        broker = FakeBroker(ask_three, serve_for_ever)
        run = partial(
            run_tunnel,
            PLAN,
            AsgiResponder(room),
            stop=stop,
            on_event=lambda _event: None,
            entropy=bytes,
            dial=broker.dial,
            suspended=lambda: 0.0,
        )
        await cut.run(run)
        assert room.serving == 0
        assert baseline() == before
        for visit in broker.visits:
            assert visit.channel is None or not visit.channel.is_open
        for path, answer in answers.items():
            whole = LARGE if path == b"/export" else b""
            assert answer in (whole, "host_unavailable", "cancelled"), path
        # The slug can be public again at once.
        again = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                partial(
                    run,
                    stop=again,
                    on_event=lambda event: again.set() if isinstance(event, Opened) else None,
                )
            )

    await cut_everywhere(once, at_least=60)


async def repeat(scope: Any, receive: Any, send: Any) -> None:
    """Take a link, and send every message back."""
    if scope["type"] == "lifespan":
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "bytes": event["bytes"], "text": event["text"]})


async def test_a_websocket_to_a_broker_leaves_no_socket_at_either_end() -> None:
    async with serving(repeat) as server:

        async def operation() -> None:
            async with open_websocket(f"http://127.0.0.1:{server.port}") as websocket:
                await websocket.send(LARGE)
                assert await websocket.receive() == LARGE
                await websocket.close(1000, "")

        async def once(cut: Cut) -> None:
            await wait_all_tasks_blocked()
            before = baseline()
            await cut.run(operation)
            # The other end goes in its own time.
            await eventually(lambda: baseline() == before)

        await cut_everywhere(once, at_least=40)
