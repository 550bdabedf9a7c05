"""``tunnel``: make a room public through a broker, from a process of its own."""

from functools import partial
from typing import Final

import click

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.candidates import hosted_rooms
from agentgather.cli.context import DEFAULT_BASE_URL, Context
from agentgather.cli.failures import Refused
from agentgather.cli.lazy_group import CONTEXT_SETTINGS
from agentgather.cli.options import SLUG, json_option
from agentgather.cli.tunnel_plan import Wish, plan_tunnel, tunnel_options
from agentgather.storage.lock import read_holder
from agentgather.storage.seats import read_seat
from agentgather.storage.stored_room import LOCK_FILE

CURRENT: Final = "current"
HELP: Final = """Make a room public through a broker: others reach it at a URL of the broker's,
while the room, its log and its rules stay on this machine. The broker sees what passes.

\b
  agentgather tunnel run --broker https://rooms.example --subdomain review

`agentgather up --tunnel URL` and `agentgather room serve --tunnel URL` do the same in one process.
"""


@click.group(
    context_settings=CONTEXT_SETTINGS, short_help="make a room public through a broker", help=HELP
)
def tunnel() -> None:
    """Hold the tunnel commands."""


_room_option = click.option(
    "--room",
    default=CURRENT,
    show_default=True,
    metavar="ROOM",
    shell_complete=hosted_rooms,
    help="which room of this home",
)
_broker_options = tunnel_options("--broker", help="the broker; by default the last one")


@tunnel.command(
    short_help="keep a room public until Ctrl-C",
    help="""Keep a room public until Ctrl-C or SIGTERM. The room's own server runs apart from it,
and is asked at --target; nobody else ever is, whatever the broker says.

Its first line is the public URL, which cards and invites name from then on. A lost link is
opened anew, for ever, at the same URL. It ends with exit status 1 where that is in vain: the
name is another host's, the broker does not take the room, or a newer tunnel took its place.
""",
)
@_room_option
@_broker_options
@click.option(
    "--target", metavar="URL", help="the room's server; by default where the room was served last"
)
@json_option
@click.pass_obj
def run(
    context: Context,
    room: str,
    broker: str | None,
    subdomain: str | None,
    registration_token_file: str | None,
    target: str | None,
) -> None:
    """Run a tunnel."""
    # Here, because only a tunnel needs Trio and what it connects with: 200 ms of import.
    from agentgather.cli.tunnel_process import forward_until_stopped

    room = _room(context, room)
    base = BaseUrl(target or _target(context, room), insecure=context.insecure)
    plan = plan_tunnel(context, room, Wish(broker, subdomain, registration_token_file))
    if read_holder(context.home.room_path(room) / LOCK_FILE) is None:
        context.say(f"{room} is not served yet; serve it with `agentgather room serve`")
    forward_until_stopped(context, room, plan, base.text, partial(_show, context, room))


@tunnel.command(
    short_help="reserve the public URL, and print it",
    help="Register the room with a broker and print the URL that it will have. Nobody is "
    "connected yet: that is `tunnel run`, which has to come before the broker's lease ends.",
)
@_room_option
@_broker_options
@json_option
@click.pass_obj
def start(
    context: Context,
    room: str,
    broker: str | None,
    subdomain: str | None,
    registration_token_file: str | None,
) -> None:
    """Reserve a URL."""
    # Here, because only a tunnel needs Trio and what it connects with: 200 ms of import.
    from agentgather.cli.tunnel_process import reserve

    room = _room(context, room)
    plan = plan_tunnel(context, room, Wish(broker, subdomain, registration_token_file))
    _show(context, room, reserve(context, room, plan))


def _show(context: Context, room: str, public_url: str) -> None:
    context.emit({"ok": True, "room": room, "public_url": public_url}, public_url)


def _room(context: Context, room: str) -> str:
    if room == CURRENT and not context.home.has_room(CURRENT):
        room = context.seat().roomId
    context.check_home()
    checked: str = SLUG.convert(room, None, None)
    if not context.home.has_room(checked):
        raise Refused(f"{checked} is not hosted in this home; its host makes it public")
    return checked


def _target(context: Context, room: str) -> str:
    seat = read_seat(context.home, room)
    return seat.baseUrl if seat is not None else DEFAULT_BASE_URL
