"""Clauses of GET /wait: the wait object, when it comes, and what is in it."""

from typing import Final

from agentgather.conformance.clause import API, WAIT, Clause, gets, refused
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import holds, in_order, same, says

GET: Final = f"{API}#get-wait"
ENDS: Final = f"{WAIT}#what-ends-a-wait"
_KEYS: Final = (
    *("ok", "room", "room_status", "participant", "heartbeat", "messages", "mentioned"),
    *("next_since_id", "keep_waiting", "next_cmd", "has_more"),
)


def command(room: Room, alias: str, cursor: int) -> str:
    """Give the command that continues."""
    return (
        f'curl -s "{room.base}/wait?participant={alias}&since_id={cursor}" '
        '-H "Authorization: Bearer $AG_TOKEN"'
    )


async def _object(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "for the wait object")
    answer = await room.get(f"/wait?since_id={message['id'] - 1}", human)
    in_order("the keys", answer, _KEYS)
    says(answer, ok=True, room=room.name, room_status="open", participant=human.alias)
    says(answer, heartbeat=False, messages=[message], mentioned=False, keep_waiting=False)
    says(answer, next_since_id=message["id"], has_more=False)


async def _behind(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "what a wait is behind of")
    answer = await room.get(f"/wait?since_id={message['id'] - 1}&hold=25", human)
    says(answer, messages=[message], heartbeat=False)


async def _next_cmd(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "before the next command")
    answer = await room.get(f"/wait?since_id={message['id'] - 1}", human)
    says(answer, next_cmd=command(room, human.alias, message["id"]))
    answer = await room.get(f"/wait?since_id={message['id']}&hold=0", human)
    says(answer, next_cmd=command(room, human.alias, message["id"]))


async def _nothing(room: Room) -> None:
    human = await room.human()
    cursor = await room.end()
    answer = await room.get(f"/wait?since_id={cursor}&hold=0", human)
    says(answer, heartbeat=True, messages=[], mentioned=False, keep_waiting=True)
    says(answer, next_since_id=cursor, has_more=False, room_status="open")


async def _hold(room: Room) -> None:
    human = await room.human()
    cursor = await room.end()
    answer = await room.ask("GET", f"/wait?since_id={cursor}&hold=1", human)
    says(answer.document(), heartbeat=True, messages=[], next_since_id=cursor)
    holds(answer.seconds > 0.9, f"a hold of 1 s is over after {answer.seconds:.2f} s")


async def _past(room: Room) -> None:
    end = await room.end()
    human = await room.human()
    answer = await room.get(f"/wait?since_id={PAST}&hold=25", human)
    says(answer, heartbeat=True, messages=[], keep_waiting=True, next_since_id=end)
    says(answer, next_cmd=command(room, human.alias, end))


async def _woken(room: Room) -> None:
    human = await room.human()
    cursor = await room.end()
    async with room.held(human, f"/wait?since_id={cursor}") as waiting:
        message = await room.post(await room.agent(), "what wakes a wait")
        answer = await room.answer(waiting)
    says(answer, messages=[message], heartbeat=False, keep_waiting=False)
    says(answer, next_since_id=message["id"])


async def _mentioned(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    cursor = await room.end()
    await room.post(human, f"@{agent.alias} look")
    await room.post(human, "no more than that")
    says(await room.get(f"/wait?since_id={cursor}", agent), mentioned=True)
    says(await room.get(f"/wait?since_id={cursor}", human), mentioned=False)
    says(await room.get(f"/wait?since_id={cursor + 1}", agent), mentioned=False)


async def _none_lost(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    cursor = first = await room.end()
    posted, seen = [], []
    for n in range(6):
        async with room.client.connected() as connection:
            target = f"/wait?since_id={cursor}"
            # At once, so that the post lands before, while or after the wait begins.
            await connection.send(room.client.written("GET", target, human.token))
            posted.append(await room.post(agent, f"one of six: {n}"))
            answer = await room.answer(connection)
        seen += answer["messages"]
        cursor = answer["next_since_id"]
    same("the ids that were seen", [one["id"] for one in seen], list(range(first + 1, first + 7)))
    same("the messages that were seen", seen, posted)


async def _named(room: Room) -> None:
    human = await room.human()
    answer = await room.get(f"/wait?participant={human.alias}&since_id={PAST}", human)
    says(answer, participant=human.alias)


async def _removed(room: Room) -> None:
    guest = await room.guest("waiting", kind="human")
    cursor = await room.end()
    async with room.held(guest, f"/wait?since_id={cursor}") as waiting:
        await room.remove(guest)
        answer = await room.answer(waiting)
    for found in (answer, await room.get(f"/wait?since_id={cursor}", guest)):
        says(found, participant_status="removed", messages=[], heartbeat=False)
        says(found, keep_waiting=False, next_cmd=None)


async def _rotated(room: Room) -> None:
    guest = await room.seat(Seats.OBSERVER)
    cursor = await room.end()
    async with room.held(guest, f"/wait?since_id={cursor}") as waiting:
        await room.rotate(guest)
        (await room.client.answer(waiting)).refuses("forbidden")


async def _head(room: Room) -> None:
    human = await room.human()
    answer = await room.ask("HEAD", f"/wait?since_id={await room.end()}", human)
    same("the status", answer.status, 200)
    holds(answer.seconds < 5, f"it took {answer.seconds:.1f} s")


CLAUSES: Final = (
    Clause("wait.object", GET, "its keys, in their order", _object),
    Clause("wait.behind", ENDS, "a cursor that is behind is answered at once", _behind),
    Clause("wait.next-cmd", GET, "the command that continues, at the URL that was used", _next_cmd),
    Clause("wait.nothing", GET, "`hold=0` with nothing new: a heartbeat at once", _nothing),
    Clause("wait.hold", GET, "a hold is kept to its end where nothing comes", _hold),
    Clause("wait.past-the-end", GET, "a cursor past the end is set back at once", _past),
    Clause("wait.woken", ENDS, "a message ends a held wait", _woken),
    Clause("wait.mentioned", GET, "whether a message of the page mentions the caller", _mentioned),
    Clause(
        "wait.none-lost", ENDS, "a message that comes while a wait begins is not missed", _none_lost
    ),
    Clause("wait.named", GET, "`participant` may be the caller's own alias", _named),
    Clause("wait.removed", ENDS, "a removal ends a held wait, and a later wait says so", _removed),
    Clause("wait.rotated", ENDS, "a rotation ends a held wait: 403 `forbidden`", _rotated),
    Clause("wait.head", f"{API}#requests", "HEAD never waits", _head),
    refused(
        "wait.another",
        GET,
        "`participant` is the token's alias",
        "participant_mismatch",
        *gets("/wait?participant=nobody&hold=0", "/wait?participant=&hold=0"),
    ),
    refused(
        "wait.bad-hold",
        GET,
        "`hold` is 0 to 25 seconds",
        "invalid_hold",
        *gets(*(f"/wait?hold={text}" for text in ("26", "-1", "1.5", "", "x"))),
    ),
    refused(
        "wait.bad-for", GET, "`for` is only me", "invalid_for", *gets("/wait?for=you", "/wait?for=")
    ),
    refused(
        "wait.bad-since",
        GET,
        "`since_id` is 1 to 15 ASCII digits",
        "invalid_since_id",
        *gets("/wait?since_id=-1", "/wait?since_id=1e3", "/wait?since_id="),
    ),
)
