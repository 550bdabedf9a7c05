"""``room start``: make a room and select it."""

from typing import Any

import click

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.candidates import files
from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Misused
from agentgather.cli.inputs import optional_text
from agentgather.cli.new_room import make_room
from agentgather.cli.options import ALIAS, DURATION, INSTANT, SLUG, json_option
from agentgather.cli.render import table
from agentgather.wire.limits import MAX_BRIEF_UNITS
from agentgather.wire.names import ATTENDANCE_POLICIES, KINDS


@click.command(
    short_help="make a room and select it",
    help="""Make ROOM in this home, take the host's seat in it, and select it.

\b
  agentgather room start review --brief-file brief.md --ttl 8h
  agentgather room serve
""",
)
@click.argument("room", type=SLUG)
@click.option("--alias", type=ALIAS, default="host", show_default=True, help="your own alias")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="human",
    show_default=True,
    help="what you are yourself",
)
@click.option("--brief", metavar="TEXT", help="the mission; `-` reads standard input")
@click.option(
    "--brief-file", metavar="FILE", shell_complete=files, help="a file that has the mission"
)
@click.option(
    "--attendance",
    type=click.Choice(ATTENDANCE_POLICIES),
    default="manual-ok",
    show_default=True,
    help="who is asked to stay until the room closes",
)
@click.option(
    "--url",
    metavar="URL",
    default=DEFAULT_BASE_URL,
    show_default=True,
    help="where it will be served",
)
@click.option(
    "--expires-at",
    type=INSTANT,
    metavar="TIME",
    help="when it closes by itself, such as 2027-01-31T18:00:00Z",
)
@click.option("--ttl", type=DURATION, metavar="8h", help="how long until it closes by itself")
@click.option("--show-token", is_flag=True, help="print the host's token too")
@click.option("--insecure", is_flag=True, help="allow plain HTTP to another machine in --url")
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
    insecure: bool,
) -> None:
    """Make a room."""
    if ttl is not None and expires_at is not None:
        raise Misused("give --ttl or --expires-at, not both")
    if ttl is not None:
        expires_at = context.wall_ms() + ttl * 1000
    if expires_at is not None and expires_at <= context.wall_ms():
        raise Misused("--expires-at is in the past")
    context.insecure |= insecure
    text = optional_text(context, brief, brief_file, "brief", max_units=MAX_BRIEF_UNITS)
    seat = make_room(
        context,
        room,
        alias=alias,
        kind=kind,
        brief=text or "",
        attendance=attendance,
        base=BaseUrl(url, insecure=context.insecure),
        expires_at=expires_at,
    )
    document = {"ok": True, "room": room, "alias": alias, "kind": kind, "baseUrl": seat.baseUrl}
    if show_token:
        document["token"] = seat.token
    rows = [(f"{key}:", str(value)) for key, value in document.items() if key != "ok"]
    context.emit(document, f"{table(rows)}\n\nServe it: agentgather room serve")
