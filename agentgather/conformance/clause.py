"""A clause of the contract, as data: its name, where it is said, and how it is tried."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Final, NamedTuple

from agentgather.conformance.room import Room
from agentgather.conformance.seat import Seats
from agentgather.conformance.verdict import Broken
from agentgather.wire.errors import CODES

API: Final = "http-api.md"
WAIT: Final = "wait.md"
STATES: Final = "states.md"
ERRORS: Final = "errors.md"


class Stage(Enum):
    """When a clause is tried. What disturbs the others comes after them."""

    FIRST = "one after the other"
    TOGETHER = "all at once: each waits for a deadline of the server, in a quiet room"
    LIMITS = "after those: it uses a limit up"
    CLOSING = "last, and only where the room may be closed"


class Clause(NamedTuple):
    """``name`` is permanent. ``said`` is a page of spec/ and a heading in it.

    ``check`` returns where the clause is kept, and raises Broken or NotChecked.
    """

    name: str
    said: str
    checks: str
    check: Callable[[Room], Awaitable[None]]
    stage: Stage = Stage.FIRST


class Try(NamedTuple):
    """A request that is to be refused."""

    method: str
    target: str
    sent: object = None
    body: bytes | None = None
    fields: tuple[str, ...] = ()


def refused(
    name: str,
    said: str,
    checks: str,
    code: str | tuple[str, ...],
    *tries: Try,
    by: Seats | None = Seats.HUMAN,
) -> Clause:
    """Make a clause that each of some requests is refused with a code, or one of a few.

    In a target, ``{alias}`` stands for the caller's alias. ``by`` is None for nobody's
    requests, without a token.
    """
    codes = (code,) if isinstance(code, str) else code
    assert all(one in CODES for one in codes), codes

    async def check(room: Room) -> None:
        seat = await room.seat(by) if by is not None else None
        for one in tries:
            target = one.target.replace("{alias}", seat.alias if seat is not None else "")
            answer = await room.ask(
                one.method, target, seat, sent=one.sent, body=one.body, fields=one.fields
            )
            try:
                answer.refuses(*codes)
            except Broken as broken:
                raise Broken(f"{one.method} {_shortened(target)}: {broken}") from None

    return Clause(name, said, checks, check)


def gets(*targets: str) -> tuple[Try, ...]:
    """Give a GET of each."""
    return tuple(Try("GET", target) for target in targets)


def posts(target: str, *documents: object) -> tuple[Try, ...]:
    """Give a POST of each document."""
    return tuple(Try("POST", target, document) for document in documents)


def bodies(target: str, *texts: bytes) -> tuple[Try, ...]:
    """Give a POST of each body, as it is."""
    return tuple(Try("POST", target, body=text) for text in texts)


def _shortened(target: str) -> str:
    return target if len(target) <= 60 else f"{target[:59]}…"
