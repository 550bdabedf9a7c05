"""A client that speaks to an ASGI application with no socket in between.

It is as strict as a server: an answer that a server would have to mend fails the test.
``test_asgi_client`` holds it against the real one.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

App = Callable[[Any, Any, Any], Awaitable[None]]
_NOTHING = object()


class Reply(NamedTuple):
    """One whole answer. Names of ``headers`` are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        assert self.headers["content-type"] == "application/json; charset=utf-8"
        assert self.body.endswith(b"\n")
        assert self.body.count(b"\n") == 1
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The code of a refusal, whose form is checked here."""
        document = self.json()
        assert list(document) == ["ok", "error", "message"], document
        assert document["ok"] is False
        assert document["message"]
        code: str = document["error"]
        return code

    @property
    def outcome(self) -> tuple[int, str]:
        return self.status, self.error if self.status >= 400 else "ok"


class Exchange:
    """One request under way: what the application receives, and what it has sent."""

    def __init__(self, method: str, body: bytes | None) -> None:
        self.left = trio.Event()
        self.progress = trio.Event()
        self.body_gate = trio.Event()
        if body is not None:
            self.body_gate.set()
        self._method = method
        self._request_body = body or b""
        self._body_given = False
        self.stall = False
        """Whether the client stopped taking what is sent."""
        self.taking = trio.Event()
        self.start: dict[str, Any] | None = None
        self.chunks: list[bytes] = []
        self.ended = False

    async def receive(self) -> dict[str, Any]:
        if not self._body_given:
            await self._wait_for_body()
            if not self.left.is_set():
                self._body_given = True
                return {"type": "http.request", "body": self._request_body, "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _wait_for_body(self) -> None:
        async with trio.open_nursery() as nursery:

            async def until(event: trio.Event) -> None:
                await event.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until, self.left)
            nursery.start_soon(until, self.body_gate)

    def give_body(self, body: bytes) -> None:
        """Send the body at last."""
        self._request_body = body
        self.body_gate.set()

    def take(self) -> None:
        """Take the one thing that waits, though the client stopped taking."""
        self.taking.set()
        self.taking = trio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        if self.left.is_set():
            return
        if self.stall:
            await self.taking.wait()
        assert not self.ended, f"sent after the end: {message}"
        if message["type"] == "http.response.start":
            assert self.start is None, "a second head"
            self.start = message
            for name, value in message["headers"]:
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                assert name == name.lower()
                assert not {13, 10, 0} & set(value)
            names = [name for name, _ in message["headers"]]
            assert len(names) == len(set(names)), f"a header twice: {names}"
        else:
            assert message["type"] == "http.response.body"
            assert self.start is not None, "a body before its head"
            self.chunks.append(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        self.progress.set()
        self.progress = trio.Event()

    @property
    def headers(self) -> dict[str, str]:
        assert self.start is not None
        return {name.decode(): value.decode() for name, value in self.start["headers"]}

    def reply(self) -> Reply:
        """Give the whole answer."""
        assert self.start is not None, "no answer"
        assert self.ended, "no end of the answer"
        body = b"".join(self.chunks)
        length = self.headers.get("content-length")
        if self._method == "HEAD":
            body = b""  # a server leaves it out
        elif self.start["status"] == 304:
            assert (body, length) == (b"", None)
        elif length is None:
            assert len(self.chunks) > 1, "one piece, and no content-length"
        else:
            assert int(length) == len(body), "content-length is not exact"
        return Reply(self.start["status"], self.headers, body)


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    data: Any
    id: int | None = None


class EventReader:
    """Reads server-sent events off an exchange, as a browser does."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self._rest = b""
        self._taken = 0

    async def next(self) -> Event | None:
        """Wait for the next event; None at the end of the stream."""
        while b"\n\n" not in self._rest:
            exchange = self.exchange
            if self._taken < len(exchange.chunks):
                self._rest += exchange.chunks[self._taken]
                self._taken += 1
            elif exchange.ended:
                assert self._rest == b"", "half an event at the end"
                return None
            else:
                await exchange.progress.wait()
        block, _, self._rest = self._rest.partition(b"\n\n")
        fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
        name, data = fields.pop("event"), json.loads(fields.pop("data"))
        message_id = int(fields.pop("id")) if "id" in fields else None
        assert not fields
        return Event(name, data, message_id)

    async def news(self) -> Event:
        """Wait for the next event that is no status; the stream must go on."""
        while True:
            event = await self.next()
            assert event is not None, "the stream ended"
            if event.name != "status":
                return event

    async def until(self, name: str) -> list[Event]:
        """Wait for the next event of one name; give it with all before it."""
        events: list[Event] = []
        while not events or events[-1].name != name:
            event = await self.next()
            assert event is not None, f"the stream ended before {name}: {events}"
            events.append(event)
        return events


class AsgiClient:
    """Speaks for one seat, or with ``token`` None for nobody."""

    def __init__(
        self, app: App, token: str | None = None, *, host: str | None = "127.0.0.1:8787"
    ) -> None:
        self.app = app
        self.token = token
        self.host = host
        self.address: tuple[str, int] | None = ("127.0.0.1", 50_000)

    def scope(
        self, method: str, target: str, body: bytes, headers: dict[str, str] | None
    ) -> dict[str, Any]:
        path, _, query = target.partition("?")
        fields = {"user-agent": "test/1"}
        if self.host is not None:
            fields["host"] = self.host
        if self.token is not None:
            fields["authorization"] = f"Bearer {self.token}"
        if method == "POST":
            fields["content-length"] = str(len(body))
            if body:
                fields["content-type"] = "application/json"
        fields |= headers or {}
        return {
            "type": "http",
            "asgi": {"spec_version": "2.3", "version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "root_path": "",
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in fields.items() if v != ""],
            "client": self.address,
            "server": ("127.0.0.1", 8787),
            "extensions": {},
            "state": {},
        }

    async def ask(
        self,
        method: str,
        target: str,
        document: object = _NOTHING,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request and wait for the whole answer. A header "" is left out."""
        if document is not _NOTHING:
            body = json.dumps(document, ensure_ascii=False).encode()
        exchange = Exchange(method, body)
        await self.app(self.scope(method, target, body, headers), exchange.receive, exchange.send)
        return exchange.reply()

    async def get(self, target: str, **options: Any) -> Reply:
        return await self.ask("GET", target, **options)

    async def post(self, target: str, document: object = _NOTHING, **options: Any) -> Reply:
        return await self.ask("POST", target, document, **options)

    async def say(self, text: str, **draft: Any) -> Any:
        """Post a message that must be taken, and give it."""
        reply = await self.post("/messages", {"text": text, **draft})
        assert reply.status in (200, 201), reply
        return reply.json()["message"]

    @asynccontextmanager
    async def open(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = b"",
        length: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncIterator[Exchange]:
        """Have a request under way for the length of the block; then the client leaves.

        ``body`` None is one that is still to come, with :meth:`Exchange.give_body`.
        """
        exchange = Exchange(method, body)
        scope = self.scope(method, target, b" " * (length or len(body or b"")), headers)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.app, scope, exchange.receive, exchange.send)
            yield exchange
            exchange.left.set()

    @asynccontextmanager
    async def events(
        self, target: str, headers: dict[str, str] | None = None
    ) -> AsyncIterator[EventReader]:
        """Have an event stream open for the length of the block."""
        async with self.open("GET", target, headers=headers) as exchange:
            yield EventReader(exchange)
