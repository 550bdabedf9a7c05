"""Clauses of the shape of a request: what is refused before anybody asks who it is."""

from typing import Final

from agentgather.conformance.clause import API, ERRORS, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import Broken, among, holds, same

REQUESTS: Final = f"{API}#requests"
CODES: Final = f"{ERRORS}#error-codes"
_GETS: Final = (
    *("/", "/messages", "/wait?hold=0", "/events?since_id=0", "/status", "/brief", "/activity"),
    *("/profile", "/card", "/export"),
)
_VARYING: Final = frozenset({"/status", "/profile", "/activity"})
"""Ages and times in them differ from one moment to the next, and so may their length."""


async def _http_1_0(room: Room) -> None:
    human = await room.human()
    data = room.client.written("GET", "/status", human.token, version="HTTP/1.0")
    (await room.client.raw(data)).document()


async def _absolute(room: Room) -> None:
    human = await room.human()
    good = room.client.written("GET", "/status", human.token)
    path = f"GET {room.client.place.prefix}/status".encode()
    answer = await room.client.raw(good.replace(path, f"GET {room.base}/status".encode(), 1))
    room.client.fronted(answer)
    answer.refuses("bad_request_target")


async def _with_body(room: Room) -> None:
    human = await room.human()
    data = room.client.written("GET", "/status", human.token, body=b"0123456789")
    answer = await room.client.raw(data)
    room.client.fronted(answer)
    answer.refuses("unexpected_body")


async def _two_requests(room: Room) -> None:
    human = await room.human()
    async with room.client.connected() as connection:
        await connection.send(room.client.written("GET", "/status", human.token))
        first = await room.client.answer(connection)
        await connection.send(room.client.written("GET", "/brief", human.token))
        second = await room.client.answer(connection)
    holds("participants" in first.document(), "the first answer is another's")
    holds("brief" in second.document(), "the second answer is another's")


async def _head(room: Room) -> None:
    for target in _GETS:
        human = room.host if target == "/export" else await room.human()
        head = await room.ask("HEAD", target, human)
        same(f"the status of HEAD {target}", head.status, 200)
        same(f"the body of HEAD {target}", head.body, b"")
        if target.startswith("/events"):
            continue  # its GET has no end
        got = await room.ask("GET", target, human)
        for name in ("content-type", "cache-control", "etag", "content-disposition"):
            same(f"{name} of HEAD {target}", head.field(name), got.field(name))
        # Where the body is made as it goes out, its length need not be known.
        if head.has("content-length") and target not in _VARYING:
            length = head.field("content-length")
            same(f"Content-Length of HEAD {target}", length, str(len(got.body)))


async def _methods(room: Room) -> None:
    human = await room.human()
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await room.ask(method, "/messages", human)
        answer.refuses("method_not_allowed")
        holds(bool(answer.field("allow")), f"the 405 of {method} has no Allow")
    answer = await room.ask("POST", "/status", human)
    allowed = {one.strip() for one in answer.field("allow").split(",")}
    answer.refuses("method_not_allowed")
    same("Allow of /status", allowed, {"GET", "HEAD"})


async def _no_upgrade(room: Room) -> None:
    human = await room.human()
    fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    answer = await room.client.raw(
        room.client.written("GET", "/status", human.token, fields=fields)
    )
    among("the status", answer.status, {200, 400})


async def _preface(room: Room) -> None:
    async with room.client.connected() as connection:
        await connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        try:
            answer = await room.client.answer(connection)
        except Broken:
            return  # closed, or what is no answer of HTTP/1
    room.client.fronted(answer)
    holds(answer.status >= 400, f"HTTP/2 is answered with {answer.status}")


CLAUSES: Final = (
    Clause("request.http-1-0", REQUESTS, "HTTP/1.0 is spoken", _http_1_0),
    Clause(
        "request.one-after-another", REQUESTS, "a connection takes several requests", _two_requests
    ),
    Clause("request.head", REQUESTS, "HEAD has the headers of GET, and no body", _head),
    Clause("request.other-method", REQUESTS, "other methods are 405, with `Allow`", _methods),
    Clause("request.get-with-body", REQUESTS, "GET takes no body", _with_body),
    Clause("request.no-upgrade", REQUESTS, "no upgrade to HTTP/2", _no_upgrade),
    Clause("request.no-preface", REQUESTS, "no HTTP/2 by its preface", _preface),
    Clause("request.absolute-target", CODES, "a target is a path", _absolute),
)
