"""A broker whose hosts and participants are cancelled at every step."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from agentgather.link.handshake import RegistrationRefused, register
from agentgather.link.stream import Stream
from agentgather.link.transport import LinkClosed
from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import RESPONSE_CREDIT_BYTES
from tests.cancellation.baseline import baseline
from tests.doubles.asgi_client import Reply
from tests.doubles.broker_stage import (
    EVE,
    EVENT_FIELDS,
    OTHER_SECRET,
    SECRET,
    Going,
    HostSocket,
    LinkedHost,
    Stage,
    echo,
    hold,
    open_stage,
    response,
    settled,
)
from tests.doubles.cancelling import Cut, cut_everywhere
from tests.doubles.clock import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME


@asynccontextmanager
async def open_broker(folder: Path, cut: Cut, **settings: Any) -> AsyncIterator[Stage]:
    """Have a broker of its own for one cut. What has to hold of any broker holds at the end."""
    async with open_stage(folder / f"{cut.number}", sweeps=False, **settings) as stage:
        await settled()
        yield stage
        await settled()
        await check(stage)


async def check(stage: Stage) -> None:
    """Say what has to hold of any broker at which nobody asks anything."""
    broker, routes = stage.broker, stage.broker.routes
    assert broker.relay.held == broker.links.streams == 0
    active = [route for route in routes._by_slug.values() if route.slug not in routes._over]
    for route in active:
        assert (route.requests, route.waits, route.strangers) == (0, 0, 0)
        assert (route.bodies.bytes, route.bodies.of_strangers) == (0, 0)
    handshakes = broker.links._handshakes
    assert len(handshakes) == len(handshakes._by_client) == 0
    # A lease that is given up is dropped at the next sweep.
    await routes.sweep()
    leases = {lease.slug_hash: lease.owner for lease in stage.state.load_leases()}
    assert {route.hash: route.owner for route in active} == leases
    assert sum(routes._by_client._counts.values()) == len(active)


# --- Hosts ----------------------------------------------------------------------------------
class Coming:
    """A host that comes, serves one request and leaves. ``is_told``: the slug is its own."""

    def __init__(self, stage: Stage, token: str) -> None:
        self.socket = HostSocket()
        self.is_told = False
        self.is_served = False
        self._stage = stage
        self._token = token

    async def run(self) -> None:
        line = self.socket.line
        try:
            registered = await register(
                line, slug="demo", secret=SECRET, registration_token=self._token
            )
        except (LinkClosed, RegistrationRefused, PeerViolation):
            return
        self.is_told = True
        host = LinkedHost(self.socket, registered, echo)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.run)
            nursery.start_soon(self._visit, host)

    async def _visit(self, host: LinkedHost) -> None:
        going = await self._stage.ask("GET", "/demo/status")
        self.is_served = going.status == 200
        host.channel.end("going_away")


async def test_a_host_that_comes_has_a_lease_and_a_route_or_neither(tmp_path: Path) -> None:
    async def once(cut: Cut) -> None:
        async with open_broker(tmp_path, cut, needs_token=True) as stage:
            _, token = stage.state.add_token("ops", now_wall_s=0)
            await settled()
            before = baseline()
            coming = Coming(stage, token)
            async with trio.open_nursery() as others:
                others.start_soon(coming.run)
                socket = coming.socket
                app = partial(stage.broker.app, stage.link_scope(), socket.receive, socket.send)
                await cut.run(app, beside=others)
                # The server below ends the connection with the task.
                socket.line.cut()
            await settled()
            assert baseline() == before
            assert len(stage.broker.links) == 0
            await check(stage)
            assert coming.is_served or not cut.is_over
            if coming.is_told:
                with pytest.raises(RegistrationRefused, match="route_slug_taken"):
                    await stage.host(secret=OTHER_SECRET, address=EVE, registration_token=token)
            # Its owner comes as if nothing had been, and is served.
            host = await stage.host(registration_token=token)
            assert (await stage.ask("GET", "/demo/status")).status == 200
            host.channel.end("going_away")

    await cut_everywhere(once, at_least=40)


async def test_an_older_host_that_comes_has_a_lease_and_a_route_or_neither(
    tmp_path: Path,
) -> None:
    async def once(cut: Cut) -> None:
        async with open_broker(tmp_path, cut) as stage:
            before = baseline()
            body = b'{"route_slug": "demo"}'
            await cut.run(partial(visit, stage, "POST", "/_host/register", body))
            await settled()
            assert baseline() == before
            assert cut.result is None or cut.result.status == 200
            await check(stage)
            if not stage.state.load_leases():
                # Nobody has the slug, so the next one may.
                assert (await visit(stage, "POST", "/_host/register", body)).status == 200

    await cut_everywhere(once, at_least=6)


# --- Participants ---------------------------------------------------------------------------
async def answer_in_pieces(stream: Stream) -> None:
    """Answer with more than the first credit, as an export does."""
    await stream.send_head(response(stream, end=False))
    await stream.send(bytes(2 * RESPONSE_CREDIT_BYTES), end=True)


async def tell_events(stream: Stream) -> None:
    """Answer with an event stream that ends."""
    await stream.send_head(response(stream, end=False, headers=EVENT_FIELDS))
    for number in range(3):
        await trio.sleep(1)
        await stream.send(b"id: %d\nevent: message\ndata: {}\n\n" % number, end=number == 2)


async def answer_late(stream: Stream) -> None:
    """Answer as a held wait is."""
    with trio.move_on_after(5):
        await hold(stream)
    await echo(stream)


REQUESTS: list[tuple[str, str, Callable[[Stream], Awaitable[None]]]] = [
    ("POST", "/demo/messages", echo),
    ("GET", "/demo/wait?since_id=1", answer_late),
    ("GET", "/demo/events", tell_events),
    ("GET", "/demo/export", answer_in_pieces),
]


async def visit(stage: Stage, method: str, target: str, body: bytes) -> Reply:
    """Make a request in this task."""
    going = Going(method, body)
    scope = stage.client().scope(method, target, body, None)
    await stage.broker.app(scope, going.receive, going.send)
    return going.whole()


@pytest.mark.parametrize(("method", "target", "serve"), REQUESTS)
async def test_a_request_frees_its_place_and_leaves_its_host_alone(
    tmp_path: Path, method: str, target: str, serve: Callable[[Stream], Awaitable[None]]
) -> None:
    async def once(cut: Cut) -> None:
        async with open_broker(tmp_path, cut) as stage:
            host = await stage.host(serve)
            before = baseline()
            body = b'{"text": "hello"}' if method == "POST" else b""
            await cut.run(partial(visit, stage, method, target, body), beside=stage.tasks)
            # Whoever answers looks at the stream again by then.
            await trio.sleep(10)
            await settled()
            assert cut.result is None or cut.result.status == 200
            assert (cut.result is not None) or not cut.is_over
            # The host heard of the end, and nobody works for the one who left.
            assert baseline() == before
            for stream in host.streams:
                assert stream.reset_code in (None, "cancelled")
            for channel in (host.channel, *stage.broker.links._channels):
                assert channel.stream_count == channel._machine._ledger.extra == 0
            # The link is as good as new.
            assert (await stage.ask(method, target, body=body)).status == 200
            assert host.end is None

    await cut_everywhere(once, at_least=25)
