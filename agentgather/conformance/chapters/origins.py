"""Clauses of Host, Origin and Referer: a page of another site gets nothing."""

from typing import Final

from agentgather.conformance.clause import API, Clause, Try, refused
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import NotChecked, holds, same

BASE: Final = f"{API}#base-url"
REQUESTS: Final = f"{API}#requests"
_POST: Final = {"text": "from elsewhere"}


def _both(*fields: str) -> tuple[Try, ...]:
    return (
        Try("GET", "/status", fields=fields),
        Try("GET", "/messages", fields=fields),
        Try("POST", "/messages", _POST, fields=fields),
    )


async def _host(room: Room) -> None:
    human = await room.human()
    evil = ("Host: evil.example",)
    for target in ("/", "/status", "/nothing"):
        answer = await room.client.raw(room.client.written("GET", target, human.token, fields=evil))
        if room.client.place.is_tls and not answer.is_ours:
            raise NotChecked("a proxy in front has other rooms under other names")
        answer.refuses("insecure_remote")


async def _loopback(room: Room) -> None:
    if room.client.may_be_fronted or room.client.is_tunnelled:
        raise NotChecked("the room is not asked on its own machine")
    human = await room.human()
    for name in ("localhost", "127.0.0.1:1", "[::1]:8080", "LOCALHOST:8787"):
        answer = await room.ask("GET", "/brief", human, fields=(f"Host: {name}",))
        same(f"the status for Host: {name}", answer.status, 200)
    for name in ("localhost:x@evil", "localhost.evil.example", "127.0.0.1.evil.example"):
        answer = await room.ask("GET", "/brief", human, fields=(f"Host: {name}",))
        holds(answer.status in (400, 403), f"the status for Host: {name} is {answer.status}")


async def _own(room: Room) -> None:
    human = await room.human()
    origin = room.base.removesuffix(room.client.place.prefix)
    for field in (f"Origin: {origin}", f"Referer: {room.base}/", "Sec-Fetch-Site: same-origin"):
        answer = await room.ask("GET", "/brief", human, fields=(field,))
        same(f"the status with {field.partition(':')[0]}", answer.status, 200)


async def _followed(room: Room) -> None:
    fields = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
    answer = await room.ask("GET", "/", fields=fields)
    same("the status of the page for who follows a link", answer.status, 200)


async def _no_cors(room: Room) -> None:
    human = await room.human()
    asking = ("Origin: https://evil.example", "Access-Control-Request-Method: POST")
    for answer in (
        await room.ask("OPTIONS", "/messages", fields=asking),
        await room.ask("GET", "/status", human),
    ):
        found = [name for name, _ in answer.fields if name.startswith("access-control-")]
        same("the headers of CORS", found, [])


CLAUSES: Final = (
    Clause("host.another", BASE, "the room is served under its own names only", _host),
    Clause("host.loopback", BASE, "loopback names with any port, and none alike", _loopback),
    Clause("origin.own", REQUESTS, "the room's own origin is good", _own),
    Clause(
        "origin.followed", REQUESTS, "a link to the page may be followed from anywhere", _followed
    ),
    Clause("origin.no-cors", REQUESTS, "there is no CORS", _no_cors),
    refused(
        "origin.another",
        REQUESTS,
        "another origin, `null` too",
        "bad_origin",
        *_both("Origin: https://evil.example"),
        *_both("Origin: null"),
        *_both("Origin: http://localhost:9"),
    ),
    refused(
        "origin.referer",
        REQUESTS,
        "a `Referer` of another origin",
        "bad_origin",
        *_both("Referer: https://evil.example/page"),
    ),
    refused(
        "origin.cross-site",
        REQUESTS,
        "`Sec-Fetch-Site: cross-site`",
        "bad_origin",
        *_both("Sec-Fetch-Site: cross-site"),
    ),
)
