"""Clauses of tokens: who is who, and who is nobody."""

import re
from typing import Final

from agentgather.conformance.clause import API, ERRORS, Clause, Try, refused
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import Broken, holds, same

TOKENS: Final = f"{API}#tokens"
_FORM: Final = re.compile(r"agp_[A-Za-z0-9_-]{43}", re.ASCII)
_UNKNOWN: Final = "agp_" + "A" * 43
_PROTECTED: Final = (
    *(("GET", path) for path in ("/messages", "/wait", "/events", "/status", "/brief", "/card")),
    *(("GET", path) for path in ("/activity", "/profile", "/export")),
    *(("POST", path) for path in ("/messages", "/join", "/leave", "/brief", "/close")),
)


async def _form(room: Room) -> None:
    for seat in (await room.human(), await room.agent()):
        holds(_FORM.fullmatch(seat.token) is not None, "a token is not agp_ and 43 of base64url")


async def _challenge(room: Room) -> None:
    answer = await room.ask("GET", "/status")
    answer.refuses("unauthorized")
    challenge = answer.field("www-authenticate")
    holds(challenge.startswith("Bearer"), f"WWW-Authenticate is {challenge!r}")


async def _in_query(room: Room) -> None:
    human = await room.human()
    for target in ("/status", "/messages", "/wait", "/events"):
        (await room.ask("GET", f"{target}?token={human.token}")).refuses("unauthorized")


async def _removed(room: Room) -> None:
    gone = await room.gone()
    for method, target in (("GET", "/status"), ("GET", "/card"), ("GET", "/events")):
        (await room.ask(method, target, gone)).refuses("participant_removed")
    answer = await room.ask("POST", "/messages", gone, sent={"text": "x"})
    answer.refuses("participant_removed")


async def _replaced(room: Room) -> None:
    agent = await room.agent()
    fresh = await room.rotate(agent)
    holds(fresh.token != agent.token, "the token is the same after rotate")
    (await room.ask("GET", "/status", agent)).refuses("forbidden")
    same("me under the new token", (await room.get("/status", fresh))["me"], agent.alias)


async def _two(room: Room) -> None:
    human = await room.human()
    fields = (f"Authorization: Bearer {human.token}",)
    answer = await room.client.raw(
        room.client.written("GET", "/status", human.token, fields=fields)
    )
    room.client.fronted(answer)
    answer.refuses("bad_request")


async def _like(room: Room) -> None:
    # What is said to a stranger must not tell which tokens there were.
    answer = await room.ask("GET", "/status", fields=(f"Authorization: Bearer {_UNKNOWN}",))
    answer.refuses("forbidden")
    if b"agp_" in answer.body:
        raise Broken("a refusal repeats the token")


CLAUSES: Final = (
    Clause("token.form", TOKENS, "`agp_` and 32 bytes in base64url", _form),
    Clause("token.challenge", f"{API}#answers", "401 carries `WWW-Authenticate`", _challenge),
    Clause("token.in-a-query", TOKENS, "no query holds a token, but that of a card", _in_query),
    Clause("token.unknown", TOKENS, "403 `forbidden`, and the text repeats no token", _like),
    Clause("token.removed", TOKENS, "that of a removed participant: 410", _removed),
    Clause("token.replaced", TOKENS, "one that was replaced: 403 `forbidden`", _replaced),
    Clause("token.twice", TOKENS, "two of them: 400 `bad_request`", _two),
    refused(
        "token.none",
        TOKENS,
        "every endpoint of participants asks for one",
        "unauthorized",
        *(Try(method, path) for method, path in _PROTECTED),
        by=None,
    ),
    refused(
        "token.malformed",
        f"{ERRORS}#error-codes",
        "what is no well-formed bearer token",
        "unauthorized",
        *(
            Try("GET", "/status", fields=(f"Authorization: {value}",))
            for value in ("Basic eDp5", "Bearer", "Bearer a b", "Token agp_x")
        ),
        by=None,
    ),
)
