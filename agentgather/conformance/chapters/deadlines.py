"""Clauses that wait for a deadline of the server; they are tried all at once."""

from typing import Final

import trio

from agentgather.conformance.clause import API, ERRORS, Clause, Stage
from agentgather.conformance.room import Room
from agentgather.conformance.verdict import holds, same
from agentgather.wire.limits import BODY_SECONDS, HEADERS_SECONDS, HOLD_SECONDS

LIMITS: Final = "limits.md#connections"
CODES: Final = f"{ERRORS}#error-codes"


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
        answer = await room.client.answer(connection, seconds=BODY_SECONDS + room.client.seconds)
    room.client.fronted(answer)
    answer.refuses("body_timeout")


async def _headers(room: Room) -> None:
    human = await room.human()
    request = room.client.written("GET", "/brief", human.token)
    async with room.client.connected() as connection:
        await connection.send(request[:20])
        within = HEADERS_SECONDS + room.client.seconds
        with trio.move_on_after(within) as waiting:
            while not await connection.is_silent(0.5):
                if connection.is_over:
                    return
                answer = await connection.answer()
                room.client.fronted(answer)
                answer.refuses("request_timeout")
                return
    holds(not waiting.cancelled_caught, f"half a head is waited for after {within:g} s")


CLAUSES: Final = (
    Clause(
        "deadline.hold",
        f"{API}#get-wait",
        "a wait is held 25 seconds where it names no hold",
        _hold,
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
