"""Clauses of the Attend Card, and of invites that end."""

from typing import Final

import trio

from agentgather.conformance.clause import API, STATES, Clause, gets, refused
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import holds, same

GET: Final = f"{API}#get-card"
SEAT: Final = f"{STATES}#seat"


async def _card(room: Room) -> None:
    agent = await room.agent()
    answer = await room.ask("GET", f"/card?participant={agent.alias}", agent)
    same("the status", answer.status, 200)
    same("Content-Type", answer.field("content-type").partition(";")[0], "text/plain")
    same("Cache-Control", answer.field("cache-control"), "no-store")
    text = answer.body.decode()
    lines = (f'export AG_BASE="{room.base}"', f'export AG_TOKEN="{agent.token}"')
    for line in lines:
        holds(line in text, f"the card does not have {line.partition('=')[0]} as it should be")


async def _by_link(room: Room) -> None:
    agent = await room.agent()
    answer = await room.ask("GET", f"/card?participant={agent.alias}&token={agent.token}")
    same("the status", answer.status, 200)
    same("Cache-Control", answer.field("cache-control"), "no-store")
    holds(agent.token in answer.body.decode(), "the card has no token")


async def _single_use(room: Room) -> None:
    guest = await room.guest("single", kind="agent", single_use=True)
    link = f"/card?token={guest.token}"
    for _ in range(2):
        same("the status before the first use", (await room.ask("GET", link)).status, 200)
    (await room.ask("POST", "/join", guest)).document()
    (await room.ask("GET", link)).refuses("invite_used")
    same("the status with the header", (await room.ask("GET", "/card", guest)).status, 200)


async def _expired(room: Room) -> None:
    late = await room.guest("late", kind="agent", expires_in_s=1)
    # What is checked is that the time has an end; a little more is the server's clock.
    await trio.sleep(1.3)
    (await room.ask("GET", "/brief", late)).refuses("invite_expired")
    (await room.ask("GET", f"/card?token={late.token}")).refuses("invite_expired")
    fresh = await room.rotate(late)
    same("the status after rotate", (await room.ask("GET", "/brief", fresh)).status, 200)


CLAUSES: Final = (
    Clause("card.text", GET, "plain text that sets this URL and this token", _card),
    Clause("card.link", f"{API}#tokens", "a card can be read by `?token=`", _by_link),
    Clause(
        "card.single-use",
        SEAT,
        "a single-use link ends with the first use, the seat does not",
        _single_use,
    ),
    Clause(
        "card.expired", SEAT, "an unused invite ends with its time, and rotate renews it", _expired
    ),
    refused(
        "card.another",
        GET,
        "`participant` is the token's alias",
        "participant_mismatch",
        *gets("/card?participant=nobody"),
    ),
    refused("card.bad-base", GET, "`base` is only public", "invalid_base", *gets("/card?base=x")),
)
