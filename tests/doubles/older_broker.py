"""An older broker: the ``broker serve`` of 0.1.0 to 0.2.5, without a socket.

It keeps these facts of those programs:

* under ``/_host/`` all is POST; anything else, a WebSocket handshake too, is 405
  ``unsupported_route``, and an unknown action 404 with the same code. A body that is no
  JSON object counts as an empty one, of which no route is found;
* a registration with a good slug is 200 with the route and its two ids, new each time. A
  slug is taken, 409, while its route is active and its host was heard of in the last 30 s,
  by a poll or a heartbeat; else the new host has it, and the old one's ids are not found;
* a route is idle after 15 min, and lives 8 h at most: ``route_expired``, 410;
* a poll is answered at once, with an envelope or null; each envelope is given once;
* a request waits 10 s for a poll, then 35 s for its answer: 504 ``host_unavailable``. 64 of
  a route are let in at once, 32 of them waits; 600 in a minute;
* the envelope has path and query in one, the headers ``authorization``, ``content-type``,
  ``accept``, ``origin`` and ``referer``, and a body only where there is one;
* an answer may be 1 MiB, else both ends hear ``response_too_large``; a request that nobody
  waits for any more is 404 ``unknown_request``. A participant who leaves is not noticed;
* of an answer's headers four are passed on, ``retry-after`` not among them;
* an idle connection is closed after 5 s.
"""

import base64
import json
import re
import ssl
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any, Final

import h11
import httpcore
import trio
from trio.testing import memory_stream_pair

GRACE_SECONDS: Final = 30
PASSED: Final = frozenset(
    {"content-type", "content-security-policy", "x-content-type-options", "referrer-policy"}
)
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code


