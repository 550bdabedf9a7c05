"""``messages`` and ``read``: print the log."""

from collections.abc import Iterable, Iterator
from typing import Any

import click

from agentgather.cli.answers import Document
from agentgather.cli.context import Context
from agentgather.cli.options import COUNT, CURSOR, json_option
from agentgather.cli.render import message_lines
from agentgather.cli.room_api import RoomApi
from agentgather.wire.limits import MAX_PAGE_MESSAGES


@click.command(
    short_help="print messages",
    help="""Print messages as `ID TIME SENDER: TEXT`; each further line of a text has the same
beginning. All of them, or those after --since; with --limit alone, the last ones.

\b
  agentgather messages --limit 20
  agentgather messages --since 120 --json
""",
)
@click.option("--since", type=CURSOR, metavar="ID", help="only what came after it")
@click.option("--limit", type=COUNT, metavar="N", help="at most so many")
@json_option
@click.pass_obj
def messages(context: Context, since: int | None, limit: int | None) -> None:
    """Print a part of the log."""
    api = context.api
    if since is None and limit is not None:
        pages = iter([_last(api, limit)])
    else:
        pages = (page["messages"] for page in pages_after(api, since or 0, limit))
    shown = 0
    for page in pages:
        show(context, page)
        shown += len(page)
    show_none(context, shown)


@click.command(
    short_help="print what is new, and remember it as read",
    help="Print what came after what was read last, or after --since, and remember it as read.",
)
@click.option("--since", type=CURSOR, metavar="ID", help="print what came after it")
@json_option
@click.pass_obj
def read(context: Context, since: int | None) -> None:
    """Print what is new."""
    seat = context.seat()
    if since is None:
        since = context.home.read_cursor(seat.roomId, seat.alias)
    shown = 0
    for page in pages_after(context.api, since):
        show(context, page["messages"])
        shown += len(page["messages"])
        # Only now: what a crash keeps from the screen is shown again.
        context.home.write_cursor(
            seat.roomId, seat.alias, page["next_since_id"], context.now_text()
        )
    show_none(context, shown)


def show(context: Context, messages: Iterable[dict[str, Any]]) -> None:
    """Print messages, and see that they left this process."""
    for message in messages:
        if context.as_json:
            context.write_json(message)
        else:
            context.write(message_lines(message))
    context.flush()


def show_none(context: Context, shown: int) -> None:
    """Say so where there were no messages."""
    if not shown and not context.as_json:
        context.write("(no messages)")
        context.flush()


def pages_after(api: RoomApi, since: int, limit: int | None = None) -> Iterator[Document]:
    """Give the log after a cursor page by page, at most ``limit`` messages of it."""
    while True:
        size = None if limit is None else min(limit, MAX_PAGE_MESSAGES)
        page = api.messages_after(since, size)
        yield page
        if limit is not None:
            limit -= len(page["messages"])
        # A page that does not move would be asked for without end.
        if not page["has_more"] or limit == 0 or page["next_since_id"] <= since:
            return
        since = page["next_since_id"]


def _last(api: RoomApi, limit: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    before = 10**15 - 1
    while limit > 0:
        page = api.messages_before(before, min(limit, MAX_PAGE_MESSAGES))
        found[:0] = page["messages"]
        limit -= len(page["messages"])
        if not page["has_more_before"] or not page["messages"]:
            break
        before = page["messages"][0]["id"]
    return found
