"""Clauses of GET /events: the log as server-sent events."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from agentgather.conformance.answer import Answer
from agentgather.conformance.clause import API, Clause, Stage, gets, refused
from agentgather.conformance.event_stream import EventStream
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.seat import Seat, Seats
from agentgather.conformance.verdict import Broken, holds, in_order, same, says
from agentgather.wire.limits import HEARTBEAT_SECONDS
from agentgather.wire.names import ATTENDANCE_POLICIES

GET: Final = f"{API}#get-events"
_STATUS: Final = ("room", "room_status", "brief_version", "attendance_policy", "roster_version")


@asynccontextmanager
async def opened(
    room: Room, seat: Seat, target: str, *fields: str
) -> AsyncIterator[tuple[Answer, EventStream]]:
    """Open a stream for the length of the block; give its head, and its events."""
    async with room.client.connected() as connection:
        await connection.send(room.client.written("GET", target, seat.token, fields=fields))
        with trio.move_on_after(room.client.seconds) as reading:
            head, body = await connection.begin()
        if reading.cancelled_caught:
            raise Broken(f"no answer within {room.client.seconds:g} s")
        if head.status != 200:
            raise Broken(f"the answer is {head.status}, not 200")
        yield head, EventStream(body, room.client.seconds)


async def _head(room: Room) -> None:
    async with opened(room, await room.human(), f"/events?since_id={PAST}") as (head, _):
        same("Content-Type", head.field("content-type").partition(";")[0], "text/event-stream")
        holds(not head.has("content-length"), "a stream has a Content-Length")
        same("Cache-Control", head.field("cache-control"), "no-store")


async def _status(room: Room) -> None:
    human = await room.human()
    seen = await room.status()
    async with opened(room, human, f"/events?since_id={await room.end()}") as (_, events):
        first = await events.event()
        same("the first event", first.name, "status")
        in_order("its keys", first.data, _STATUS)
        same("its id", first.id, "")
        for key in _STATUS[:-1]:
            same(key, first.data[key], seen[key])


async def _messages(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    cursor = await room.end()
    posted = [await room.post(agent, "before the stream")]
    async with opened(room, human, f"/events?since_id={cursor}") as (_, events):
        got = [await events.event("message")]
        for n in range(2):
            posted.append(await room.post(agent, f"while it goes on: {n}"))
            got.append(await events.event("message"))
    same("the messages", [one.data for one in got], posted)
    same("the ids", [one.id for one in got], [str(one["id"]) for one in posted])


async def _resumed(room: Room) -> None:
    human = await room.human()
    cursor = (await room.post(human, "seen before"))["id"]
    message = await room.post(human, "not seen before")
    resumed = f"Last-Event-ID: {cursor}"
    async with opened(room, human, "/events?since_id=0", resumed) as (_, events):
        same("the first message", (await events.event("message")).data, message)


async def _past(room: Room) -> None:
    end = await room.end()
    async with opened(room, await room.human(), f"/events?since_id={PAST}") as (_, events):
        heartbeat = await events.event("heartbeat", "message")
        same("the event", heartbeat.name, "heartbeat")
        says(heartbeat.data, next_since_id=end)
        same("its id", heartbeat.id, "")


async def _changed(room: Room) -> None:
    human = await room.human()
    before = (await room.status())["attendance_policy"]
    policy = next(one for one in reversed(ATTENDANCE_POLICIES) if one != before)
    async with opened(room, human, f"/events?since_id={await room.end()}") as (_, events):
        first = await events.event("status")
        await room.set_policy(policy)
        second = await events.event("status")
        same("attendance_policy", second.data["attendance_policy"], policy)
        name = {"display_name": f"Changed {human.alias[-12:]}"}
        (await room.ask("POST", "/profile", human, sent=name)).document()
        third = await events.event("status")
    holds(
        third.data["roster_version"] != first.data["roster_version"],
        "roster_version is the same after a new name",
    )


async def _for_me(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    cursor = await room.end()
    async with opened(room, agent, f"/events?for=me&since_id={cursor}") as (_, events):
        await events.event("status")
        await room.post(human, "for nobody, by stream")
        await room.post(human, f"@{agent.alias} by stream")
        got = [await events.event("message") for _ in range(2)]
    same("the ids, of all past the cursor", [int(e.id) for e in got], [cursor + 1, cursor + 2])


async def _html(room: Room) -> None:
    human = await room.human()
    message = await room.post(human, "**bold** in a stream")
    target = f"/events?since_id={message['id'] - 1}&render=html"
    async with opened(room, human, target) as (_, events):
        data = (await events.event("message")).data
    holds("<strong>bold</strong>" in str(data.get("html")), f"its html is {data.get('html')!r}")


async def _removed(room: Room) -> None:
    guest = await room.guest("streaming", kind="human")
    async with opened(room, guest, f"/events?since_id={PAST}") as (_, events):
        await events.event("status")
        await room.remove(guest)
        says((await events.event("closed")).data, reason="participant_removed")
        await events.end()


async def _rotated(room: Room) -> None:
    guest = await room.seat(Seats.OBSERVER)
    async with opened(room, guest, f"/events?since_id={PAST}") as (_, events):
        await events.event("status")
        await room.rotate(guest)
        says((await events.event("closed")).data, reason="token_replaced")


async def _heartbeat(room: Room) -> None:
    end = await room.end()
    async with opened(room, await room.human(), f"/events?since_id={end}") as (_, events):
        await events.event("status")
        within = HEARTBEAT_SECONDS + room.client.seconds
        beat = await events.event("heartbeat", seconds=within)
        says(beat.data, next_since_id=end)


CLAUSES: Final = (
    Clause("events.head", GET, "a stream of events, without a length", _head),
    Clause("events.status", GET, "`status` comes first, with its keys and no id", _status),
    Clause("events.messages", GET, "each message once, in order, its id the event's", _messages),
    Clause("events.resumed", GET, "`Last-Event-ID` counts before `since_id`", _resumed),
    Clause("events.past-the-end", GET, "a cursor past the end: a heartbeat names the end", _past),
    Clause("events.changed", GET, "a change of the policy or the roster is told", _changed),
    Clause("events.for-me", GET, "`for=me` gives all once something concerns the caller", _for_me),
    Clause("events.html", GET, "`render=html` gives each message its HTML", _html),
    Clause("events.removed", GET, "a removal ends the stream, and says so", _removed),
    Clause("events.rotated", GET, "a rotation ends the stream, and says so", _rotated),
    Clause(
        "events.heartbeat",
        GET,
        "a heartbeat after 15 seconds of nothing else",
        _heartbeat,
        Stage.TOGETHER,
    ),
    refused(
        "events.another",
        GET,
        "`participant` is the token's alias",
        "participant_mismatch",
        *gets("/events?participant=nobody"),
    ),
    refused(
        "events.bad-since",
        GET,
        "`since_id` is 1 to 15 ASCII digits",
        "invalid_since_id",
        *gets("/events?since_id=-1", "/events?since_id=x"),
    ),
    refused("events.bad-for", GET, "`for` is only me", "invalid_for", *gets("/events?for=you")),
    refused(
        "events.bad-render",
        GET,
        "`render` is html or not there",
        "invalid_render",
        *gets("/events?render=md"),
    ),
)
