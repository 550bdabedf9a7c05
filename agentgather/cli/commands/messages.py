"""``messages`` and ``read``: print the log."""

import json
from collections.abc import Iterator
from typing import Any

import click

from agentgather.cli.context import Context
from agentgather.cli.options import CURSOR, json_option
from agentgather.cli.render import message_lines


@click.command(
    short_help="print messages",
    help="Print messages, one to a line, after --since; all of them if it is left out.",
)
@click.option("--since", type=CURSOR, default=0, metavar="ID", help="print what came after it")
@click.option("--limit", type=click.IntRange(1), help="print at most so many")
@json_option
@click.pass_obj
def messages(context: Context, since: int, limit: int | None) -> None:
    """Print a part of the log."""
    printed = 0
    for message in _after(context, since):
        if limit is not None and printed == limit:
            break
        show(context, message)
        printed += 1
    if not printed and not context.as_json:
        context.write("(no messages)")


@click.command(
    short_help="print what is new, and remember it as read",
    help="Print what came after --since, or after what was read last, and remember it as read.",
)
@click.option("--since", type=CURSOR, metavar="ID", help="print what came after it")
@json_option
@click.pass_obj
def read(context: Context, since: int | None) -> None:
    """Print what is new."""
    seat = context.seat()
    if since is None:
        since = context.home.read_cursor(seat.roomId, seat.alias)
    latest = since
    for message in _after(context, since):
        show(context, message)
        latest = message["id"]
    if latest == since and not context.as_json:
        context.write("(no messages)")
    # Only now: what a crash keeps from the screen is shown again.
    context.home.write_cursor(seat.roomId, seat.alias, latest, context.now_text())


def show(context: Context, message: dict[str, Any]) -> None:
    """Print one message, and see that it left this process."""
    if context.as_json:
        context.write(json.dumps(message, ensure_ascii=False))
    else:
        context.write(message_lines(message))


def _after(context: Context, since: int) -> Iterator[dict[str, Any]]:
    while True:
        page = context.api.messages(since)
        yield from page["messages"]
        if not page["has_more"]:
            return
        since = page["next_since_id"]
