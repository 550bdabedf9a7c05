"""Clauses of POST /messages."""

from typing import Final

from agentgather.conformance.chapters.message import ASTRAL
from agentgather.conformance.clause import API, Clause, bodies, posts, refused
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import holds, same
from agentgather.wire.limits import MAX_TEXT_UNITS

POST: Final = f"{API}#post-messages"
MESSAGES: Final = f"{API}#messages"


async def _unknown_type(room: Room) -> None:
    human = await room.human()
    for given in ("opinion", "system", 7, ["message"]):
        message = await room.post(human, "of no known type", type=given)
        same(f"type after {given!r} was sent", message["type"], "message")


async def _sender(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    forged = {"from": room.host.alias, "id": 1, "ts": "1999-01-01T00:00:00.000Z", "room": "x"}
    message = await room.post(human, "forged", **forged, mentions=["host"], is_host=True)
    same("from", message["from"], human.alias)
    same("id", message["id"], end + 1)
    same("room", message["room"], room.name)
    same("mentions", message["mentions"], [])
    holds(not str(message["ts"]).startswith("1999"), "ts is what the sender says")
    holds("is_host" not in message, "is_host is stored")


async def _again(room: Room) -> None:
    human = await room.human()
    draft = {"text": "only once", "client_msg_id": "c.again"}
    first = (await room.ask("POST", "/messages", human, sent=draft)).document(201)
    second = (await room.ask("POST", "/messages", human, sent=draft)).document(200)
    holds("idempotent" not in first, "the first answer says idempotent")
    same("idempotent", second.get("idempotent"), True)
    same("the message", second.get("message"), first["message"])
    end = await room.end()
    same("the last id", end, first["message"]["id"])


async def _others_key(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    mine = await room.post(human, "mine", client_msg_id="c.shared")
    theirs = await room.post(agent, "theirs", client_msg_id="c.shared")
    same("the id under another's key", theirs["id"], mine["id"] + 1)


async def _conflict(room: Room) -> None:
    human = await room.human()
    await room.post(human, "one text", client_msg_id="c.conflict")
    again = {"text": "another text", "client_msg_id": "c.conflict"}
    (await room.ask("POST", "/messages", human, sent=again)).refuses("idempotency_conflict")
    again = {"text": "one text", "client_msg_id": "c.conflict", "type": "status"}
    (await room.ask("POST", "/messages", human, sent=again)).document(200)


async def _no_reply(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    wrong = (0, -1, 1.5, "1", True, [1], 2**53, 10**30, end + 1000)
    for given in wrong:
        answer = await room.ask("POST", "/messages", human, sent={"text": "x", "reply_to": given})
        answer.refuses("invalid_reply_to")


CLAUSES: Final = (
    Clause("post.unknown-type", POST, "another type, `system` too, is `message`", _unknown_type),
    Clause("post.sender", POST, "who sends, and what is the room's, is not the body's", _sender),
    Clause("post.again", POST, "a key that was used gives the message of that time", _again),
    Clause("post.key-is-ones-own", POST, "a key belongs to one participant", _others_key),
    Clause(
        "post.conflict",
        POST,
        "another text under a key is refused; only the text counts",
        _conflict,
    ),
    Clause("post.no-such-reply", POST, "`reply_to` is an id that is there", _no_reply),
    refused(
        "post.bad-key",
        POST,
        "the form of `client_msg_id`",
        "invalid_client_msg_id",
        *posts(
            "/messages",
            *({"text": "x", "client_msg_id": key} for key in ("", "a b", "é", "a" * 129, 7, "a\n")),
        ),
    ),
    refused(
        "post.no-text",
        POST,
        "a text that is missing, blank, or none",
        "invalid_message",
        *posts("/messages", {}, *({"text": text} for text in ("", " \n\t", 1, None, ["x"]))),
    ),
    refused(
        "post.too-long",
        MESSAGES,
        "a text of more than 24,000 UTF-16 code units",
        "message_too_large",
        *posts(
            "/messages",
            {"text": "a" * (MAX_TEXT_UNITS + 1)},
            {"text": ASTRAL * (MAX_TEXT_UNITS // 2) + "a"},
        ),
    ),
    refused(
        "post.half-a-character",
        POST,
        "a lone surrogate is no text",
        ("invalid_json", "invalid_message"),
        *bodies("/messages", rb'{"text":"\ud800"}', rb'{"text":"a\udc00b"}'),
    ),
    refused(
        "post.observer",
        POST,
        "an observer posts nothing",
        "observer_read_only",
        *posts("/messages", {"text": "x"}),
        by=Seats.OBSERVER,
    ),
)