class OlderBroker:
    """``calls`` counts the host's by their action; without ``is_up`` nobody listens."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.backend = _Backend(self, nursery)
        self.is_up = True
        self.calls: Counter[str] = Counter()
        self.routes: dict[str, dict[str, Any]] = {}
        self.pending: dict[str, deque[str]] = {}
        self.requests: dict[str, dict[str, Any]] = {}
        self.minted = 0
        self.hung_up: set[trio.abc.Stream] = set()
        self.raw: bytes | None = None
        """What every call is answered with, where it is given."""

    # --- Participants ---------------------------------------------------------------
    async def visit(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask for ``/<slug>/...``; give status, headers and body."""
        slug, _, path = target[1:].partition("/")
        try:
            return await self._relay(slug, method, f"/{path}", headers, body)
        except Refused as error:
            return error.status, {}, json.dumps({"ok": False, "error": error.code}).encode()

    async def _relay(
        self, slug: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        route = self.routes.get(slug)
        if route is None:
            raise Refused(404, "route_not_found")
        self._check_active(route)
        is_wait = path.startswith("/wait")
        here = [one for one in self.requests.values() if one["slug"] == slug]
        if len(here) >= 64:
            raise Refused(429, "route_request_limit")
        if is_wait and sum(one["is_wait"] for one in here) >= 32:
            raise Refused(429, "wait_limit")
        if not self._is_connected(route):
            raise Refused(504, "host_unavailable")
        envelope = {
            "route_slug": slug,
            "method": method,
            "path": path,
            "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        }
        if body:
            envelope["body_base64"] = base64.b64encode(body).decode()
        request_id = envelope["request_id"] = self._mint("req")
        request: dict[str, Any] = {
            "slug": slug,
            "is_wait": is_wait,
            "envelope": envelope,
            "claimed": trio.Event(),
            "answered": trio.Event(),
            "answer": None,
        }
        self.requests[request_id] = request
        self.pending.setdefault(slug, deque()).append(request_id)
        try:
            with trio.move_on_after(10):
                await request["claimed"].wait()
            if request["claimed"].is_set():
                with trio.move_on_after(35):
                    await request["answered"].wait()
        finally:
            del self.requests[request_id]
        answer = request["answer"]
        if isinstance(answer, Refused):
            raise answer
        if answer is None:
            raise Refused(504, "host_unavailable")
        passed = {k.lower(): v for k, v in answer["headers"].items() if k.lower() in PASSED}
        return answer["status"], passed, base64.b64decode(answer.get("body_base64", ""))

    # --- Hosts ----------------------------------------------------------------------
    def call(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        action = target.removeprefix("/_host/")
        self.calls[action] += 1
        try:
            if method != "POST":
                raise Refused(405, "unsupported_route")
            try:
                document = json.loads(body or b"{}")
            except ValueError:
                document = {}
            document = document if isinstance(document, dict) else {}
            return 200, {"ok": True, **self._act(action, document)}
        except Refused as error:
            return error.status, {"ok": False, "error": error.code, "message": "as it says"}

    def _act(self, action: str, document: dict[str, Any]) -> dict[str, Any]:
        if action == "register":
            return {"route": self._register(document.get("route_slug"))}
        if action not in ("heartbeat", "poll", "respond", "close"):
            raise Refused(404, "unsupported_route")
        route = self._find(document)
        if action == "close":
            route["status"] = "closed"
            for request in self.requests.values():
                if request["slug"] == route["route_slug"]:
                    self._settle(request, Refused(410, "route_closed"))
            return {"route_slug": route["route_slug"], "status": "closed"}
        if action == "respond":
            self._respond(document["request_id"], document["response"])
            return {}
        self._check_active(route)
        route["heard_at"] = trio.current_time()
        if action == "heartbeat":
            return {"route": self._shown(route)}
        pending = self.pending.get(route["route_slug"], deque())
        while pending:
            waiting = self.requests.get(pending.popleft())
            if waiting is not None:
                waiting["claimed"].set()
                return {"request": waiting["envelope"]}
        return {"request": None}

    def _register(self, slug: object) -> dict[str, Any]:
        if not isinstance(slug, str) or _SLUG.fullmatch(slug) is None:
            raise Refused(400, "invalid_registration")
        existing = self.routes.get(slug)
        if existing is not None and self._is_connected(existing):
            raise Refused(409, "route_slug_taken")
        now = trio.current_time()
        self.routes[slug] = {
            "route_slug": slug,
            "route_id": self._mint("rte"),
            "host_connection_id": self._mint("conn"),
            "created_at": now,
            "heard_at": now,
            "status": "active",
        }
        return self._shown(self.routes[slug])

    def _respond(self, request_id: str, response: dict[str, Any]) -> None:
        request = self.requests.get(request_id)
        if request is None or request["answered"].is_set():
            raise Refused(404, "unknown_request")
        too_large = Refused(502, "response_too_large")
        is_too_large = len(base64.b64decode(response.get("body_base64", ""))) > 1024 * 1024
        self._settle(request, too_large if is_too_large else response)
        if is_too_large:
            raise too_large

    def _settle(self, request: dict[str, Any], answer: Any) -> None:
        request["answer"] = answer
        request["claimed"].set()
        request["answered"].set()

    def _find(self, document: dict[str, Any]) -> dict[str, Any]:
        for route in self.routes.values():
            if all(document.get(key) == route[key] for key in ("route_id", "host_connection_id")):
                return route
        raise Refused(404, "route_not_found")

    def _check_active(self, route: dict[str, Any]) -> None:
        now = trio.current_time()
        if now - route["heard_at"] >= 15 * 60 or now - route["created_at"] >= 8 * 3600:
            route["status"] = "expired"
        if route["status"] != "active":
            raise Refused(410, f"route_{route['status']}")

    def _is_connected(self, route: dict[str, Any]) -> bool:
        is_heard: bool = trio.current_time() - route["heard_at"] <= GRACE_SECONDS
        return is_heard and route["status"] == "active"

    def _shown(self, route: dict[str, Any]) -> dict[str, Any]:
        times = dict.fromkeys(
            ("created_at", "last_seen_at", "last_heartbeat_at", "expires_at"),
            "2026-06-22T00:00:00.000Z",
        )
        return {**{k: v for k, v in route.items() if k != "heard_at"}, **times} | {
            "host_connected": self._is_connected(route)
        }

    def _mint(self, prefix: str) -> str:
        self.minted += 1
        return f"{prefix}_{self.minted:016}"

    # --- HTTP -----------------------------------------------------------------------
    async def serve(self, stream: trio.abc.Stream) -> None:
        parser = h11.Connection(h11.SERVER)
        with trio.move_on_after(5) as idle:
            while not idle.cancelled_caught:
                body = b""
                request: Any = None
                while not isinstance(event := parser.next_event(), h11.EndOfMessage):
                    if event is h11.NEED_DATA:
                        try:
                            data = await stream.receive_some(65536)
                        except trio.BrokenResourceError:
                            return
                        idle.deadline = trio.current_time() + 5
                        parser.receive_data(bytes(data))
                    elif isinstance(event, h11.Request):
                        request = event
                    elif isinstance(event, h11.Data):
                        body += bytes(event.data)
                    else:
                        return
                if not self.is_up:
                    break
                status, document = self.call(request.method.decode(), request.target.decode(), body)
                content = self.raw or json.dumps(document).encode()
                head = h11.Response(
                    status_code=status,
                    headers=[("content-length", str(len(content)))],
                )
                for part in (head, h11.Data(data=content), h11.EndOfMessage()):
                    await stream.send_all(parser.send(part) or b"")
                parser.start_next_cycle()
        self.hung_up.add(stream)
        await stream.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects to the broker, whoever is asked for."""

    def __init__(self, broker: OlderBroker, nursery: trio.Nursery) -> None:
        self._broker = broker
        self._nursery = nursery
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await trio.lowlevel.checkpoint()
        self.asked.append((host, port))
        if not self._broker.is_up:
            raise httpcore.ConnectError
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(self._broker.serve, theirs)
        return _Stream(ours, lambda: theirs in self._broker.hung_up)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: trio.abc.Stream, is_readable: Callable[[], bool]) -> None:
        self._stream = stream
        self._is_readable = is_readable

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError as error:
            raise httpcore.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._stream.send_all(buffer)
        except trio.BrokenResourceError as error:
            raise httpcore.WriteError from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        assert ssl_context.verify_mode is ssl.CERT_REQUIRED
        assert ssl_context.check_hostname
        assert server_hostname is not None
        await trio.lowlevel.checkpoint()
        return self

    def get_extra_info(self, info: str) -> Any:
        return self._is_readable() if info == "is_readable" else None
