"""Clauses of the close and of a closed room. They are tried with --close only."""

from typing import Final

from agentgather.conformance.chapters.events import opened
from agentgather.conformance.chapters.limits import RATES, later
from agentgather.conformance.clause import API, STATES, Clause, Stage, Try, refused
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.seat import Seat, Seats
from agentgather.conformance.verdict import Broken, same, says
from agentgather.wire.limits import BRIEFS_PER_WINDOW, CLOSES_PER_WINDOW, RATE_WINDOW_SECONDS

CLOSE: Final = f"{API}#post-close"
CLOSED: Final = f"{STATES}#room"
WAIT: Final = f"{API}#get-wait"
EVENTS: Final = f"{API}#get-events"
POST: Final = f"{API}#post-messages"
_LINE: Final = "room closed"
_KEY: Final = {"text": "posted before the close", "client_msg_id": "c.close"}


async def _ready(room: Room) -> Seat:
    """Make what can't be made in a closed room, and give the seat that has posted a key."""
    for which in Seats:
        await room.seat(which)
    human = await room.human()
    (await room.ask("POST", "/messages", human, sent=_KEY)).document(201)
    return human


def _after(clause: Clause) -> Clause:
    """Have the room closed before a clause, whichever are tried."""

    async def check(room: Room) -> None:
        if (await room.status())["room_status"] == "open":
            await _ready(room)
            (await room.ask("POST", "/close", room.host)).document()
        await clause.check(room)

    return clause._replace(check=check, stage=Stage.CLOSING)


async def _at_most(room: Room, count: int, target: str, sent: object = None) -> None:
    # Some may have been asked before.
    for _ in range(count + 1):
        answer = await room.ask("POST", target, room.host, sent=sent, is_patient=False)
        if answer.status == 429:
            later(answer, "rate_limited", at_most=RATE_WINDOW_SECONDS)
            return
        answer.document()
    raise Broken(f"POST {target} is taken {count + 1} times in a minute")


async def _briefs(room: Room) -> None:
    # Here, because the brief could not be put back within a minute.
    await _at_most(room, BRIEFS_PER_WINDOW, "/brief", {"body": "one of many"})


async def _closes(room: Room) -> None:
    await _at_most(room, CLOSES_PER_WINDOW, "/close")


async def _close(room: Room) -> None:
    human, agent = await _ready(room), await room.agent()
    cursor = await room.end()
    async with (
        room.held(agent, f"/wait?for=me&since_id={cursor}") as waiting,
        opened(room, human, f"/events?since_id={cursor}") as (_, events),
    ):
        for _ in range(2):
            answer = (await room.ask("POST", "/close", room.host)).document()
            says(answer, ok=True, room_status="closed")
        found = await room.answer(waiting)
        says(found, room_status="closed", heartbeat=False, keep_waiting=False)
        same("the texts of the wait", [one["text"] for one in found["messages"]], [_LINE])
        same("the last message", (await events.event("message")).data["text"], _LINE)
        says((await events.event("closed")).data, reason="room_closed")
    same("the lines", await room.lines(cursor), [_LINE])
    same("room_status", (await room.status())["room_status"], "closed")


async def _waits(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    answer = await room.get(f"/wait?since_id={end - 1}", human)
    says(answer, room_status="closed", heartbeat=False, keep_waiting=False, next_since_id=end)
    same("how many messages are left", len(answer["messages"]), 1)
    last = await room.get(f"/wait?since_id={end}&hold=25", human)
    says(last, messages=[], heartbeat=False, keep_waiting=False, next_cmd=None)


async def _streams(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    async with opened(room, human, f"/events?since_id={end - 1}") as (_, events):
        same("the message", (await events.event("message", "closed")).data["id"], end)
        says((await events.event("closed")).data, reason="room_closed")
        await events.end()


async def _again(room: Room) -> None:
    human = await room.human()
    answer = await room.ask("POST", "/messages", human, sent=_KEY)
    same("idempotent", answer.document(200).get("idempotent"), True)


async def _works(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    targets = ("/messages", "/brief", "/status", "/card", "/profile", "/activity")
    for target in targets:
        same(f"the status of GET {target}", (await room.ask("GET", target, human)).status, 200)
    (await room.ask("POST", "/leave", human)).document()
    (await room.ask("POST", "/preview", human, sent={"text": "x"})).document()
    name = {"display_name": f"Closed {human.alias[-12:]}"}
    (await room.ask("POST", "/profile", human, sent=name)).document()
    await room.rotate(await room.seat(Seats.OBSERVER))
    same("the status of the export", (await room.ask("GET", "/export", room.host)).status, 200)
    same("the last id", await room.end(), end)
    page = await room.get(f"/messages?before_id={PAST}&limit=1", human)
    same("the last line", page["messages"][-1]["text"], _LINE)


CLAUSES: Final = (
    Clause("limit.briefs", RATES, "20 briefs a minute", _briefs, Stage.CLOSING),
    Clause("close.once", CLOSE, "one line; held waits and streams end", _close, Stage.CLOSING),
    *(
        _after(clause)
        for clause in (
            Clause("close.waits", WAIT, "no wait is held; what is left, then null", _waits),
            Clause("close.streams", EVENTS, "what is left, then `closed`", _streams),
            Clause("close.again", POST, "a key still finds its message", _again),
            Clause("close.works", CLOSED, "reading, leaving, profiles, rotating", _works),
            refused(
                "close.posts",
                CLOSED,
                "nobody posts or joins",
                "room_closed",
                Try("POST", "/messages", {"text": "x"}),
                Try("POST", "/join"),
            ),
            refused(
                "close.host",
                CLOSED,
                "no brief, policy, invite, loop guard",
                "room_closed",
                Try("POST", "/brief", {"body": "x"}),
                Try("POST", "/attendance", {"policy": "manual-ok"}),
                Try("POST", "/loop-guard"),
                Try("POST", "/participants", {"alias": "afterwards"}),
                by=Seats.HOST,
            ),
            refused(
                "close.state-before-values",
                f"{API}#order-of-checks",
                "a bad value in a closed room",
                "room_closed",
                Try("POST", "/messages", {"text": "x", "reply_to": 0}),
            ),
            Clause("limit.closes", RATES, "10 closes a minute", _closes),
        )
    ),
)
