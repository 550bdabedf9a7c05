"""One connection to a broker, from its name to the end of the link."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from agentgather.link.channel import Channel, LinkEnd
from agentgather.link.handshake import register
from agentgather.link.machine import End
from agentgather.link.stream import Stream
from agentgather.link.transport import LinkClosed, Transport
from agentgather.tunnel.events import TunnelPlan
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.public_url import check_public_url
from agentgather.tunnel.responder import Responder
from agentgather.wire.errors import PeerViolation
from agentgather.wire.limits import BROKER_DRAIN_SECONDS, MAX_STREAMS, REGISTER_SECONDS
from agentgather.wire.link import Registered

logger: Final = logging.getLogger("agentgather.tunnel")

STOP_SECONDS: Final = 3
"""How long requests in flight may take when the tunnel is told to stop."""
AFTERMATH_SECONDS: Final = 2
"""How long what a lost link left behind may take to end, such as a write to the disk."""
LEAVE_SECONDS: Final = BROKER_DRAIN_SECONDS + 7
"""How long a broker that is going away is held on to."""
MAX_RESPONDING: Final = 2 * MAX_STREAMS
"""Requests that are worked on, with those whose streams are over: a write goes on when its
participant has left, and a broker could ask and reset for ever."""

Dial = Callable[[str], AbstractAsyncContextManager[Transport]]
"""Has a WebSocket to a base URL for the length of a block; raises NoLink."""


class Attempt:
    """One attempt, which :meth:`run` makes. ``opened_at`` is when the link opened, if it did."""

    def __init__(self, plan: TunnelPlan, responder: Responder, dial: Dial) -> None:
        self.opened_at: float | None = None
        self._plan = plan
        self._responder = responder
        self._dial = dial
        self._connecting = trio.CancelScope()
        self._channel: Channel | None = None
        self._responding = 0

    async def run(self, on_open: Callable[[str], None]) -> LinkEnd | None:
        """Connect, and serve until the link ends. None: :meth:`stop` came before it opened.

        ``on_open`` is told the public URL, in normal form, before the first request.

        Raises:
            NoLink, RegistrationRefused, BadPublicUrl: there is no link.

        """
        with self._connecting:
            async with self._dial(self._plan.broker) as transport:
                registered = await register_at(transport, self._plan)
                public_url = check_public_url(registered.public_url, self._plan.slug)
                # From here on `stop` lets requests end, and nothing is awaited in between.
                self._responder.serve_at(public_url)
                self.opened_at = trio.current_time()
                on_open(public_url)
                return await self._serve(transport)
        return None

    async def _serve(self, transport: Transport) -> LinkEnd:
        async with trio.open_nursery() as streams:

            def on_request(stream: Stream) -> None:
                if self._responding >= MAX_RESPONDING:
                    stream.reset("route_request_limit")
                    return
                self._responding += 1
                streams.start_soon(self._respond, stream)

            def on_going() -> None:
                streams.start_soon(self._leave)

            self._channel = Channel(End.HOST, transport, on_going=on_going)
            end = await self._channel.run(on_request=on_request)
            # Every stream is reset by now, and whoever answers one knows.
            streams.cancel_scope.deadline = trio.current_time() + AFTERMATH_SECONDS
        return end

    async def _respond(self, stream: Stream) -> None:
        try:
            await self._responder.respond(stream)
        except Exception:
            # A bug. It ends this stream and no other.
            logger.exception("a responder failed")
            stream.reset("internal_error")
        finally:
            self._responding -= 1

    async def _leave(self) -> None:
        """End the link to a broker that goes away and does not do it itself."""
        assert self._channel is not None
        await trio.sleep(LEAVE_SECONDS)
        self._channel.end("going_away")

    async def stop(self) -> None:
        """End it: what is in flight may end before, for so long."""
        if self._channel is None:
            self._connecting.cancel()
            return
        self._channel.go_away("going_away")
        with trio.move_on_after(STOP_SECONDS):
            await self._channel.wait_idle()
        self._channel.end("going_away")

    def suspect(self) -> None:
        """Find out at once whether the link lives: this process did not run for a while."""
        if self._channel is not None:
            self._channel.suspect()


async def register_at(
    transport: Transport, plan: TunnelPlan, *, claim_only: bool = False
) -> Registered:
    """Register with a broker, in time.

    Raises:
        NoLink, RegistrationRefused: it did not come about.

    """
    try:
        with trio.fail_after(REGISTER_SECONDS):
            return await register(
                transport,
                slug=plan.slug,
                secret=plan.secret,
                registration_token=plan.registration_token,
                claim_only=claim_only,
            )
    except trio.TooSlowError:
        raise NoLink(f"no answer to the registration within {REGISTER_SECONDS} s") from None
    except (LinkClosed, PeerViolation):
        raise NoLink("it broke off the registration") from None


async def claim_route(plan: TunnelPlan, dial: Dial) -> str:
    """Lease the slug without serving anything, and give the public URL in normal form.

    Raises:
        NoLink, RegistrationRefused, BadPublicUrl: there is none.

    """
    async with dial(plan.broker) as transport:
        registered = await register_at(transport, plan, claim_only=True)
    return check_public_url(registered.public_url, plan.slug)
