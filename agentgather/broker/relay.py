"""Requests to hosts: how many of one route there may be, and one's way there and back.

The participant's task does all of it, and has no other. Nothing is buffered but a request's
body, and of the answer what the host was given credit for.
"""

from collections.abc import Mapping
from typing import Final

import trio

from agentgather.broker.answering import AWAY_RETRY_SECONDS, pass_on, refused
from agentgather.broker.hosts import Asked, Host
from agentgather.broker.route import Route
from agentgather.broker.visit import Visit
from agentgather.edge.bodies import has_body
from agentgather.link.stream import StreamOver
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import ANSWER_SECONDS, MAX_STREAMS, MAX_WAITS_PER_ROUTE
from agentgather.wire.link import Headers

_FORWARDED: Final = (b"authorization", b"content-type", b"accept", b"origin", b"last-event-id")
_KEPT_PART: Final = 8
"""One place in so many is for those whose credential the host has accepted: whoever sends
bodies slowly, and has no seat, leaves these."""


class Relay:
    """All requests that are at hosts."""

    def __init__(
        self, *, streams_per_route: int = MAX_STREAMS, waits_per_route: int = MAX_WAITS_PER_ROUTE
    ) -> None:
        self._streams_per_route = streams_per_route
        self._waits_per_route = waits_per_route
        self._held: set[Asked] = set()
        self._is_released = False

    @property
    def held(self) -> int:
        """How many waits and event streams are held."""
        return len(self._held)

    def release(self) -> None:
        """End every held wait and event stream, now and from now on: each is answered."""
        self._is_released = True
        for asked in list(self._held):
            asked.reset("shutting_down")

    async def forward(self, route: Route, visit: Visit) -> None:
        """Ask the route's host, and pass its answer on.

        Raises:
            Rejected: nothing of an answer was sent yet, and this is to be the answer.
            ClientLeft: the participant went away.

        """
        host = route.host
        if host is None:
            raise Unavailable("host_unavailable", retry_after=AWAY_RETRY_SECONDS)
        self._take_place(route, visit)
        try:
            with trio.move_on_after(ANSWER_SECONDS) as deadline:
                asked = await _ask(host, route, visit)
            if deadline.cancelled_caught:
                raise Unavailable("host_unavailable", retry_after=AWAY_RETRY_SECONDS)
            try:
                if visit.is_wait:
                    self._hold(asked)
                await pass_on(asked, visit)
            finally:
                self._held.discard(asked)
                if not asked.is_ended:
                    asked.reset("cancelled")
                # What nobody is done with would fill the link's buffer for as long as it lives.
                while asked.take():
                    pass
        finally:
            route.requests -= 1
            route.waits -= visit.is_wait
            route.strangers -= visit.is_stranger

    def _hold(self, asked: Asked) -> None:
        self._held.add(asked)
        if self._is_released:
            asked.reset("shutting_down")

    def _take_place(self, route: Route, visit: Visit) -> None:
        """Count a request of a route. Waits leave room for what ends soon, strangers for others."""
        most = self._streams_per_route
        for_strangers = most - most // _KEPT_PART
        if route.requests >= most or (visit.is_stranger and route.strangers >= for_strangers):
            raise Unavailable("route_request_limit", retry_after=1)
        if visit.is_wait and route.waits >= self._waits_per_route:
            raise Unavailable("wait_limit", retry_after=AWAY_RETRY_SECONDS)
        route.requests += 1
        route.waits += visit.is_wait
        route.strangers += visit.is_stranger


async def _ask(host: Host, route: Route, visit: Visit) -> Asked:
    if not has_body(visit.headers):
        return await _open(host, visit, b"")
    async with route.bodies.read(
        visit.headers, visit.receive, is_stranger=visit.is_stranger
    ) as body:
        return await _open(host, visit, body)


async def _open(host: Host, visit: Visit, body: bytes) -> Asked:
    try:
        return await host.open(
            method=visit.method,
            path=visit.path,
            query=visit.query,
            headers=_forwarded(visit.headers),
            body=body,
        )
    except StreamOver as over:
        raise refused(over.code) from None


def _forwarded(headers: Mapping[bytes, bytes]) -> Headers:
    return tuple((name, headers[name]) for name in _FORWARDED if name in headers)
