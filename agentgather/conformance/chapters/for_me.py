"""Clauses of waits that end only for what concerns the caller."""

from collections.abc import Awaitable, Callable
from typing import Final

from agentgather.conformance.clause import API, WAIT, Clause
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seat
from agentgather.conformance.verdict import holds, same
from agentgather.wire.names import ATTENDANCE_POLICIES

GET: Final = f"{API}#get-wait"
ENDS: Final = f"{WAIT}#what-ends-a-wait"
_QUIET_SECONDS: Final = 0.5
"""A wait that is not answered by then sleeps on."""


async def _ended_by(room: Room, agent: Seat, what: Callable[[], Awaitable[object]]) -> list[str]:
    """Give the texts that a wait with `for=me` is answered with, once that was done."""
    async with room.held(agent, f"/wait?for=me&since_id={await room.end()}") as waiting:
        await what()
        answer = await room.answer(waiting)
    same("heartbeat", answer["heartbeat"], False)
    return [one["text"] for one in answer["messages"]]


async def _mention(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    text = f"this is for @{agent.alias}"
    same("the texts", await _ended_by(room, agent, lambda: room.post(human, text)), [text])


async def _reply(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    asked = await room.post(agent, "who answers me?")
    found = await _ended_by(room, agent, lambda: room.post(human, "I do", reply_to=asked["id"]))
    same("the texts", found, ["I do"])


async def _brief(room: Room) -> None:
    agent = await room.agent()
    texts = await _ended_by(room, agent, lambda: room.set_brief("A brief that ends waits."))
    holds(texts[0].startswith("Room brief updated to v"), f"the texts are {texts}")


async def _policy(room: Room) -> None:
    agent = await room.agent()
    now = (await room.status())["attendance_policy"]
    policy = next(one for one in ATTENDANCE_POLICIES if one != now)
    texts = await _ended_by(room, agent, lambda: room.set_policy(policy))
    same("the texts", texts, [f"Attendance policy set to {policy}"])


async def _others(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    cursor = await room.end()
    async with room.held(agent, f"/wait?for=me&since_id={cursor}") as waiting:
        await room.post(human, "for nobody")
        await room.post(agent, f"about myself, @{agent.alias}")
        holds(
            await waiting.is_silent(_QUIET_SECONDS),
            "it ends for what does not concern the caller, or is the caller's own",
        )
        await room.post(human, f"@{agent.alias} now")
        answer = await room.answer(waiting)
    ids = [one["id"] for one in answer["messages"]]
    same("the ids, of all past the cursor", ids, [cursor + 1, cursor + 2, cursor + 3])


CLAUSES: Final = (
    Clause("for-me.mention", ENDS, "a mention ends the wait", _mention),
    Clause("for-me.reply", GET, "a reply to the caller ends it", _reply),
    Clause("for-me.brief", GET, "a new brief ends it", _brief),
    Clause("for-me.policy", GET, "a new attendance policy ends it", _policy),
    Clause("for-me.others", GET, "all else does not end it, and is in the answer", _others),
)
