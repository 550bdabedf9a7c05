"""A process whose one purpose is a tunnel: ``tunnel run`` and ``tunnel start``."""

from collections.abc import Callable

import trio

from agentgather.cli.context import Context
from agentgather.cli.failures import OutputClosed, Refused, TryLater, Unreachable
from agentgather.cli.signals import heeded, signals_deferred
from agentgather.cli.stopping import say_faults, stop_on_signal
from agentgather.cli.tunnel_watch import own_tunnel, remember_granted
from agentgather.cli.tunnelling import Teller, serve_tunnel
from agentgather.link.handshake import RegistrationRefused
from agentgather.tunnel.attempt import claim_route
from agentgather.tunnel.events import Ended, TunnelPlan
from agentgather.tunnel.no_link import NoLink
from agentgather.tunnel.older_broker import is_older_broker
from agentgather.tunnel.public_url import BadPublicUrl
from agentgather.tunnel.reasons import why_refused
from agentgather.tunnel.target import TargetResponder
from agentgather.tunnel.websocket import open_websocket

Show = Callable[[str], None]
"""Prints a public URL."""


def forward_until_stopped(
    context: Context, room: str, plan: TunnelPlan, target: str, show: Show
) -> None:
    """Run a tunnel to ``target``, a base URL in normal form, until a signal.

    Raises:
        Refused: it ended of itself, there is another one, or where the room is public
            cannot be noted; the text says why.
        OutputClosed, OSError: the public URL could not be shown.

    """
    say_faults()
    # An exception out of a signal's handler would break Trio while it starts.
    with own_tunnel(context.home, room, plan), signals_deferred() as came:
        ended = trio.run(_forward, context, room, plan, target, show, came)
    if ended is not None and ended.code:
        raise Refused(f"the tunnel has ended: {ended.reason}", ended.code)


async def _forward(
    context: Context, room: str, plan: TunnelPlan, target: str, show: Show, came: list[int]
) -> Ended | None:
    faults: list[Exception] = []

    def on_public(public_url: str | None) -> None:
        if public_url is not None:
            try:
                show(public_url)
            except (OutputClosed, OSError) as error:
                # A room is not made public without anybody being told where.
                faults.append(error)
                stop.set()

    def on_unnoted(why: str) -> None:
        # Who came by that URL would be refused: the server has it from that file alone.
        faults.append(
            Refused(
                f"{room} is not public: its server learns the URL from tunnel.json in the room's "
                f"folder, and that cannot be written ({why}); mend that, and run this again"
            )
        )
        stop.set()

    stop = trio.Event()
    responder = TargetResponder(target)
    with trio.open_signal_receiver(*heeded()) as signals:
        if came:
            return None
        async with trio.open_nursery() as receiving:
            receiving.start_soon(stop_on_signal, signals, stop)
            teller = Teller(context, room, plan, on_public, on_unnoted=on_unnoted)
            ended = await serve_tunnel(teller, responder, stop)
            receiving.cancel_scope.cancel()
    await responder.close()
    if faults:
        raise faults[0]
    return ended


def reserve(context: Context, room: str, plan: TunnelPlan) -> str:
    """Lease a slug, and give the public URL.

    Raises:
        Refused, TryLater, Unreachable: there is none; the text says why.

    """
    try:
        with own_tunnel(context.home, room, plan), signals_deferred():
            public_url = trio.run(claim_route, plan, open_websocket)
            remember_granted(context.home, room, plan)
            return public_url
    except RegistrationRefused as error:
        refused, reason = error.refused, why_refused(error.refused)
        if refused.retry_after_s is None:
            raise Refused(reason, refused.code) from None
        raise TryLater(reason, refused.retry_after_s, refused.code) from None
    except BadPublicUrl as error:
        raise Refused(str(error)) from None
    except NoLink as error:
        if is_older_broker(error.status, error.body):
            raise Refused(
                f"{plan.broker} is an older broker, which reserves nothing; make the room public "
                "with `agentgather tunnel run`"
            ) from None
        raise Unreachable(f"{plan.broker}: {error}") from None
