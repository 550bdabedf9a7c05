"""Clauses that use a limit up, so they come last: rates, the loop guard, held waits, pages."""

from contextlib import AsyncExitStack
from typing import Final

import trio

from agentgather.conformance.answer import Answer
from agentgather.conformance.clause import API, WAIT, Clause, Stage
from agentgather.conformance.room import PAST, Room
from agentgather.conformance.seat import Seat
from agentgather.conformance.verdict import Broken, NotChecked, holds, same
from agentgather.wire.limits import (
    BAD_TOKENS_PER_WINDOW,
    JOINS_PER_WINDOW,
    LOOP_GUARD_POSTS,
    MAX_PAGE_BYTES,
    MAX_TEXT_UNITS,
    MAX_WAITS_PER_PARTICIPANT,
    POSTS_PER_WINDOW,
    PREVIEWS_PER_WINDOW,
    RATE_WINDOW_SECONDS,
    WRITES_PER_WINDOW,
)

RATES: Final = f"{API}#rates"
_FREE_SECONDS: Final = 2.0
"""How long a server may take to notice that a client has gone."""
_FREE_TRIES: Final = 10


def later(answer: Answer, *codes: str, at_most: int) -> None:
    """Hold an answer to a refusal that says when to come again."""
    answer.refuses(*codes)
    after = answer.retry_after
    holds(
        after is not None and 1 <= after <= at_most,
        f"Retry-After is {answer.field('retry-after')!r}, not 1 to {at_most}",
    )


async def used_up(room: Room, seat: Seat, count: int, target: str, sent: object) -> None:
    """Ask as often as a rate allows, and once more."""
    await room.client.pace.make_room_for(count + 1)
    began = trio.current_time()
    for n in range(count):
        answer = await room.ask("POST", target, seat, sent=sent, is_patient=False)
        if answer.status >= 400:
            raise Broken(f"the {n + 1}th of {count} is {answer.told()}")
    last = await room.ask("POST", target, seat, sent=sent, is_patient=False)
    if trio.current_time() - began > RATE_WINDOW_SECONDS - 1:
        raise NotChecked("so many requests take more than a minute here")
    later(last, "rate_limited", at_most=RATE_WINDOW_SECONDS)


async def _posts(room: Room) -> None:
    guest = await room.guest("talker", kind="human")
    cursor = await room.end()
    await used_up(room, guest, POSTS_PER_WINDOW, "/messages", {"text": "one of many"})
    same("how many were stored", await room.end() - cursor, POSTS_PER_WINDOW)
    await room.post(await room.human(), "another may go on")


async def _joins(room: Room) -> None:
    human = await room.human()
    guest = await room.guest("joiner", kind="human")
    await used_up(room, guest, JOINS_PER_WINDOW, "/join", None)
    same("the status of another's join", (await room.ask("POST", "/join", human)).status, 200)


async def _writes(room: Room) -> None:
    guest = await room.guest("renamer", kind="human")
    name = {"display_name": f"Renamed {guest.alias[-14:]}"}
    await used_up(room, guest, WRITES_PER_WINDOW, "/profile", name)


async def _previews(room: Room) -> None:
    guest = await room.guest("previewer", kind="human")
    await used_up(room, guest, PREVIEWS_PER_WINDOW, "/preview", {"text": "x"})


async def _guarded(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    await room.post(human, "from here on only agents")
    for n in range(LOOP_GUARD_POSTS):
        await room.post(agent, f"agent {n}")
    more = {"text": "one more"}
    refused = await room.ask("POST", "/messages", agent, sent=more, is_patient=False)
    later(refused, "loop_guard", at_most=60)
    await room.post(human, "a person is never stopped, and lets agents go on")
    await room.post(agent, "again")


async def _waits(room: Room) -> None:
    human, agent = await room.human(), await room.agent()
    target = f"/wait?since_id={await room.end()}"
    async with AsyncExitStack() as places:
        for _ in range(MAX_WAITS_PER_PARTICIPANT):
            await places.enter_async_context(room.held(human, target))
        later(await room.ask("GET", target, human), "wait_limit", at_most=3600)
        events = await room.ask("GET", f"/events?since_id={PAST}", human)
        later(events, "wait_limit", at_most=3600)
        async with room.held(agent, target):
            pass  # another's is held all the same


async def _freed(room: Room) -> None:
    human = await room.human()
    target = f"/wait?since_id={await room.end()}"
    for _ in range(MAX_WAITS_PER_PARTICIPANT + 2):
        async with room.held(human, target):
            pass
        for _ in range(_FREE_TRIES):
            if (await room.ask("GET", f"{target}&hold=0", human)).status == 200:
                break
            await trio.sleep(_FREE_SECONDS / _FREE_TRIES)
        else:
            raise Broken(f"the wait of a client that left is there {_FREE_SECONDS:g} s later")


async def _page_bytes(room: Room) -> None:
    human = await room.human()
    cursor = await room.end()
    count = MAX_PAGE_BYTES // MAX_TEXT_UNITS + 2
    for _ in range(count):
        await room.post(human, "p" * MAX_TEXT_UNITS)
    for target in ("messages", "wait"):
        at, seen = cursor, 0
        while True:
            answer = await room.ask("GET", f"/{target}?since_id={at}", human)
            page = answer.document()
            holds(
                len(answer.body) <= MAX_PAGE_BYTES + 2048, f"a page has {len(answer.body):,} bytes"
            )
            holds(bool(page["messages"]), "a page with more to come is empty")
            seen += len(page["messages"])
            at = page["next_since_id"]
            if not page["has_more"]:
                break
        same(f"how many messages /{target} gives", seen, count)


async def _unknown(room: Room) -> None:
    if room.client.is_tunnelled or room.client.place.is_tls:
        raise NotChecked("whoever comes through a broker or a proxy shares an address")
    human = await room.human()
    for n in range(BAD_TOKENS_PER_WINDOW + 1):
        token = f"Authorization: Bearer agp_{n:043d}"
        answer = await room.ask("GET", "/brief", fields=(token,), is_patient=False)
        if answer.status == 429:
            later(answer, "rate_limited", at_most=RATE_WINDOW_SECONDS)
            break
        answer.refuses("forbidden")
    else:
        raise Broken(f"{BAD_TOKENS_PER_WINDOW + 1} unknown tokens in a minute are looked at")
    (await room.ask("GET", "/brief", human)).document()


CLAUSES: Final = tuple(
    Clause(name, said, checks, check, Stage.LIMITS)
    for name, said, checks, check in (
        (
            "limit.page",
            f"{API}#get-messages",
            "a page has 256 KiB at most, and says so",
            _page_bytes,
        ),
        ("limit.waits", f"{API}#get-wait", "a fifth wait or stream of one participant", _waits),
        (
            "limit.freed",
            f"{WAIT}#for-a-server-of-your-own",
            "a client that left frees its wait",
            _freed,
        ),
        ("limit.loop-guard", RATES, "30 messages of agents without a person's", _guarded),
        ("limit.joins", RATES, "60 joins a minute", _joins),
        ("limit.writes", RATES, "30 other writes a minute", _writes),
        ("limit.previews", RATES, "60 previews a minute", _previews),
        (
            "limit.posts",
            RATES,
            "120 posts a minute of one participant; the rest is not stored",
            _posts,
        ),
        (
            "limit.unknown-tokens",
            f"{API}#tokens",
            "30 unknown tokens; a good one is taken",
            _unknown,
        ),
    )
)
