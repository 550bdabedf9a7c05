"""What a shell may offer where a command asks for a room, a participant or a file.

All of it comes out of the home: a TAB asks no server, is no sign of life, and changes nothing.
"""

from collections.abc import Iterable
from typing import Any, Final

import click

from agentgather.cli.context import Context
from agentgather.storage.seats import seated_rooms

VARIABLE: Final = "_AGENTGATHER_COMPLETE"
"""The variable by which a shell's script asks."""

Offer = list[Any]
"""Of :class:`click.shell_completion.CompletionItem`."""


def item(value: str, **more: str) -> Any:
    """Make an item of an offer."""
    # Here, because every command names what may be offered, and only a TAB asks for it.
    from click.shell_completion import CompletionItem

    return CompletionItem(value, **more)


def participants(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Offer:
    """Offer who has a seat in the selected room, if this home hosts it."""
    context: Context = ctx.obj
    current = context.home.read_current()
    if current is None or not context.home.has_room(current.roomId):
        return []
    sign = "@" if incomplete.startswith("@") else ""
    return [
        item(sign + seat.alias, help=seat.kind)
        for seat in context.home.read_room(current.roomId).participants
        if seat.removed_at is None and seat.alias.startswith(incomplete.removeprefix("@"))
    ]


def known_rooms(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Offer:
    """Offer the rooms in which this home has a seat, and those that it hosts."""
    context: Context = ctx.obj
    return _named({*context.home.rooms(), *seated_rooms(context.home)}, incomplete)


def hosted_rooms(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Offer:
    """Offer the rooms that this home hosts."""
    context: Context = ctx.obj
    return _named(context.home.rooms(), incomplete)


def files(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Offer:
    """Have the shell offer files."""
    return [item(incomplete, type="file")]


def folders(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Offer:
    """Have the shell offer folders."""
    return [item(incomplete, type="dir")]


def _named(names: Iterable[str], incomplete: str) -> Offer:
    return [item(name) for name in sorted(names) if name.startswith(incomplete)]
