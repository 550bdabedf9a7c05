"""Clauses of what a message is."""

import re
from typing import Final

from agentgather.conformance.clause import API, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import holds, in_order, same
from agentgather.wire.limits import MAX_TEXT_UNITS
from agentgather.wire.names import MESSAGE_TYPES

MESSAGES: Final = f"{API}#messages"
TS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
ASTRAL: Final = "\N{GRINNING FACE}"
_KEYS: Final = ("id", "room", "ts", "from", "type", "text", "mentions")


async def _keys(room: Room) -> None:
    human = await room.human()
    before = await room.post(human, "what comes before")
    message = await room.post(human, "hello", reply_to=before["id"], client_msg_id="c.keys")
    in_order("the keys of a message", message, (*_KEYS, "reply_to", "client_msg_id"))
    in_order("the keys without the optional ones", before, _KEYS)
    for key in ("reply_to", "client_msg_id", "hidden_chars"):
        holds(key not in before, f"{key} is there without reason")
    same("room", message["room"], room.name)
    same("from", message["from"], human.alias)
    same("type", message["type"], "message")
    same("reply_to", message["reply_to"], before["id"])
    same("client_msg_id", message["client_msg_id"], "c.keys")
    holds(TS.fullmatch(str(message["ts"])) is not None, f"ts is {message['ts']!r}")


async def _ids(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    ids = [(await room.post(human, f"one of three: {n}"))["id"] for n in range(3)]
    same("the ids of three posts", ids, [end + 1, end + 2, end + 3])


async def _visible(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "seen once it is acknowledged")
    same("what is read after 201", await room.since(message["id"] - 1), [message])


async def _untrimmed(room: Room) -> None:
    text = "  two spaces, \t a tab,\r\nlines, \u2028 and a last one \n\n"
    message = await room.post(await room.human(), text)
    same("the text", message["text"], text)
    same("the text as it is read", (await room.since(message["id"] - 1))[0]["text"], text)


async def _types(room: Room) -> None:
    human = await room.human()
    for given in MESSAGE_TYPES:
        same("type", (await room.post(human, f"a {given}", type=given))["type"], given)


async def _mentions(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    a, h = agent.alias, human.alias
    cases: tuple[tuple[str, list[str]], ...] = (
        (f"@{h} and @{a}, @{h}", [h, a]),
        (f"(@{a})", [a]),
        (f"x@{a} _@{a} -@{a}", []),
        (f"@{a}-x @{a}x @nobody-{a}", []),
        (f"`@{a}` and\n```\n@{a}\n```\n", []),
        (f"@{a.upper()}", []),
    )
    for text, expected in cases:
        same(f"mentions of {text!r}", (await room.post(human, text))["mentions"], expected)


async def _hidden(room: Room) -> None:
    human = await room.human()
    for text in ("a\u202eb", "a\u200bb", "a\u0007b", "a\U000e0041b"):
        same(f"hidden_chars of {text!r}", (await room.post(human, text)).get("hidden_chars"), True)
    message = await room.post(human, "nothing\thid\n\N{LATIN SMALL LETTER E WITH ACUTE}")
    holds("hidden_chars" not in message, "a text without hidden characters has hidden_chars")


async def _longest(room: Room) -> None:
    text = ASTRAL * (MAX_TEXT_UNITS // 2)
    message = await room.post(await room.human(), text)
    same("the text is as it was sent", message["text"] == text, True)


CLAUSES: Final = (
    Clause("message.keys", MESSAGES, "its keys, in their order, and their form", _keys),
    Clause("message.ids", MESSAGES, "ids follow each other without a gap", _ids),
    Clause("message.visible", MESSAGES, "what was acknowledged can be read at once", _visible),
    Clause("message.untrimmed", MESSAGES, "the text is stored as it was sent", _untrimmed),
    Clause("message.types", MESSAGES, "each of the seven types is kept", _types),
    Clause("message.mentions", MESSAGES, "whom a text mentions, and whom not", _mentions),
    Clause("message.hidden", MESSAGES, "`hidden_chars` where a reader can't see it all", _hidden),
    Clause("message.longest", MESSAGES, "24,000 UTF-16 code units are taken", _longest),
)
