"""Clauses that wait for a deadline of the server; they are tried all at once."""

from typing import Final

import trio

from agentgather.conformance.clause import API, ERRORS, STATES, Clause, Stage
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import Broken, NotChecked, holds, same
from agentgather.wire.limits import BODY_SECONDS, HEADERS_SECONDS, HOLD_SECONDS

LIMITS: Final = "limits.md#connections"
CODES: Final = f"{ERRORS}#error-codes"
SEAT: Final = f"{STATES}#seat"
_PROXY_SECONDS: Final = 20
_UNUSED_SECONDS: Final = 10
"""How long an invite may lie unused that is used at once."""


async def _hold(room: Room) -> None:
    human = await room.human()
    cursor = await room.end()
    async with room.client.connected() as connection:
        await connection.send(room.client.written("GET", f"/wait?since_id={cursor}", human.token))
        answer = await room.client.answer(connection, seconds=HOLD_SECONDS + room.client.seconds)
    document = answer.document()
    same("heartbeat", document["heartbeat"], True)
    same("next_since_id", document["next_since_id"], cursor)
    holds(answer.seconds > HOLD_SECONDS - 1, f"it is held for {answer.seconds:.1f} s")


async def _body(room: Room) -> None:
    human = await room.human()
    head = room.client.written("POST", "/messages", human.token, body=b"{}")
    head = head.removesuffix(b"{}").replace(b"Content-Length: 2", b"Content-Length: 20")
    async with room.client.connected() as connection:
        await connection.send(head)
        # A proxy that reads the body first has a deadline of its own, and passes ours on after it.
        most = BODY_SECONDS + room.client.seconds + _PROXY_SECONDS * room.client.may_be_fronted
        answer = await room.client.answer(connection, seconds=most)
    room.client.fronted(answer)
    answer.refuses("body_timeout")


async def _headers(room: Room) -> None:
    human = await room.human()
    request = room.client.written("GET", "/brief", human.token)
    async with room.client.connected() as connection:
        await connection.send(request[:20])
        within = HEADERS_SECONDS + room.client.seconds
        if await connection.is_silent(within):
            if room.client.may_be_fronted:
                raise NotChecked("a proxy in front of the server may wait longer for a head")
            raise Broken(f"half a head is waited for after {within:g} s")
        if connection.is_over:
            return
        answer = await room.client.answer(connection)
    room.client.fronted(answer)
    answer.refuses("request_timeout")


async def _claimed(room: Room) -> None:
    guest = await room.guest("claimed", kind="human", expires_in_s=_UNUSED_SECONDS)
    # A wait claims the seat and, unlike a join, wakes nobody.
    (await room.ask("GET", "/wait?hold=0", guest)).document()
    await trio.sleep(_UNUSED_SECONDS + 0.3)
    same("the status after the time", (await room.ask("GET", "/brief", guest)).status, 200)


CLAUSES: Final = (
    Clause(
        "deadline.hold",
        f"{API}#get-wait",
        "a wait is held 25 seconds where it names no hold",
        _hold,
        Stage.TOGETHER,
    ),
    Clause(
        "invite.claimed",
        SEAT,
        "a seat that was used in time outlives the time of its invite",
        _claimed,
        Stage.TOGETHER,
    ),
    Clause("deadline.body", CODES, "a body that does not come: 408", _body, Stage.TOGETHER),
    Clause(
        "deadline.headers",
        LIMITS,
        "a head that does not end: 408, or cut",
        _headers,
        Stage.TOGETHER,
    ),
)
