"""``room start``: make a room and select it."""

from typing import Any

import click

from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Misused, Refused
from agentgather.cli.options import DURATION, INSTANT, SLUG, json_option
from agentgather.domain.text import format_time, utf16_units
from agentgather.domain.tokens import TOKEN_ENTROPY_BYTES, hash_token, mint_token
from agentgather.edge.origins import normalise_base_url
from agentgather.storage.seats import write_seat
from agentgather.wire.limits import MAX_BRIEF_UNITS
from agentgather.wire.names import ATTENDANCE_POLICIES, KINDS, RESERVED_ALIASES
from agentgather.wire.records import CurrentRoom, Participant, RoomState, Tokens


@click.command(
    short_help="make a room and select it",
    help="Make ROOM in this home and select it. Serve it with `agentgather room serve`.",
)
@click.argument("room", type=SLUG)
@click.option("--alias", type=SLUG, default="host", show_default=True, help="your own alias")
@click.option("--kind", type=click.Choice(KINDS), default="human", show_default=True)
@click.option("--brief", metavar="TEXT", help="the mission; `-` reads standard input")
@click.option("--brief-file", metavar="FILE", help="a file that has the mission")
@click.option("--attendance", type=click.Choice(ATTENDANCE_POLICIES), default="manual-ok")
@click.option("--url", default=DEFAULT_BASE_URL, show_default=True, help="where it is served")
@click.option("--expires-at", type=INSTANT, metavar="TIME", help="when it closes by itself")
@click.option("--ttl", type=DURATION, metavar="2h", help="how long until it closes by itself")
@click.option("--show-token", is_flag=True, help="print the host's token too")
@json_option
@click.pass_obj
def start(
    context: Context,
    room: str,
    alias: str,
    kind: Any,
    brief: str | None,
    brief_file: str | None,
    attendance: Any,
    url: str,
    expires_at: int | None,
    ttl: int | None,
    show_token: bool,
) -> None:
    """Make a room."""
    if ttl is not None and expires_at is not None:
        raise Misused("give --ttl or --expires-at, not both")
    if ttl is not None:
        expires_at = context.wall_ms() + ttl * 1000
    if expires_at is not None and expires_at <= context.wall_ms():
        raise Misused("--expires-at is in the past")
    seat = make_room(
        context,
        room,
        alias=alias,
        kind=kind,
        brief=context.text_or_file(brief, brief_file, "brief") or "",
        attendance=attendance,
        url=url,
        expires_at=expires_at,
    )
    document = {"ok": True, "room": room, "alias": alias, "kind": kind, "baseUrl": seat.baseUrl}
    if show_token:
        document["token"] = seat.token
    text = f"made the room {room}; you are {alias}. Serve it: agentgather room serve"
    context.emit(document, text + (f"\ntoken: {seat.token}" if show_token else ""))


def make_room(
    context: Context,
    room: str,
    *,
    alias: str = "host",
    kind: Any = "human",
    brief: str = "",
    attendance: Any = "manual-ok",
    url: str = DEFAULT_BASE_URL,
    expires_at: int | None = None,
) -> CurrentRoom:
    """Make a room in the home, take the host's seat in it, and select it.

    Raises:
        Misused: a name is kept for the room itself, the brief is too long, the URL is none.
        Refused: there is such a room already.

    """
    if alias in RESERVED_ALIASES and alias != "host":
        raise Misused(f"{alias} is kept for the room itself; choose another alias")
    if utf16_units(brief) > MAX_BRIEF_UNITS:
        raise Misused(f"the brief is over {MAX_BRIEF_UNITS:,} characters; shorten it")
    try:
        url = normalise_base_url(url)
    except ValueError as error:
        raise Misused(str(error)) from None
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
        claimed_at=now,
    )
    try:
        context.home.create_room(state, [host], brief, Tokens())
    except FileExistsError:
        raise Refused(
            f"there is a room {room} already; select it: agentgather room use {room}"
        ) from None
    seat = CurrentRoom(roomId=room, alias=alias, token=token, baseUrl=url)
    write_seat(context.home, seat, select=True)
    return seat
