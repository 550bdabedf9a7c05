"""The room as an ASGI application: the checks, in their one order, then the handler.

request shape (the server below) -> Host -> Origin -> endpoint and method -> token
-> permission -> body -> and in the handler: room state -> limits -> validation
"""

import ipaddress
import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from agentgather.domain.tokens import parse_bearer
from agentgather.edge.answers import Answer, Send, send_answer
from agentgather.edge.bodies import Receive, decode_body, read_body
from agentgather.edge.containment import contain
from agentgather.edge.origins import LOOPBACK_NAMES, Served, parse_authority
from agentgather.edge.queries import parse_query
from agentgather.edge.rates import CoarseWindow, SlidingWindow
from agentgather.server.live_room import LiveRoom
from agentgather.server.quart_app import QuartWay
from agentgather.server.routes import (
    NEED_NO_TOKEN,
    Access,
    Route,
    Way,
    check_access,
    find_routes,
    is_page,
)
from agentgather.server.visits import Visit
from agentgather.wire.api import NoDraft
from agentgather.wire.errors import Rejected
from agentgather.wire.limits import BAD_TOKENS_PER_WINDOW, BAD_TUNNEL_TOKENS_PER_WINDOW
from agentgather.wire.records import Participant

logger: Final = logging.getLogger(__name__)

_NOBODY: Final = Participant(alias="nobody")
_NO_DRAFT: Final = msgspec.json.Decoder(NoDraft)
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="room"'),)
_ALL_METHODS: Final = "GET, HEAD, POST"


class RoomApp:
    """One room at the places in ``served``."""

    def __init__(self, live: LiveRoom, served: Served) -> None:
        self._live = live
        self._served = served
        self._quart = QuartWay()
        self._bad_tokens = SlidingWindow(BAD_TOKENS_PER_WINDOW)
        self._bad_tunnel_tokens = CoarseWindow(BAD_TUNNEL_TOKENS_PER_WINDOW)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._quart.lifespan(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        answer, _ = await contain(self._answer(scope, receive, send), logger)
        if answer is not None:
            await send_answer(send, answer)

    async def _answer(
        self, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Answer | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host")
        base_url = self._served.base_for(host.decode("latin-1") if host is not None else None)
        path = scope["raw_path"].decode("latin-1")
        routes, alias = find_routes(path)
        if not routes:
            # Only now: a prefix may read as the first word of an endpoint, `/participants`.
            path = self._served.strip_prefix(path)
            routes, alias = find_routes(path)
        self._served.check_origin(headers, base_url, page=is_page(path))
        method = scope["method"]
        route = _choose(routes, method)
        if route.access is Access.LOOPBACK and not _is_loopback(scope, base_url):
            raise Rejected("not_found")
        live = self._live
        now = live.clock()
        live.advance(now)
        token, seat, by_link = "", _NOBODY, False
        parameters: dict[str, str] = {}
        if route.access not in NEED_NO_TOKEN:
            if route.access is Access.CARD:
                # Here the query may hold the token, so it cannot come after it.
                parameters = parse_query(scope["query_string"])
            token, by_link = _token(headers, parameters, route)
            seat = self._seat(token, scope, base_url)
            check_access(route, seat)
            if route.access is not Access.CARD:
                parameters = parse_query(scope["query_string"])
        body = b""
        if method == "POST":
            body = await read_body(headers, receive)
            if route.bare and body:
                decode_body(_NO_DRAFT, body, {})
            # The host may have removed the caller while its body was on its way.
            seat = live.authenticate(token, live.clock())
            check_access(route, seat)
        last_event_id = headers.get(b"last-event-id")
        visit = Visit(
            live=live,
            served=self._served,
            base_url=base_url,
            token=token,
            seat=seat,
            parameters=parameters,
            path=path,
            alias=alias,
            body=body,
            method=method,
            by_link=by_link,
            last_event_id=None if last_event_id is None else last_event_id.decode("latin-1"),
            if_none_match=headers.get(b"if-none-match"),
            receive=receive,
            send=send,
        )
        if route.way is Way.HOT:
            answer: Answer | None = await route.handler(visit)
            return answer
        await self._quart.serve(route, visit, scope, receive, send)
        return None

    def _seat(self, token: str, scope: Mapping[str, Any], base_url: str) -> Participant:
        now = self._live.clock()
        try:
            return self._live.authenticate(token, now)
        except Rejected as error:
            if error.code != "forbidden":
                raise
            client = scope.get("client")
            address = client[0] if client else ""
            # Everybody at a tunnel has one address here. Its broker has limited each of them.
            is_tunnel = self._served.is_tunnel(base_url)
            window = self._bad_tunnel_tokens if is_tunnel else self._bad_tokens
            seconds = window.wait_seconds(address, now.monotonic)
            if seconds:
                raise Rejected(
                    "rate_limited", "too many unknown tokens", retry_after=seconds
                ) from None
            window.record(address, now.monotonic)
            raise


def _choose(routes: dict[str, Route], method: str) -> Route:
    route = routes.get("GET" if method == "HEAD" else method)
    if route is not None:
        return route
    if routes:
        allowed = ", ".join(sorted({*routes, *({"HEAD"} if "GET" in routes else ())}))
    elif method in ("GET", "HEAD", "POST"):
        raise Rejected("not_found")
    else:
        allowed = _ALL_METHODS
    raise Rejected("method_not_allowed", headers=((b"allow", allowed.encode()),))


def _token(
    headers: Mapping[bytes, bytes], parameters: Mapping[str, str], route: Route
) -> tuple[str, bool]:
    authorization = headers.get(b"authorization")
    token = parse_bearer(authorization)
    if token is not None:
        return token, False
    if route.access is Access.CARD and authorization is None and parameters.get("token"):
        return parameters["token"], True
    raise Rejected(
        "unauthorized",
        "send the header Authorization: Bearer $AG_TOKEN; your Attend Card sets AG_TOKEN",
        headers=_CHALLENGE,
    )


def _is_loopback(scope: Mapping[str, Any], base_url: str) -> bool:
    # A proxy on this machine is no caller on this machine: it asks under another name.
    authority = parse_authority(urlsplit(base_url).netloc)
    if authority is None or authority.name not in LOOPBACK_NAMES:
        return False
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def build_app(live: LiveRoom, served: Served) -> RoomApp:
    """Give the room's ASGI application."""
    return RoomApp(live, served)
