"""The five endpoints for hosts of 0.1.0 to 0.2.5, which have no link.

    register --> heartbeat every 10 s, poll all the time, respond to each request --> close

Such a host has no secret of its own: the broker makes one, its ``host_connection_id``, and
keeps the hash of it as the route's owner. The slug is in the route's id, so that after a
broker's restart a host that goes on polling finds its lease, and its room is back.
"""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import msgspec

from agentgather.broker.access_log import Note
from agentgather.broker.gate import Gate
from agentgather.broker.older_answer import read_answer
from agentgather.broker.older_route import describe, new_credentials, owner_of, slug_of
from agentgather.broker.polling_host import PollingHost
from agentgather.broker.respond_budget import RespondBudget
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.broker.visit import Tally
from agentgather.edge.answers import Answer, json_answer
from agentgather.edge.bodies import Receive, decode_body, read_body
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.older import (
    ACTIONS,
    HOST_PREFIX,
    Closed,
    Credentials,
    Done,
    OlderRegistered,
    Polled,
    Registration,
    Respond,
)

T = TypeVar("T")
_REGISTRATION: Final = msgspec.json.Decoder(Registration)
_CREDENTIALS: Final = msgspec.json.Decoder(Credentials)
_RESPOND: Final = msgspec.json.Decoder(Respond)
_encode: Final = msgspec.json.Encoder().encode
# `tunnel start` of those programs names a target to dial.
_HINT: Final = "send a route_slug alone: this broker dials nobody; use `tunnel run`"


class OlderHosts:
    """All older hosts of a broker. ``wall`` is the wall clock in seconds.

    Those programs replace a request's Origin by their own: it must be good before it gets
    here.
    """

    def __init__(
        self,
        gate: Gate,
        routes: Routes,
        *,
        entropy: Callable[[int], bytes],
        wall: Callable[[], float],
        note: Note = lambda _event, _slug, _code: None,
    ) -> None:
        self._gate = gate
        self._routes = routes
        self._entropy = entropy
        self._wall = wall
        self._note = note
        self._budget = RespondBudget()
        self._hosts: dict[str, PollingHost] = {}

    def __len__(self) -> int:
        """Count those that are there."""
        return len(self._hosts)

    async def serve(self, path: str, headers: Mapping[bytes, bytes], tally: Tally) -> Answer:
        """Answer one request of a host under ``HOST_PREFIX``. Raises Rejected, ClientLeft."""
        action = path.removeprefix(HOST_PREFIX)
        if action not in ACTIONS:
            raise Rejected("not_found")
        if tally.method != "POST":
            raise Rejected("method_not_allowed", headers=((b"allow", b"POST"),))
        if action == "respond":
            return await self._respond(headers, tally.receive, tally.client)
        body = await read_body(headers, tally.receive)
        if action == "register":
            registration = _read(_REGISTRATION, body, "invalid_registration", _HINT)
            return await self._register(registration, tally.client)
        credentials = _read(_CREDENTIALS, body, "invalid_heartbeat")
        route, host = await self._find(credentials, tally.client)
        if action == "poll":
            return _answer(Polled(request=await host.poll(tally.receive)))
        if action == "close":
            self._routes.close(route)
            return _answer(Closed(route_slug=route.slug))
        return self._confirm(route, credentials)

    def sweep(self) -> None:
        """Detach the hosts that have fallen silent. To be called every few seconds."""
        for slug, host in list(self._hosts.items()):
            if host.is_silent:
                with suppress(Rejected):  # what is over has let it go already
                    self._routes.detach(self._routes.find(slug), host)
                    host.end("host_unavailable")

    def release(self) -> None:
        """Answer every poll that is held, for a stop. Its host asks again a moment later."""
        for host in self._hosts.values():
            host.release()

    # --- Endpoints -----------------------------------------------------------------
    async def _register(self, registration: Registration, client: str) -> Answer:
        slug = registration.route_slug
        credentials = new_credentials(slug, self._entropy)
        try:
            route = await self._gate.admit(slug, owner_of(credentials), "", client)
        except Rejected as error:
            self._gate.count_failure(client, error, slug)
            raise
        self._attach(route)
        return self._confirm(route, credentials)

    async def _respond(
        self, headers: Mapping[bytes, bytes], receive: Receive, client: str
    ) -> Answer:
        with self._budget.allow(headers, client) as most:
            body = await read_body(headers, receive, most=most)
            respond = _read(_RESPOND, body, "invalid_heartbeat")
            _, host = await self._find(respond, client)
            try:
                head, data = read_answer(respond.response)
            except Rejected as error:
                host.fail(respond.request_id, error.code)
                raise
            await host.answer(respond.request_id, head, data)
        return _answer(Done())

    # --- Routes --------------------------------------------------------------------
    async def _find(self, credentials: Credentials, client: str) -> tuple[Route, PollingHost]:
        """Give a host's route, and the host, which is there again if it was not.

        Raises:
            Rejected: ``route_not_found``, ``route_expired``, ``route_closed``: those
                programs end on each of them, and on no other code.

        """
        slug, owner = slug_of(credentials), owner_of(credentials)
        try:
            route = self._routes.find(slug)
        except Unavailable:
            # It was there before the broker's last start.
            if not self._routes.is_owner(slug, owner):
                raise Rejected("route_not_found") from None
            route = await self._routes.claim(slug, owner, client)
        if not hmac.compare_digest(route.owner, owner):
            raise Rejected("route_not_found")
        host = self._hosts.get(slug) or self._attach(route)
        host.see()
        return route, host

    def _attach(self, route: Route) -> PollingHost:
        slug = route.slug
        host = PollingHost(
            slug,
            lambda: f"req_{self._entropy(12).hex()}",
            on_end=partial(self._ended, slug),
        )
        self._routes.attach(route, host)
        self._hosts[slug] = host
        self._note("link_open", slug, None)
        return host

    def _ended(self, slug: str, code: str) -> None:
        del self._hosts[slug]
        self._note("link_end", slug, code)

    def _confirm(self, route: Route, credentials: Credentials) -> Answer:
        told = describe(route, credentials, self._routes.terms, self._wall())
        return _answer(OlderRegistered(route=told))


def _read(decoder: msgspec.json.Decoder[T], body: bytes, code: str, hint: str | None = None) -> T:
    try:
        return decode_body(decoder, body, {})
    except Rejected:
        # Those programs know no other code for it, and its text is for a person.
        raise Rejected(code, hint) from None


def _answer(document: object) -> Answer:
    return json_answer(200, _encode(document))
