"""Make a room in this home, with its host's seat."""

from typing import Any

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Misused, Refused
from agentgather.cli.seat_keys import INSECURE
from agentgather.domain.text import format_time
from agentgather.domain.tokens import TOKEN_ENTROPY_BYTES, hash_token, mint_token
from agentgather.storage.seats import read_seat, write_seat
from agentgather.wire.names import RESERVED_ALIASES
from agentgather.wire.records import CurrentRoom, Participant, RoomState, Tokens

_MAX_TIME_MS = 253_402_300_799_000
"""The end of the year 9999, the last that records can hold."""


def make_room(
    context: Context,
    room: str,
    *,
    alias: str = "host",
    kind: Any = "human",
    brief: str = "",
    attendance: Any = "manual-ok",
    base: BaseUrl | None = None,
    expires_at: int | None = None,
    select: bool = True,
) -> CurrentRoom:
    """Make a room in the home, take the host's seat in it, and with ``select`` select it.

    Raises:
        Misused: the alias is kept for the room itself, or the time is out of range.
        Refused: there is such a room, or a seat in one of that name.

    """
    # A host may be called host: it is what the name says.
    if alias in RESERVED_ALIASES and alias != "host":
        raise Misused(f"{alias} is kept for the room itself; choose another alias")
    if expires_at is not None and expires_at > _MAX_TIME_MS:
        raise Misused("that is later than any time that can be written down; leave it out")
    context.check_home()
    if context.home.has_room(room) or read_seat(context.home, room) is not None:
        raise Refused(f"there is a room {room} already; select it: agentgather room use {room}")
    now = context.now_text()
    token = mint_token(context.entropy(TOKEN_ENTROPY_BYTES))
    state = RoomState(
        id=room,
        attendance_policy=attendance,
        createdAt=now,
        updatedAt=now,
        brief_updated_at=now,
        brief_updated_by=alias,
        expires_at=None if expires_at is None else format_time(expires_at),
    )
    host = Participant(
        alias=alias,
        kind=kind,
        install="host",
        is_host=True,
        token_hash=hash_token(token),
        joinedAt=now,
        lastSeenAt=now,
    )
    # The token stands in the room's own file until the host first acts, so that a crash
    # before the seat is written leaves nobody locked out.
    tokens = Tokens(tokens={alias: token})
    try:
        context.home.create_room(state, [host], brief, tokens)
    except FileExistsError as error:
        raise Refused(f"{error}; choose another name, or `agentgather room use {room}`") from None
    seat = CurrentRoom(
        roomId=room, alias=alias, token=token, baseUrl=base.text if base else DEFAULT_BASE_URL
    )
    if base is not None and not (base.is_tls or base.is_loopback):
        seat.extra[INSECURE] = True
    write_seat(context.home, seat, select=select)
    return seat
