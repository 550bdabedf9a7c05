"""Tries clauses on a room, one after the other, and leaves the room as it was found.

What stays are lines of the log: nobody can take those back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, NamedTuple

import trio

from agentgather.conformance.answer import Document
from agentgather.conformance.clause import Clause, Stage
from agentgather.conformance.client import Client
from agentgather.conformance.place import Unreachable
from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seat
from agentgather.conformance.verdict import Broken, NotChecked

CLAUSE_SECONDS: Final = 120.0
"""One clause, whole; the longest waits for a rate that is used up."""
RUN_SECONDS: Final = 600.0
"""All clauses: a server that answers nothing in time would take half an hour."""
TIDY_SECONDS: Final = 120.0
"""Removing the seats again; their number may use a rate up."""

_MISSHAPEN: Final = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""A document of a server has any shape, and a check reads it as the contract has it."""

Outcome = Literal["passed", "failed", "skipped"]


class Result(NamedTuple):
    """What came of one clause. ``detail`` is empty where it passed."""

    clause: Clause
    outcome: Outcome
    detail: str


class NoRoom(Exception):
    """What answers there cannot be tried: it is no room, or no open one of this host."""


async def look(client: Client, token: str) -> Document:
    """Give what the room says of itself to its host.

    Raises:
        Unreachable: nobody answers there, or a broker whose host is away.
        NoRoom: it is no open room, or the token is not its host's.

    """
    with _reaching():
        client.pace.is_bound = await _is_tunnelled(client)
        answer = await client.ask("GET", "/status", token)
    if answer.status >= 500 or answer.status == 429:
        raise Unreachable(f"it answers {answer.told()}")
    if answer.status in (401, 403, 410):
        raise NoRoom(f"the room does not take the token: {answer.told()}")
    try:
        status = answer.document()
    except Broken as error:
        raise NoRoom(f"GET /status is not answered as by a room: {error}") from None
    if not {"me", "room", "attendance_policy", "participants"} <= status.keys():
        raise NoRoom("GET /status is not answered as by a room")
    if status.get("is_host") is not True:
        raise NoRoom("the token is a participant's, not the host's")
    if status.get("room_status") != "open":
        raise NoRoom("the room is closed; make a new one")
    return status


async def is_used(client: Client, token: str) -> bool:
    """Say whether there are messages in a room that :func:`look` has found.

    Raises:
        Unreachable: nobody answers any more.

    """
    with _reaching():
        answer = await client.ask("GET", "/messages?limit=1", token)
    try:
        return bool(answer.document()["messages"])
    except (Broken, LookupError):
        # A clause will say what is wrong with it.
        return False


async def try_clauses(
    client: Client,
    token: str,
    status: Document,
    clauses: Sequence[Clause],
    *,
    run: str,
    may_close: bool = False,
    begin: Callable[[Clause], None] = lambda _: None,
    end: Callable[[Result], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> None:
    """Try clauses on a room that :func:`look` has found, and tidy up.

    ``begin`` and ``end`` are told of each, ``warn`` of what could not be tidied up.
    """
    host = Seat(str(status["me"]), token, {})
    room = Room(client, host, status, run=run)
    deadline = trio.current_time() + RUN_SECONDS
    try:
        for stage in Stage:
            chosen = [clause for clause in clauses if clause.stage is stage]
            if stage is Stage.CLOSING and not may_close:
                for clause in chosen:
                    begin(clause)
                    end(Result(clause, "skipped", "it closes the room; say --close to allow that"))
                continue
            if stage is Stage.TOGETHER:
                await _try_together(room, chosen, begin, end)
                continue
            for clause in chosen:
                begin(clause)
                if trio.current_time() >= deadline:
                    end(Result(clause, "failed", f"the run has taken {RUN_SECONDS:g} s already"))
                else:
                    end(await _try(room, clause))
    finally:
        # What was made is removed also where the run is cut short.
        with trio.move_on_after(TIDY_SECONDS, shield=True) as tidying:
            await _tidy(room, warn)
        if tidying.cancelled_caught:
            warn(f"it is not done after {TIDY_SECONDS:g} s")


async def _try_together(
    room: Room,
    clauses: Iterable[Clause],
    begin: Callable[[Clause], None],
    end: Callable[[Result], None],
) -> None:
    async def try_one(clause: Clause) -> None:
        end(await _try(room, clause))

    async with trio.open_nursery() as trying:
        for clause in clauses:
            begin(clause)
            trying.start_soon(try_one, clause)


async def _try(room: Room, clause: Clause) -> Result:
    waited = room.client.waited
    result = await _try_once(room, clause)
    if result.outcome == "failed" and room.client.waited > waited:
        # A wait that it held may have ended while it waited for a rate.
        again = await _try_once(room, clause)
        return again if again.outcome == "passed" else result
    return result


async def _try_once(room: Room, clause: Clause) -> Result:
    try:
        with trio.fail_after(CLAUSE_SECONDS):
            await clause.check(room)
    except NotChecked as skipped:
        return Result(clause, "skipped", str(skipped))
    except Broken as broken:
        return Result(clause, "failed", str(broken))
    except Unreachable as error:
        return Result(clause, "failed", f"the server takes no connection: {error}")
    except trio.TooSlowError:
        return Result(clause, "failed", "it takes too long")
    except KeyError as error:
        return Result(clause, "failed", f"an answer has no {error.args[0]}")
    except _MISSHAPEN as error:
        return Result(clause, "failed", f"an answer lacks what it should have: {error!r}")
    return Result(clause, "passed", "")


async def _tidy(room: Room, warn: Callable[[str], None]) -> None:
    try:
        await room.tidy()
    except (Broken, Unreachable, trio.TooSlowError, *_MISSHAPEN) as error:
        warn(str(error) or "the server does not answer")


async def _is_tunnelled(client: Client) -> bool:
    """Ask what only a broker knows: the state of the route that the base URL's path names."""
    if not client.place.prefix:
        return False
    answer = await client.outside(client.place.prefix)
    return answer.status == 200 and b'"route_slug"' in answer.body


@contextmanager
def _reaching() -> Iterator[None]:
    """Take what is no answer, or none in time, for nobody there."""
    try:
        yield
    except (Broken, trio.TooSlowError) as error:
        raise Unreachable(str(error) or "no connection in time") from None
