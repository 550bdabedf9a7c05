"""An older host: the ``tunnel run`` of 0.1.0 to 0.2.5, as far as a broker can tell.

It keeps these facts of those programs:

* it registers with ``route_slug`` alone (``tunnel start`` sends a ``target`` too), and goes
  by the ``route_slug``, ``route_id`` and ``host_connection_id`` of the answer;
* one loop polls. A request is handed to one of 16 handlers, and the next poll follows at
  once; after a null, an error or with all handlers busy it waits 50 ms;
* it beats every 10 s, beside the polls;
* ``route_closed``, ``route_expired`` and ``route_not_found`` end it. Any other error of a
  poll is tried again. An error of a heartbeat is too, but by 0.1.0, which ends on any;
* a handler asks the room's server and responds with its whole answer: status, body, and
  the headers ``content-type``, ``content-security-policy``, ``x-content-type-options`` and
  ``referrer-policy``. Errors of a respond are ignored;
* it puts its own origin in place of a request's, and asks for nothing of Last-Event-ID;
* when it is stopped, the poll that is under way is waited for, then the handlers, then it
  closes its route, whatever comes of that. It keeps no secret for the next time.
"""

import base64
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

FATAL: Final = frozenset({"route_closed", "route_expired", "route_not_found"})
PASSED: Final = ("content-type", "content-security-policy", "x-content-type-options")
HANDLERS: Final = 16

Post = Callable[[str, dict[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]
"""Sends a document to a path of the broker; gives status and document. OSError: no answer."""
Ask = Callable[[dict[str, Any]], Awaitable[tuple[int, dict[str, str], bytes]]]
"""Asks the room's server for what an envelope says; gives status, headers and body."""


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class OlderHost:
    def __init__(self, post: Post, ask: Ask, *, is_first_version: bool = False) -> None:
        self._post = post
        self._ask = ask
        self._is_first_version = is_first_version
        self._ids: dict[str, str] = {}
        self._busy = 0
        self._scope = trio.CancelScope()
        self.reason = ""
        self.route: dict[str, Any] = {}

    async def register(self, slug: str, **more: str) -> dict[str, Any]:
        answer = await self._call("register", {"route_slug": slug, **more})
        self.route = answer["route"]
        self._ids = {name: self.route[name] for name in ("route_id", "host_connection_id")}
        return self.route

    async def run(
        self,
        slug: str,
        *,
        stop: trio.Event,
        task_status: trio.TaskStatus[dict[str, Any]] = trio.TASK_STATUS_IGNORED,
    ) -> str:
        """Register and serve until stopped or refused; give the reason it prints."""
        task_status.started(await self.register(slug))
        async with trio.open_nursery() as handlers, trio.open_nursery() as tasks:
            self._scope = tasks.cancel_scope
            self._stopping = stop
            tasks.start_soon(self._beat)
            await self._poll(handlers)
            tasks.cancel_scope.cancel()
        with contextlib.suppress(Refused, OSError):
            await self._call("close", self._ids)
        return self.reason or "signal"

    async def _call(self, action: str, document: dict[str, Any]) -> dict[str, Any]:
        status, answer = await self._post(f"/_host/{action}", document)
        if not 200 <= status <= 299 or answer.get("ok") is False:
            raise Refused(answer.get("error", "internal_error"), answer.get("message", ""))
        return answer

    async def _poll(self, handlers: trio.Nursery) -> None:
        while not (self._stopping.is_set() or self.reason):
            if self._busy < HANDLERS:
                try:
                    request = (await self._call("poll", self._ids))["request"]
                except Refused as error:
                    if error.code in FATAL:
                        self.reason = error.code
                        return
                    request = None
                except OSError:
                    request = None
                if request is not None:
                    self._busy += 1
                    handlers.start_soon(self._handle, request)
                    continue
            with trio.move_on_after(0.05):
                await self._stopping.wait()

    async def _handle(self, request: dict[str, Any]) -> None:
        status, headers, body = await self._ask(request)
        response: dict[str, Any] = {
            "status": status,
            "headers": {name: value for name, value in headers.items() if name in PASSED},
        }
        if body:
            response["body_base64"] = base64.b64encode(body).decode()
        with contextlib.suppress(Refused, OSError):
            await self.respond(request["request_id"], response)
        self._busy -= 1

    async def respond(self, request_id: str, response: Any) -> None:
        await self._call("respond", {**self._ids, "request_id": request_id, "response": response})

    async def poll_once(self) -> dict[str, Any] | None:
        request: dict[str, Any] | None = (await self._call("poll", self._ids))["request"]
        return request

    async def beat_once(self) -> None:
        await self._call("heartbeat", self._ids)

    async def close(self) -> None:
        await self._call("close", self._ids)

    async def _beat(self) -> None:
        while True:
            await trio.sleep(10)
            try:
                await self.beat_once()
            except Refused as error:
                if self._is_first_version or error.code in FATAL:
                    self.reason = self.reason or error.code
            except OSError:
                if self._is_first_version:
                    self.reason = self.reason or "broker_unreachable"
