"""Which broker, under which name, with which secret: what a tunnel of a room begins with."""

import base64
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from agentgather.cli.base_url import BaseUrl
from agentgather.cli.candidates import files
from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Refused
from agentgather.storage.tunnel_files import read_routes
from agentgather.tunnel.events import TunnelPlan
from agentgather.wire.limits import MAX_SLUG_CHARS
from agentgather.wire.names import ROUTE_SECRET_PREFIX, is_route_slug
from agentgather.wire.records import RouteSecret, RouteSecrets

TOKEN_VARIABLE: Final = "AGENTGATHER_REGISTRATION_TOKEN"  # noqa: S105 - a name, no secret
MAX_TOKEN_CHARS: Final = 128
_SECRET_BYTES: Final = 32
_ENDING_BYTES: Final = 6
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"

subdomain_option = click.option(
    "--subdomain", metavar="NAME", help="the room's name at the broker; remembered once it is had"
)
registration_token_option = click.option(
    "--registration-token-file",
    metavar="FILE",
    shell_complete=files,
    help=f"the token that the broker's operator gave you; or {TOKEN_VARIABLE}",
)


class Wish(NamedTuple):
    """What was asked for on the command line; None is what was used last."""

    broker: str | None
    subdomain: str | None
    token_file: str | None


class PlannedTunnel(NamedTuple):
    """A tunnel beside a room's server, and the command for one in a process of its own."""

    plan: TunnelPlan
    again: str


def tunnel_options(*names: str, help: str) -> Callable[[Any], Any]:  # noqa: A002 - click's word
    """Add the option that names a broker, and those that go with it."""

    def add(command: Any) -> Any:
        broker = click.option(*names, metavar="URL", help=help)
        return broker(subdomain_option(registration_token_option(command)))

    return add


def plan_tunnel(context: Context, room: str, wish: Wish) -> TunnelPlan:
    """Choose what is left open: what the room had last, else something new.

    Raises:
        Misused: something on the command line makes no sense.
        Refused: the token cannot be read.

    """
    known = read_routes(context.home, room)
    broker = _broker(wish.broker, known)
    route = _route(context, room, broker, wish.subdomain, known)
    return TunnelPlan(broker, route.slug, route.secret, _token(context, wish.token_file))


def plan_if_wished(context: Context, room: str, wish: Wish) -> PlannedTunnel | None:
    """Do that where a broker is named; None where nobody wants a tunnel.

    Raises:
        Misused, Refused: as :func:`plan_tunnel`.

    """
    if wish.broker is not None:
        plan = plan_tunnel(context, room, wish)
        again = ["agentgather", "tunnel", "run", "--room", room, "--broker", plan.broker]
        if wish.token_file is not None:
            again += ["--registration-token-file", wish.token_file]
        return PlannedTunnel(plan, shlex.join(again))
    if wish.subdomain is not None or wish.token_file is not None:
        raise Misused("--subdomain and --registration-token-file go with --tunnel URL")
    return None


def _broker(chosen: str | None, known: RouteSecrets) -> str:
    if chosen is None:
        if not known.routes:
            raise Misused(
                "name the broker with --broker URL; the one that took the room last is remembered"
            )
        return known.routes[0].broker
    base = BaseUrl(chosen, insecure=True)
    if not (base.is_tls or base.is_loopback):
        raise Misused(
            f"{base.text} is plain HTTP to another machine, and tokens could be read on the "
            "way; a broker has https"
        )
    return base.text


def _route(
    context: Context, room: str, broker: str, subdomain: str | None, known: RouteSecrets
) -> RouteSecret:
    if subdomain is not None and not is_route_slug(subdomain):
        raise Misused(
            f"--subdomain is 1 to {MAX_SLUG_CHARS} of a-z and 0-9, with single dashes in between"
        )
    # A slug that was not granted is another host's, or was mistyped: only who names it again
    # wants it again. Its secret is the same then, as the broker may know it already.
    again = [] if subdomain is None else known.asked
    for route in (*known.routes, *again):
        if route.broker == broker and subdomain in (None, route.slug):
            return route
    slug = subdomain or _new_slug(room, context.entropy(_ENDING_BYTES))
    secret = base64.urlsafe_b64encode(context.entropy(_SECRET_BYTES)).decode().rstrip("=")
    return RouteSecret(broker, slug, ROUTE_SECRET_PREFIX + secret)


def _new_slug(room: str, entropy: bytes) -> str:
    """Name the room so that people know it, and nobody can guess or take it."""
    ending = "".join(_LETTERS[byte % len(_LETTERS)] for byte in entropy)
    start = re.sub("-+", "-", room)[: MAX_SLUG_CHARS - len(ending) - 1].strip("-")
    return f"{start}-{ending}"


def _token(context: Context, file: str | None) -> str:
    token = context.environ.get(TOKEN_VARIABLE, "")
    if file is not None:
        try:
            token = Path(file).read_text("ascii")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it holds no token"
            raise Refused(f"--registration-token-file {file}: {why}") from None
    token = token.strip()
    if len(token) > MAX_TOKEN_CHARS or not token.isascii() or not token.isprintable():
        raise Misused("that is no registration token")
    return token
