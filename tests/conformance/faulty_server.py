"""A server that keeps the contract but for one fault: a proxy in front of a good one.

It passes requests on as bytes, reads each answer, and alters what the fault alters.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import h11
import trio

CHUNK: Final = 64 * 1024


@dataclass(frozen=True)
class Reply:
    """An answer. Names of ``fields`` are in lower case; ``behind`` is sent after it."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    behind: bytes = b""

    def without(self, name: str) -> "Reply":
        return replace(self, fields=tuple(one for one in self.fields if one[0] != name))

    def having(self, name: str, value: str) -> "Reply":
        fields = self.without(name).fields
        return replace(self, fields=(*fields, (name, value)))

    def document(self) -> Any:
        return json.loads(self.body)

    def saying(self, document: object) -> "Reply":
        text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        return replace(self, body=text.encode() + b"\n")


OK: Final = Reply(200, (("content-type", "application/json; charset=utf-8"),), b'{"ok":true}\n')


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with a server, in answers to requests in which ``asked`` stands.

    ``request`` alters what the server is asked, ``answer`` what it answers, ``event`` each
    event of a stream. ``instead`` is answered at once, without the server.
    """

    what: str
    asked: str = ""
    request: Callable[[bytes], bytes] = lambda data: data
    answer: Callable[[Reply], Reply] = lambda reply: reply
    event: Callable[[str], str] = lambda block: block
    instead: Reply | None = None


class FaultyServer:
    """Passes connections on to the server at ``port``, with a fault."""

    def __init__(self, target_port: int, fault: Fault) -> None:
        self._target_port = target_port
        self._fault = fault

    async def serve(self, near: trio.SocketStream) -> None:
        async with near, await trio.open_tcp_stream("127.0.0.1", self._target_port) as far:
            await _Passing(near, far, self._fault).run()


class _Passing:
    def __init__(self, near: trio.SocketStream, far: trio.SocketStream, fault: Fault) -> None:
        self._near = near
        self._far = far
        self._fault = fault
        self._asked = b""
        """The request that is not answered yet; empty if there is none."""

    async def run(self) -> None:
        async def until_over(side: Callable[[], Awaitable[None]]) -> None:
            # Who left must be seen to have left: one side ends the other.
            with suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
                await side()
            passing.cancel_scope.cancel()

        async with trio.open_nursery() as passing:
            passing.start_soon(until_over, self._ask)
            await until_over(self._answer)

    async def _ask(self) -> None:
        while data := await self._near.receive_some(CHUNK):
            is_new = not self._asked
            self._asked = self._asked or data
            if self._applies():
                if is_new and self._fault.instead is not None:
                    await self._send(self._fault.instead)
                    continue
                data = self._fault.request(data)
            await self._far.send_all(data)

    async def _answer(self) -> None:
        received = b""
        while True:
            while not received:
                received = await self._far.receive_some(CHUNK)
                if not received:
                    return
            method = "HEAD" if self._asked.startswith(b"HEAD ") else "GET"
            reader = h11.Connection(h11.CLIENT)
            reader.send(h11.Request(method=method, target="/", headers=[("host", "any")]))
            reader.send(h11.EndOfMessage())
            reader.receive_data(received)
            head = await self._next(reader)
            if not isinstance(head, h11.Response):
                return
            fields = tuple((k.decode(), v.decode("latin-1")) for k, v in head.headers)
            reply = Reply(head.status_code, fields, b"")
            if dict(fields).get("content-type") == "text/event-stream" and method != "HEAD":
                await self._stream(reader, self._altered(reply))
                return
            body = b""
            while isinstance(event := await self._next(reader), h11.Data):
                body += event.data
            if not isinstance(event, h11.EndOfMessage):
                return
            received = reader.trailing_data[0]
            reply = self._altered(replace(reply, body=body))
            self._asked = b""
            await self._send(reply, is_head=method == "HEAD")
            if dict(fields).get("connection") == "close":
                return

    async def _next(self, reader: h11.Connection) -> object:
        while (event := reader.next_event()) is h11.NEED_DATA:
            reader.receive_data(await self._far.receive_some(CHUNK))
        return event

    def _applies(self) -> bool:
        return self._fault.asked.encode() in self._asked

    def _altered(self, reply: Reply) -> Reply:
        return self._fault.answer(reply) if self._applies() else reply

    async def _send(self, reply: Reply, *, is_head: bool = False) -> None:
        if dict(reply.fields).get("transfer-encoding") == "chunked" and not is_head:
            chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(reply.body), reply.body)
            reply = replace(reply, body=chunk)
        elif not is_head and reply.status != 304:
            reply = reply.having("content-length", str(len(reply.body)))
        await self._near.send_all(_head(reply) + reply.body + reply.behind)

    async def _stream(self, reader: h11.Connection, reply: Reply) -> None:
        reply = reply.without("transfer-encoding").having("transfer-encoding", "chunked")
        await self._near.send_all(_head(reply))
        text = ""
        while isinstance(event := await self._next(reader), h11.Data):
            text += event.data.decode()
            while "\n\n" in text:
                block, _, text = text.partition("\n\n")
                if self._applies():
                    block = self._fault.event(block)
                if block:
                    data = f"{block}\n\n".encode()
                    await self._near.send_all(b"%x\r\n%b\r\n" % (len(data), data))
        if isinstance(event, h11.EndOfMessage):
            await self._near.send_all(b"0\r\n\r\n")


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} Any", *(f"{k}: {v}" for k, v in reply.fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def open_faulty(target_port: int, fault: Fault) -> AsyncIterator[int]:
    """Run a server with a fault, for the length of the block; give its port."""
    async with trio.open_nursery() as serving:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=64)
        server = FaultyServer(target_port, fault)
        serving.start_soon(trio.serve_listeners, server.serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        serving.cancel_scope.cancel()
