"""The broker as an ASGI application: the checks, in their one order, then who answers.

request shape (the server below) -> Host -> Origin -> method -> slug -> limits
-> the broker itself, for its own few paths, the page, and a route's status
-> the room's host, for all the rest: token, permission and body are its own to judge
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import trio

from agentgather.broker.door import Door, credential_of, route_answer
from agentgather.broker.links import Links
from agentgather.broker.older_hosts import OlderHosts
from agentgather.broker.quota import RequestQuota, Trust
from agentgather.broker.relay import Relay
from agentgather.broker.route import Route
from agentgather.broker.routes import Routes
from agentgather.broker.site import is_own, is_page, is_wait, own_answer, page_answer, path_class
from agentgather.broker.sockets import refuse_handshake
from agentgather.broker.visit import Tally, Visit
from agentgather.edge.answers import Answer, Send, send_answer
from agentgather.edge.bodies import Receive
from agentgather.edge.containment import contain
from agentgather.wire.errors import Rejected, Unavailable
from agentgather.wire.link import LINK_PATH

logger: Final = logging.getLogger(__name__)

_HOSTS: Final = "/_host/"
_HEALTHZ: Final = "/healthz"
_METHODS: Final = ("GET", "HEAD", "POST")
_ALLOW: Final = ((b"allow", b"GET, HEAD, POST"),)


class BrokerApp:
    """One broker. ``note`` is told of each request that ended."""

    def __init__(
        self,
        *,
        door: Door,
        routes: Routes,
        relay: Relay,
        links: Links,
        older_hosts: OlderHosts | None,
        quota: RequestQuota,
        trust: Trust,
        note: Callable[[Tally], None],
    ) -> None:
        self._door = door
        self._routes = routes
        self._relay = relay
        self._links = links
        self._older_hosts = older_hosts
        self._quota = quota
        self._trust = trust
        self._note = note
        self.is_stopping = False

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)

    # --- Hosts ---------------------------------------------------------------------
    async def _serve_websocket(
        self, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        error: Rejected
        try:
            self._door.check(headers, page=False)
            if self._door.path(scope) == LINK_PATH:
                if not self.is_stopping:
                    await self._links.serve(scope, receive, send, self._door.client(scope))
                    return
                error = Unavailable("shutting_down", retry_after=2)
            else:
                error = Rejected("not_found")
        except Rejected as refused:
            error = refused
        await receive()  # the handshake
        await refuse_handshake(send, error)

    # --- Everybody else ------------------------------------------------------------
    async def _serve_http(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        tally = Tally(scope["method"], self._door.client(scope), receive, send)
        answer, tally.error = await contain(self._answer(scope, tally), logger)
        try:
            if answer is not None and not tally.status:
                await send_answer(tally.send, answer)
        finally:
            self._note(tally)

    async def _answer(self, scope: Mapping[str, Any], tally: Tally) -> Answer | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        path = self._door.path(scope)
        slug, slash, rest = path[1:].partition("/")
        inner = f"/{rest}".encode("latin-1")
        is_hosts, own = path.startswith(_HOSTS), is_own(path.encode("latin-1"))
        page = bool(slug and slash) and is_page(inner)
        self._door.check(headers, page=is_hosts or own or page)
        if is_hosts:
            return await self._answer_older_host(path, headers, tally)
        if own:
            return self._answer_own(path, headers, tally)
        tally.slug = slug
        if page:
            return self._answer_page(inner, headers, tally)
        tally.path_class = path_class(inner) if slash else "status"
        credential = credential_of(headers, scope["query_string"], inner)
        route = self._find(tally)
        is_known = self._admit(tally, route.hash, credential)
        if not slash:
            return route_answer(route, tally.method)
        if tally.method not in _METHODS:
            raise Rejected("method_not_allowed", headers=_ALLOW)
        if self.is_stopping:
            raise Unavailable("shutting_down", retry_after=2)
        tally.is_wait = is_wait(inner)
        tally.on_status = partial(self._learn, route.hash, tally.client, credential)
        await self._relay.forward(
            route,
            Visit(
                method=tally.method,
                path=inner,
                query=scope["query_string"],
                headers=headers,
                is_wait=tally.is_wait,
                receive=tally.receive,
                send=tally.send,
                is_stranger=not is_known,
            ),
        )
        return None

    def _answer_own(self, path: str, headers: Mapping[bytes, bytes], tally: Tally) -> Answer | None:
        answer = own_answer(tally.method, path.encode("latin-1"), headers.get(b"if-none-match"))
        # Never over a limit: whoever watches the broker has to see that it lives.
        if path != _HEALTHZ:
            self._admit(tally, None)
        return answer

    def _answer_page(
        self, path: bytes, headers: Mapping[bytes, bytes], tally: Tally
    ) -> Answer | None:
        """Answer with the page, under any slug: who asks learns nothing of which there are."""
        tally.path_class = path_class(path)
        try:
            route = self._routes.find(tally.slug)
        except Rejected:
            self._admit(tally, None)
        else:
            self._admit(tally, route.hash, is_page=True)
        return page_answer(tally.method, path, headers.get(b"if-none-match"))

    def _find(self, tally: Tally) -> Route:
        try:
            return self._routes.find(tally.slug)
        except Rejected:
            # A guess. It counts before it is answered.
            self._admit(tally, None)
            raise

    def _admit(
        self,
        tally: Tally,
        route_hash: str | None,
        credential: bytes | None = None,
        *,
        is_page: bool = False,
    ) -> bool:
        now = trio.current_time()
        is_known = self._quota.admit(tally.client, route_hash, credential, now, is_page=is_page)
        tally.is_counted = True
        return is_known

    def _learn(self, route: str, client: str, credential: bytes | None, status: int) -> None:
        self._trust.note(route, client, credential, status, trio.current_time())

    async def _answer_older_host(
        self, path: str, headers: Mapping[bytes, bytes], tally: Tally
    ) -> Answer:
        if path == LINK_PATH:
            raise Rejected(
                "bad_request",
                "hosts connect here with a WebSocket",
                headers=((b"upgrade", b"websocket"),),
            )
        if self._older_hosts is None:
            raise Rejected("not_found")
        return await self._older_hosts.serve(path, headers, tally)
