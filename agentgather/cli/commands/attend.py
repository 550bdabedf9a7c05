"""``attend`` and ``watch``: wait for what is new, and print it."""

import click

from agentgather.cli.commands.messages import show, show_none
from agentgather.cli.context import Context
from agentgather.cli.failures import Refused
from agentgather.cli.options import COUNT, CURSOR, json_option
from agentgather.cli.signals import EndedBySignal
from agentgather.cli.wait_loop import ENDS, End, WaitLoop


@click.command(
    short_help="wait once for news",
    help="Wait once, at most 25 seconds, for what is new after what was read last, or after "
    "--since; print it and remember it as read. With --json: the whole wait object.",
)
@click.option("--since", type=CURSOR, metavar="ID", help="wait for what comes after it")
@click.option("--for-me", is_flag=True, help="sleep through what does not concern you")
@json_option
@click.pass_obj
def watch(context: Context, since: int | None, for_me: bool) -> None:
    """Wait for one turn."""
    loop = WaitLoop(context, since, for_me=for_me)
    answer = loop.ask()
    if context.as_json:
        context.write_json(answer)
        context.flush()
    else:
        show(context, answer["messages"])
        show_none(context, len(answer["messages"]))
    loop.move_to(answer["next_since_id"])
    if answer.get("participant_status") == "removed":
        raise Refused(ENDS["participant_removed"].text, "participant_removed")


@click.command(
    short_help="stay in the room until it closes",
    help="""Stay in the room and print what is said, until the room closes, your seat ends, or
--max-turns deliveries were printed. A host that is away, a lost connection and a sleeping
laptop are waited out; a room that is not public any more at its URL for an hour. What was
printed is remembered as read.

The last line says why it ended: `ended: REASON`, with --json `{"ended": CODE}`, where CODE is
room_closed, max_turns, participant_removed, participant_mismatch, forbidden, unauthorized,
invite_expired, route_closed, route_expired, route_not_found, SIGINT, SIGTERM or SIGHUP. With
--json each line before it is one message. Exit status: 0 where the room closed or the turns
are over, 1 where the seat or its token ended, 69 where the room is not public any more, 128
and the signal's number after a signal.

\b
  agentgather attend                 stay until the room closes
  agentgather attend --max-turns 1   stay until something was said, then go on
""",
)
@click.option("--since", type=CURSOR, metavar="ID", help="begin after it")
@click.option("--max-turns", type=COUNT, metavar="N", help="end after N deliveries")
@click.option("--for-me", is_flag=True, help="sleep through what does not concern you")
@json_option
@click.pass_obj
def attend(context: Context, since: int | None, max_turns: int | None, for_me: bool) -> int:
    """Wait turn after turn."""
    loop = WaitLoop(context, since, for_me=for_me)
    try:
        end = loop.run(lambda messages: show(context, messages), max_turns)
    except EndedBySignal as error:
        end = End(error.name, f"stopped by {error.name}", 128 + error.number)
    if context.as_json:
        context.write_json({"ended": end.code})
    else:
        context.write(f"ended: {end.text}")
    context.flush()
    return end.status
