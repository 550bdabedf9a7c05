"""Clauses of GET /messages: pages, cursors, and messages as HTML."""

from typing import Final

from agentgather.conformance.clause import API, Clause, Try, gets, posts, refused
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.verdict import holds, in_order, same
from agentgather.wire.limits import MAX_TEXT_UNITS

GET: Final = f"{API}#get-messages"
PREVIEW: Final = f"{API}#post-preview"
NO_INTEGERS: Final = (
    *("", "-1", "%2B5", "1e3", "0x10", "1.0", "1_000", "%205%20", "%D9%A3"),
    "1" * 16,
)
"""What is no query integer, as it stands in a query."""


async def _filled(room: Room, count: int) -> int:
    """Give the cursor before ``count`` new messages."""
    human = await room.human()
    for n in range(count):
        last = await room.post(human, f"page: {n}")
    return int(last["id"]) - count


async def _forward(room: Room) -> None:
    cursor = await _filled(room, 3)
    human = await room.human()
    page = await room.get(f"/messages?since_id={cursor}&limit=2", human)
    in_order("the keys", page, ("ok", "messages", "next_since_id", "has_more"))
    same("the ids", [one["id"] for one in page["messages"]], [cursor + 1, cursor + 2])
    same("next_since_id", page["next_since_id"], cursor + 2)
    same("has_more", page["has_more"], True)
    page = await room.get(f"/messages?since_id={cursor + 2}&limit=2", human)
    same("the ids", [one["id"] for one in page["messages"]], [cursor + 3])
    same("has_more at the end", page["has_more"], False)


async def _backward(room: Room) -> None:
    cursor = await _filled(room, 3)
    human = await room.human()
    page = await room.get(f"/messages?before_id={cursor + 3}&limit=2", human)
    in_order("the keys", page, ("ok", "messages", "has_more_before"))
    same("the ids", [one["id"] for one in page["messages"]], [cursor + 1, cursor + 2])
    same("has_more_before", page["has_more_before"], cursor > 0)
    page = await room.get(f"/messages?before_id={PAST}&limit=1", human)
    same("the ids of the newest page", [one["id"] for one in page["messages"]], [cursor + 3])


async def _from_the_start(room: Room) -> None:
    await _filled(room, 1)
    human = await room.human()
    page = await room.get("/messages", human)
    same("the first page", page, await room.get("/messages?since_id=0", human))
    same("the first id", page["messages"][0]["id"], 1)
    holds(len(page["messages"]) <= 500, "a page has more than 500 messages")


async def _past(room: Room) -> None:
    end = await _filled(room, 1) + 1
    page = await room.get(f"/messages?since_id={PAST}", await room.human())
    same("messages", page["messages"], [])
    same("next_since_id", page["next_since_id"], end)
    same("has_more", page["has_more"], False)


async def _limit(room: Room) -> None:
    cursor = await _filled(room, 1)
    page = await room.get(f"/messages?since_id={cursor}&limit=999999999999999", await room.human())
    same("the ids", [one["id"] for one in page["messages"]], [cursor + 1])


async def _html(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "**bold** <script>alert(1)</script>")
    page = await room.get(f"/messages?since_id={message['id'] - 1}&render=html", human)
    found = page["messages"][0]
    same("the last key", list(found)[-1], "html")
    html = str(found.pop("html"))
    same("the message without html", found, message)
    holds("<strong>bold</strong>" in html, f"the HTML is {html!r}")
    holds("<script" not in html, f"the HTML has a script: {html!r}")


async def _preview(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    answer = await room.ask("POST", "/preview", human, sent={"text": "**x** <b onclick=y>z"})
    html = str(answer.document()["html"])
    holds("<strong>x</strong>" in html, f"the HTML is {html!r}")
    holds("<b" not in html, f"the HTML has an element that the text names: {html!r}")
    blank = await room.ask("POST", "/preview", human, sent={"text": " \n"})
    same("the HTML of a blank text", blank.document()["html"], "")
    same("the last id", await room.end(), end)


async def _unknown(room: Room) -> None:
    human = await room.human()
    page = await room.get("/messages?limit=1&colour=red&v=&x", human)
    same("the page", page, await room.get("/messages?limit=1", human))


CLAUSES: Final = (
    Clause("messages.forward", GET, "pages forward, exclusive of the cursor", _forward),
    Clause("messages.backward", GET, "pages backward, oldest first", _backward),
    Clause(
        "messages.from-the-start", GET, "the first page where nothing is asked for", _from_the_start
    ),
    Clause("messages.past-the-end", f"{API}#messages", "a cursor past the end is set back", _past),
    Clause("messages.great-limit", GET, "a limit over 500 counts as 500", _limit),
    Clause("messages.html", GET, "`render=html` adds safe HTML, last", _html),
    Clause("preview.html", PREVIEW, "how a text would look; nothing is stored", _preview),
    refused(
        "messages.bad-since",
        f"{API}#requests",
        "`since_id` is 1 to 15 ASCII digits",
        "invalid_since_id",
        *gets(*(f"/messages?since_id={text}" for text in NO_INTEGERS)),
    ),
    refused(
        "messages.bad-before",
        f"{API}#requests",
        "`before_id` likewise",
        "invalid_before_id",
        *gets(*(f"/messages?before_id={text}" for text in NO_INTEGERS)),
    ),
    refused(
        "messages.bad-limit",
        GET,
        "`limit` is a number from 1",
        "invalid_limit",
        *gets(*(f"/messages?limit={text}" for text in ("0", *NO_INTEGERS))),
    ),
    refused(
        "messages.two-cursors",
        GET,
        "`since_id` and `before_id` exclude each other",
        "conflicting_cursor",
        *gets("/messages?since_id=0&before_id=5"),
    ),
    refused(
        "messages.bad-render",
        GET,
        "`render` is html or not there",
        "invalid_render",
        *gets("/messages?render=text", "/messages?render="),
    ),
    Clause("query.unknown", f"{API}#requests", "an unknown parameter is ignored", _unknown),
    refused(
        "query.twice",
        f"{API}#requests",
        "a parameter appears once",
        "bad_query",
        *gets("/messages?since_id=0&since_id=0", "/wait?hold=0&hold=0", "/status?a=1&a=2"),
    ),
    refused(
        "query.not-utf8",
        f"{API}#order-of-checks",
        "a query is UTF-8",
        "bad_query",
        *gets("/messages?a=%FF", "/status?%C0%AF=1"),
    ),
    refused(
        "preview.too-long",
        PREVIEW,
        "a text of more than 24,000 UTF-16 code units",
        "message_too_large",
        Try("POST", "/preview", {"text": "a" * (MAX_TEXT_UNITS + 1)}),
    ),
    refused(
        "preview.no-text",
        PREVIEW,
        "a text that is none",
        "invalid_message",
        *posts("/preview", {}, {"text": 1}),
    ),
)
