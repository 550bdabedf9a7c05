"""HTTP as raw bytes over a socket, with nothing in between that would tidy it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import trio

SECONDS = 10
"""No answer takes as long; a test that waits longer has failed."""


class RawReply(NamedTuple):
    """One answer. Names of ``fields`` are in lower case, in the order they came."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def field(self, name: str) -> str | None:
        values = [value for key, value in self.fields if key == name]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        assert self.field("content-type") == "application/json; charset=utf-8"
        assert self.body.endswith(b"\n")
        return json.loads(self.body)

    @property
    def outcome(self) -> tuple[int, str]:
        if self.status < 400:
            return self.status, "ok"
        document = self.json()
        assert list(document) == ["ok", "error", "message"]
        assert document["ok"] is False
        return self.status, document["error"]


def request(
    method: str,
    target: str,
    *fields: str,
    token: str | None = None,
    body: bytes | None = None,
    host: str = "127.0.0.1",
) -> bytes:
    """Make a request; ``fields`` are header lines as they are."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        if not any(field.lower().startswith("content-type") for field in fields):
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def post(text: str, token: str) -> bytes:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()
    return request("POST", "/messages", token=token, body=body)


class Connection:
    """One connection to the server."""

    def __init__(self, stream: trio.SocketStream, statuses: set[int] | None = None) -> None:
        self.stream = stream
        self.statuses = set() if statuses is None else statuses
        self._received = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reply(self, *, is_head: bool = False) -> RawReply:
        """Read the next answer."""
        with trio.fail_after(SECONDS):
            while b"\r\n\r\n" not in self._received:
                await self._more()
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            line, *rest = head.decode("latin-1").split("\r\n")
            fields = [(k.lower(), v) for k, v in (field.split(": ", 1) for field in rest)]
            version, status, _ = line.split(" ", 2)
            assert version == "HTTP/1.1"
            reply = RawReply(int(status), fields, b"")
            self.statuses.add(reply.status)
            if is_head or reply.status in (204, 304) or reply.status < 200:
                return reply
            length = int(reply.field("content-length") or -1)
            assert length >= 0, "an answer without a length"
            while len(self._received) < length:
                await self._more()
            body, self._received = self._received[:length], self._received[length:]
            return reply._replace(body=body)

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        assert data, f"the connection ended in an answer: {self._received!r}"
        self._received += data

    async def is_closed(self) -> bool:
        """Wait until the server closed the connection, having sent nothing more."""
        with trio.fail_after(SECONDS):
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return True
        return not data and not self._received


async def eventually(what: Callable[[], object]) -> None:
    """Return once it is so. For what happens in real time and tells nobody."""
    with trio.fail_after(SECONDS):
        while not what():  # noqa: ASYNC110 - as the docstring says
            await trio.sleep(0.005)


def descriptors() -> int:
    """Count what this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class RawServer:
    """Where a server listens. ``statuses`` are those of all answers that were read."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: set[int] = set()

    async def connect(self) -> Connection:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        return Connection(stream, self.statuses)

    async def ask(self, data: bytes, *, is_head: bool = False) -> RawReply:
        """Send bytes on a connection of their own and read one answer."""
        connection = await self.connect()
        async with connection.stream:
            await connection.send(data)
            return await connection.reply(is_head=is_head)
