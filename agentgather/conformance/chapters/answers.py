"""Clauses of every answer: its form, its length, its headers."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from agentgather.conformance.answer import JSON_TYPE, Answer
from agentgather.conformance.clause import API, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import Broken, holds, in_order, same

ANSWERS: Final = f"{API}#answers"


async def _several(room: Room) -> list[tuple[str, Answer]]:
    """Give answers of all kinds: good ones, refusals of every layer, the page."""
    human = await room.human()
    asked = (
        ("GET", "/status", human),
        ("GET", "/messages?limit=1", human),
        ("GET", "/wait?hold=0", human),
        ("GET", "/card", human),
        ("GET", "/", None),
        ("POST", "/join", human),
        ("POST", "/messages", human),  # without a body
        ("GET", "/status", None),  # without a token
        ("GET", "/nothing", human),
        ("POST", "/status", human),
        ("GET", "/messages?limit=0", human),
    )
    found = []
    for method, target, seat in asked:
        found.append((f"{method} {target}", await room.ask(method, target, seat)))
    return found


def _is_json(what: str) -> bool:
    return what not in ("GET /", "GET /card")


def _has(name: str, *values: str) -> Callable[[Room], Awaitable[None]]:
    """Make a check that every answer has a header, with one of these values."""

    async def check(room: Room) -> None:
        for what, answer in await _several(room):
            value = answer.field(name)
            holds(value in values, f"{what} has {name}: {value!r}")

    return check


async def _policy(room: Room) -> None:
    for what, answer in await _several(room):
        text = answer.field("content-security-policy")
        parts = (part.split() for part in text.split(";") if part.strip())
        rules = {part[0].lower(): part[1:] for part in parts}
        same(f"frame-ancestors of {what}", rules.get("frame-ancestors"), ["'none'"])
        default = rules.get("default-src")
        for kind in ("script-src", "style-src", "connect-src", "object-src"):
            allowed = rules.get(kind, default)
            holds(
                allowed is not None and set(allowed) <= {"'none'", "'self'"},
                f"{kind} of {what} allows {allowed}",
            )


async def _no_store(room: Room) -> None:
    for what, answer in await _several(room):
        if what != "GET /":
            same(f"Cache-Control of {what}", answer.field("cache-control"), "no-store")


async def _no_server(room: Room) -> None:
    for what, answer in await _several(room):
        holds(not answer.has("server"), f"{what} has Server: {answer.field('server')}")


async def _type(room: Room) -> None:
    for what, answer in await _several(room):
        if _is_json(what):
            same(f"Content-Type of {what}", answer.field("content-type"), JSON_TYPE)


async def _line(room: Room) -> None:
    for what, answer in await _several(room):
        if _is_json(what):
            body = answer.body
            same(f"the line ends in {what}", (body.count(b"\n"), body[-1:]), (1, b"\n"))


async def _utf8(room: Room) -> None:
    human = await room.human()
    text = "\N{GREEK SMALL LETTER ALPHA}\N{GRINNING FACE}"
    message = await room.post(human, text)
    answer = await room.ask("GET", f"/messages?since_id={message['id'] - 1}", human)
    try:
        holds(text in answer.body.decode("utf-8"), "a character is an escape, not UTF-8")
    except UnicodeDecodeError:
        raise Broken("the answer is not UTF-8") from None


async def _length(room: Room) -> None:
    human = await room.human()
    for method, target in (("GET", "/brief"), ("GET", "/nothing"), ("POST", "/join")):
        async with room.client.connected() as connection:
            fields = ("Connection: close",)
            data = room.client.written(method, target, human.token, fields=fields)
            await connection.send(data)
            answer = await room.client.answer(connection)
            with trio.move_on_after(room.client.seconds) as closing:
                same(f"what comes behind {target}", await connection.behind(), b"")
            holds(not closing.cancelled_caught, "a connection that is to close stays open")
        length = answer.field("content-length")
        same(f"Content-Length of {target}", length, str(len(answer.body)))


async def _refusal(room: Room) -> None:
    for what, answer in await _several(room):
        if answer.status >= 400:
            document = answer.document(answer.status)
            in_order(f"the keys of {what}", document, ("ok", "error", "message"))
            same(f"ok of {what}", document["ok"], False)
            holds(bool(document["message"]), f"{what} has no message")


async def _plain(room: Room) -> None:
    human = await room.human()
    fields = ("Accept-Encoding: gzip, br, deflate, zstd",)
    for target in ("/card", "/messages", "/status"):
        answer = await room.ask("GET", target, human, fields=fields)
        same(f"Content-Encoding of {target}", answer.field("content-encoding"), "")


_SAME: Final = "same-origin"
CLAUSES: Final = (
    Clause("answer.type", ANSWERS, "JSON says that it is JSON, in UTF-8", _type),
    Clause("answer.line", ANSWERS, "JSON is one line, with its end", _line),
    Clause("answer.utf8", ANSWERS, "characters are in UTF-8", _utf8),
    Clause("answer.length", ANSWERS, "`Content-Length` is exact", _length),
    Clause(
        "answer.refusal", ANSWERS, "every refusal has the same three keys, in their order", _refusal
    ),
    Clause("answer.csp", ANSWERS, "a policy that allows the room's own, and no frames", _policy),
    Clause(
        "answer.nosniff",
        ANSWERS,
        "`X-Content-Type-Options`",
        _has("x-content-type-options", "nosniff"),
    ),
    Clause("answer.referrer", ANSWERS, "`Referrer-Policy`", _has("referrer-policy", "no-referrer")),
    Clause(
        "answer.opener",
        ANSWERS,
        "`Cross-Origin-Opener-Policy`",
        _has("cross-origin-opener-policy", _SAME),
    ),
    Clause(
        "answer.resource",
        ANSWERS,
        "`Cross-Origin-Resource-Policy`",
        _has("cross-origin-resource-policy", _SAME),
    ),
    Clause("answer.no-store", ANSWERS, "`Cache-Control: no-store` on all but the page", _no_store),
    Clause("answer.no-server", ANSWERS, "no `Server`", _no_server),
    Clause("answer.no-compression", ANSWERS, "nothing is compressed", _plain),
)
