"""The endpoint where hosts connect: the handshake, the registration, the link's life.

    WebSocket --> challenge --> claim --> registered --> attached --> the link runs --> detached

A link that is not registered counts for its client's address, has ``REGISTER_SECONDS``,
and holds nothing of a route's.
"""

from collections.abc import Callable, Mapping
from typing import Any

import trio

from agentgather.broker.access_log import Note
from agentgather.broker.gate import Gate
from agentgather.broker.handshakes import Handshake, Handshakes
from agentgather.broker.hosts import Asked
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.broker.sockets import SocketTransport, refuse_handshake
from agentgather.edge.answers import Send
from agentgather.edge.bodies import Receive
from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.handshake import receive_claim
from agentgather.link.machine import End
from agentgather.link.transport import LinkClosed, Transport
from agentgather.wire.errors import PeerViolation, Rejected, Unavailable
from agentgather.wire.limits import REGISTER_SECONDS
from agentgather.wire.link import (
    CLOSE_CODES,
    FAULT_CODES,
    NONCE_BYTES,
    SUBPROTOCOL,
    Headers,
    Refused,
    Registered,
    encode_frame,
)


class LinkHost:
    """A host on a link."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def open(
        self, *, method: str, path: bytes, query: bytes, headers: Headers, body: bytes
    ) -> Asked:
        """Open a stream. Raises Unavailable, StreamOver."""
        return await self._channel.open(
            method=method, path=path, query=query, headers=headers, body=body
        )

    def end(self, code: str) -> None:
        """End the link, and fail what it was asked."""
        self._channel.end(code)


class Links:
    """All links of a broker."""

    def __init__(
        self,
        gate: Gate,
        routes: Routes,
        handshakes: Handshakes,
        *,
        entropy: Callable[[int], bytes],
        note: Note,
    ) -> None:
        self._gate = gate
        self._routes = routes
        self._entropy = entropy
        self._note = note
        self._handshakes = handshakes
        self._channels: set[Channel] = set()

    def __len__(self) -> int:
        """Count the links that are registered."""
        return len(self._channels)

    @property
    def streams(self) -> int:
        """How many streams are open on all links."""
        return sum(channel.stream_count for channel in self._channels)

    def go_away(self, return_after_ms: Callable[[int], int]) -> None:
        """Tell every host to come back later; ``return_after_ms`` spreads them by a number."""
        for number, channel in enumerate(self._channels):
            channel.go_away("going_away", return_after_ms(number))

    async def wait_idle(self) -> None:
        """Return once no stream is open on any link. To be called after :meth:`go_away`."""
        for channel in list(self._channels):
            await channel.wait_idle()

    def end(self) -> None:
        """End every link."""
        for channel in list(self._channels):
            channel.end("going_away")

    async def serve(
        self, scope: Mapping[str, Any], receive: Receive, send: Send, client: str
    ) -> None:
        """Serve one WebSocket of a host."""
        await receive()  # the handshake
        if SUBPROTOCOL not in scope["subprotocols"]:
            await refuse_handshake(
                send, Rejected("invalid_registration", f"this broker speaks {SUBPROTOCOL}")
            )
            return
        transport = SocketTransport(receive, send)
        try:
            async with self._handshakes.open(client, transport.wait_left) as handshake:
                await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": []})
                route = await self._register(transport, client, handshake)
        except Unavailable as full:
            await refuse_handshake(send, full)
        except PeerViolation as violation:
            await transport.close(CLOSE_CODES[violation.code], violation.code)
        except LinkClosed:
            return
        else:
            if route is not None:
                await self._run(transport, route)

    async def _register(
        self, transport: Transport, client: str, handshake: Handshake
    ) -> Route | None:
        """Register a host. None: it was refused, or wanted no more than to claim."""
        code, slug = "heartbeat_timeout", ""
        with trio.move_on_after(REGISTER_SECONDS):
            try:
                claim = await receive_claim(transport, self._entropy(NONCE_BYTES))
                slug = claim.slug
                route = await self._gate.admit(slug, claim.owner, claim.registration_token, client)
                handshake.is_vain = False
                await transport.send(encode_frame(self._registered(route)))
                if not claim.claim_only:
                    return route
                code = ""
            except Rejected as error:
                code = error.code
                self._gate.count_failure(client, error, slug)
                await transport.send(
                    encode_frame(
                        Refused(
                            code=error.code, message=error.message, retry_after_s=error.retry_after
                        )
                    )
                )
        await transport.close(CLOSE_CODES.get(code, 1000), code)
        return None

    def _registered(self, route: Route) -> Registered:
        terms = self._routes.terms
        left = route.created + terms.lifetime_seconds - trio.current_time()
        return Registered(
            public_url=self._gate.public_url(route.slug),
            lease_seconds=int(terms.idle_seconds),
            lifetime_seconds=max(0, int(left)),
        )

    async def _run(self, transport: Transport, route: Route) -> None:
        def on_end(end: LinkEnd) -> None:
            if end.code in FAULT_CODES and not end.by_peer:
                self._gate.pause(route)

        channel = Channel(End.BROKER, transport, on_end=on_end, allowance=route.allowance)
        host = LinkHost(channel)
        self._routes.attach(route, host)
        self._channels.add(channel)
        self._note("link_open", route.slug, None)
        code: str | None = "cancelled"
        try:
            code = (await channel.run()).code or None
        finally:
            self._channels.discard(channel)
            self._routes.detach(route, host)
            self._note("link_end", route.slug, code)
