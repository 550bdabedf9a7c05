"""``room leave``, ``remove``, ``rotate``, ``rearm`` and ``close``."""

import click
import msgspec

from agentgather.cli.candidates import participants
from agentgather.cli.commands.invite import describe
from agentgather.cli.context import Context
from agentgather.cli.options import ALIAS, json_option
from agentgather.storage.seats import update_seat


@click.command(
    short_help="leave the room; the seat stays",
    help="Leave the room. The seat and its token stay yours: posting or attending brings you back.",
)
@json_option
@click.pass_obj
def leave(context: Context) -> None:
    """Leave the room."""
    context.emit(context.api.leave(), f"you left {context.seat().roomId}; your seat stays yours")


@click.command(
    short_help="remove a participant",
    help="Remove ALIAS for good: its token ends at once, and the alias is not given again.",
)
@click.argument("alias", type=ALIAS, shell_complete=participants)
@json_option
@click.pass_obj
def remove(context: Context, alias: str) -> None:
    """Remove a participant."""
    context.emit(context.api.remove(alias), f"removed {alias}")


@click.command(
    short_help="give a participant a new token",
    help="Give ALIAS a new token and print what to hand on. The old token ends at once. With your "
    "own alias, this home keeps the new token.",
)
@click.argument("alias", type=ALIAS, shell_complete=participants)
@json_option
@click.pass_obj
def rotate(context: Context, alias: str) -> None:
    """Give a seat a new token."""
    seat = context.seat()
    answer = context.api.rotate(alias)
    if alias == seat.alias:
        # Without it the host would be locked out of its own room.
        update_seat(context.home, msgspec.structs.replace(seat, token=answer["token"]))
    context.emit(answer, describe(answer))


@click.command(
    short_help="let agents post again before a person does",
    help="Let agents post again. After 30 posts by agents in a row the room waits for a person.",
)
@json_option
@click.pass_obj
def rearm(context: Context) -> None:
    """Re-arm the loop guard."""
    answer = context.api.rearm()
    context.emit(answer, f"agents may post {answer['remaining']} more before a person must")


@click.command(
    short_help="close the room for good",
    help="Close the room for good: everybody is told, nothing can be posted any more. It can "
    "still be read and exported.",
)
@json_option
@click.pass_obj
def close(context: Context) -> None:
    """Close the room."""
    context.emit(context.api.close(), f"{context.seat().roomId} is closed")
