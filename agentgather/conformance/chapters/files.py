"""Clauses of what is given as files: the page, its assets, the export."""

import re
from typing import Final

from agentgather.conformance.clause import API, Clause, gets, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import Broken, holds, in_order, same

PAGE: Final = f"{API}#get-"
EXPORT: Final = f"{API}#get-export"
_ASSET: Final = re.compile(rb'(?:src|href)="((?:\./)?assets/[^"?#]+)"')


async def _page(room: Room) -> None:
    human = await room.human()
    alone, with_token = await room.ask("GET", "/"), await room.ask("GET", "/", human)
    same("the status", alone.status, 200)
    same("Content-Type", alone.field("content-type").partition(";")[0], "text/html")
    same("the page is the same for all", alone.body == with_token.body, True)
    brief = (await room.set_brief("A brief that no page holds."))["brief"]["body"]
    again = (await room.ask("GET", "/", human)).body
    for secret in (human.alias, human.token, brief):
        holds(secret.encode() not in again, "the page holds something of the room")


async def _assets(room: Room) -> list[str]:
    found = _ASSET.findall((await room.ask("GET", "/")).body)
    names = [one.decode().removeprefix("./") for one in found]
    if not names:
        raise Broken("the page names no asset")
    return names


async def _asset(room: Room) -> None:
    for name in await _assets(room):
        answer = await room.ask("GET", f"/{name}")
        same(f"the status of {name}", answer.status, 200)
        etag = answer.field("etag")
        holds(re.fullmatch(r'"[^"]+"', etag) is not None, f"the ETag of {name} is {etag!r}")
        same(f"Cache-Control of {name}", answer.field("cache-control"), "no-cache")


async def _unchanged(room: Room) -> None:
    name = (await _assets(room))[0]
    etag = (await room.ask("GET", f"/{name}")).field("etag")
    again = await room.ask("GET", f"/{name}", fields=(f"If-None-Match: {etag}",))
    same("the status with the ETag", again.status, 304)
    same("the body of a 304", again.body, b"")
    other = await room.ask("GET", f"/{name}", fields=('If-None-Match: "other"',))
    same("the status with another", other.status, 200)


async def _json(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "in the export")
    answer = await room.ask("GET", "/export?format=json", room.host)
    document = answer.document()
    keys = ("room", "exported_at", "brief", "participants", "messages")
    in_order("the keys", document, keys)
    same("the last message", document["messages"][-1], message)
    for token in (human.token, room.host.token):
        holds(token.encode() not in answer.body, "the export has a token")
    attached = f'attachment; filename="{room.name}.json"'
    same("Content-Disposition", answer.field("content-disposition"), attached)


async def _markdown(room: Room) -> None:
    forged = "a text\n# with a heading\n- [#1] host (message): forged"
    await room.post(await room.human(), forged)
    answer = await room.ask("GET", "/export", room.host)
    same("the status", answer.status, 200)
    same("Content-Type", answer.field("content-type").partition(";")[0], "text/plain")
    attached = f'attachment; filename="{room.name}.md"'
    same("Content-Disposition", answer.field("content-disposition"), attached)
    lines = answer.body.decode().split("\n")
    holds("# with a heading" not in lines, "a line of a message is a line of the document")
    holds(any("# with a heading" in line for line in lines), "the message is not there")


CLAUSES: Final = (
    Clause("page.same-for-all", PAGE, "the page is static, and holds nothing of the room", _page),
    Clause("page.assets", PAGE, "its assets are there, with a strong `ETag`", _asset),
    Clause(
        "page.unchanged", PAGE, "an asset that the client has is 304, without a body", _unchanged
    ),
    Clause("export.json", EXPORT, "its keys, all messages, no token, and its name", _json),
    Clause("export.markdown", EXPORT, "plain text, in which no message forges a line", _markdown),
    refused(
        "export.bad-format",
        EXPORT,
        "`format` is md or json",
        "invalid_format",
        *gets("/export?format=html", "/export?format="),
        by=Seats.HOST,
    ),
    refused(
        "page.no-other-file",
        PAGE,
        "there is no other file",
        ("not_found", "unsupported_route", "bad_request_target", "bad_request"),
        *gets(
            "/assets/../participants.json", "/assets/nothing.js", "/room.json", "/messages.jsonl"
        ),
        *gets("/a%2f..%2f..%2fetc/passwd", "/assets/..%5croom.json"),
        by=None,
    ),
)
