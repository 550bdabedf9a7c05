"""Clauses of the close and of a closed room. They are tried with --close only."""

from typing import Final

from agentgather.conformance.chapters.events import opened
from agentgather.conformance.chapters.limits import RATES, later
from agentgather.conformance.chapters.waiting import said
from agentgather.conformance.clause import API, STATES, Clause, Stage, Try, refused
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import Broken, same
from agentgather.wire.limits import BRIEFS_PER_WINDOW, CLOSES_PER_WINDOW, RATE_WINDOW_SECONDS

CLOSE: Final = f"{API}#post-close"
CLOSED: Final = f"{STATES}#room"
WAIT: Final = f"{API}#get-wait"
_LINE: Final = "room closed"


async def _briefs(room: Room) -> None:
    # Here, because the brief could not be put back within a minute.
    for _ in range(BRIEFS_PER_WINDOW + 1):
        sent = {"body": "one of many"}
        answer = await room.ask("POST", "/brief", room.host, sent=sent, is_patient=False)
        if answer.status == 429:
            later(answer, "rate_limited", at_most=RATE_WINDOW_SECONDS)
            return
        answer.document()
    raise Broken(f"{BRIEFS_PER_WINDOW + 1} briefs are taken in a minute")


async def _closes(room: Room) -> None:
    for _ in range(CLOSES_PER_WINDOW + 1):
        answer = await room.ask("POST", "/close", room.host, is_patient=False)
        if answer.status == 429:
            later(answer, "rate_limited", at_most=RATE_WINDOW_SECONDS)
            return
        answer.document()
    raise Broken(f"{CLOSES_PER_WINDOW + 1} closes are taken in a minute")


async def _close(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    key = {"text": "posted before the close", "client_msg_id": "c.close"}
    (await room.ask("POST", "/messages", human, sent=key)).document(201)
    cursor = await room.end()
    async with (
        room.held(agent, f"/wait?for=me&since_id={cursor}") as waiting,
        opened(room, human, f"/events?since_id={cursor}") as (_, events),
    ):
        for _ in range(2):
            answer = (await room.ask("POST", "/close", room.host)).document()
            same("the answer", answer, {"ok": True, "room_status": "closed"})
        found = await room.answer(waiting)
        said(found, room_status="closed", heartbeat=False, keep_waiting=False)
        same("the texts of the wait", [one["text"] for one in found["messages"]], [_LINE])
        same("the last message", (await events.event("message")).data["text"], _LINE)
        same("closed", (await events.event("closed")).data, {"reason": "room_closed"})
    same("the lines", await room.lines(cursor), [_LINE])
    same("room_status", (await room.status())["room_status"], "closed")


async def _waits(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    answer = await room.get(f"/wait?since_id={end - 1}", human)
    said(answer, room_status="closed", heartbeat=False, keep_waiting=False, next_since_id=end)
    same("how many messages are left", len(answer["messages"]), 1)
    last = await room.get(f"/wait?since_id={end}&hold=25", human)
    said(last, messages=[], heartbeat=False, keep_waiting=False, next_cmd=None)


async def _streams(room: Room) -> None:
    human = await room.human()
    end = await room.end()
    async with opened(room, human, f"/events?since_id={end - 1}") as (_, events):
        same("the message", (await events.event("message", "closed")).data["id"], end)
        same("closed", (await events.event("closed")).data, {"reason": "room_closed"})
        await events.end()


async def _again(room: Room) -> None:
    human = await room.human()
    key = {"text": "posted before the close", "client_msg_id": "c.close"}
    answer = await room.ask("POST", "/messages", human, sent=key)
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
    Clause("close.waits", WAIT, "no wait is held; what is left, then null", _waits, Stage.CLOSING),
    Clause(
        "close.streams", f"{API}#get-events", "what is left, then `closed`", _streams, Stage.CLOSING
    ),
    Clause(
        "close.again",
        f"{API}#post-messages",
        "a key still finds its message",
        _again,
        Stage.CLOSING,
    ),
    Clause("close.works", CLOSED, "reading, leaving, profiles, rotating", _works, Stage.CLOSING),
    refused(
        "close.posts",
        CLOSED,
        "nobody posts or joins",
        "room_closed",
        Try("POST", "/messages", {"text": "x"}),
        Try("POST", "/join"),
        stage=Stage.CLOSING,
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
        stage=Stage.CLOSING,
    ),
    refused(
        "close.state-before-values",
        f"{API}#order-of-checks",
        "a bad value in a closed room",
        "room_closed",
        Try("POST", "/messages", {"text": "x", "reply_to": 0}),
        stage=Stage.CLOSING,
    ),
    Clause("limit.closes", RATES, "10 closes a minute", _closes, Stage.CLOSING),
)
