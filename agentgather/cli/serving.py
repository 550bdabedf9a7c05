"""Serve a room from the command line: one process, until a signal.

The first SIGINT, SIGTERM or SIGHUP stops it in order: held waits get their answer, what
was acknowledged is on disk. A second one ends the process at once.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Unreachable
from agentgather.cli.listening import Listening, is_loopback_url, locked
from agentgather.cli.seat_keys import INSECURE, PUBLIC_URLS
from agentgather.cli.served_room import ServedRoom
from agentgather.cli.signals import heeded, signals_deferred
from agentgather.cli.stopping import say_faults, stop_on_signal
from agentgather.cli.tunnel_plan import PlannedTunnel
from agentgather.cli.tunnel_watch import own_tunnel, watch_tunnel
from agentgather.edge.origins import Served, normalise_base_url
from agentgather.server.app import build_app
from agentgather.server.service import open_live_room, serve_room
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked
from agentgather.storage.seats import update_seat, write_seat
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import CurrentRoom

NO_URLS: Final = ("none",)
PUBLIC_SECONDS: Final = 10
"""How long the start waits for a tunnel; after that it opens when it opens."""

Ready = Callable[[ServedRoom], None]
"""Told of a room that answers."""


@dataclass(frozen=True)
class Serving:
    """Where and how to serve. Without ``urls`` those of the last time hold on.

    With ``select`` the seat becomes the selected one as soon as this process owns the room:
    a start that fails before changes nothing for the host's other commands.
    """

    listening: Listening
    urls: tuple[str, ...] = ()
    allow_remote: bool = False
    max_messages: int = MAX_LOG_MESSAGES
    tunnel: PlannedTunnel | None = None
    select: bool = False


def serve_seat(context: Context, seat: CurrentRoom, serving: Serving, ready: Ready) -> None:
    """Serve the room of a seat, which lives in this home; ``ready`` is told once it answers.

    Raises:
        Misused, Refused, Unreachable: it cannot be served; the text says why.

    """
    urls = _public_urls(seat, serving)
    say_faults()
    # Handed on, because a tunnel may end before the room does, and then is anybody's.
    with ExitStack() as ownership:
        if serving.tunnel is not None:
            ownership.enter_context(own_tunnel(context.home, seat.roomId, serving.tunnel.plan))
        try:
            # An exception out of a signal's handler would break Trio while it starts.
            with signals_deferred() as came:
                trio.run(_serve, context, seat, serving, urls, ownership, ready, came)
        except RoomLocked:
            raise Unreachable(locked(context.home, seat.roomId)) from None


async def _serve(
    context: Context,
    seat: CurrentRoom,
    serving: Serving,
    urls: tuple[str, ...],
    ownership: ExitStack,
    ready: Ready,
    came: list[int],
) -> None:
    sockets, base_url = serving.listening
    served = Served(base_url, public_urls=urls, allow_remote=serving.allow_remote)
    stop, without_tunnel = trio.Event(), trio.Event()
    if serving.tunnel is None:
        without_tunnel.set()
    # Outermost, so that a signal while a long log is read waits for its end.
    with trio.open_signal_receiver(*heeded()) as signals:
        if came:
            return
        async with open_live_room(
            context.home, seat.roomId, max_messages=serving.max_messages
        ) as live:
            for warning in live.warnings:
                context.say(f"warning: {warning}")
            _remember(context.home, seat, base_url, urls, select=serving.select)
            async with trio.open_nursery() as receiving:
                receiving.start_soon(stop_on_signal, signals, stop)
                receiving.start_soon(
                    partial(watch_tunnel, context.home, seat.roomId, served, after=without_tunnel)
                )
                async with trio.open_nursery() as serving_room:
                    await serving_room.start(
                        partial(serve_room, live, sockets, served=served, stop=stop)
                    )
                    public_url = None
                    if serving.tunnel is not None:
                        # Here, because only a tunnel needs it: 50 ms of import.
                        from agentgather.cli.tunnelling import Teller, serve_app_through_tunnel

                        app = build_app(live, served)
                        plan, again = serving.tunnel
                        teller = Teller(context, seat.roomId, plan, served.set_tunnel, again=again)
                        serving_room.start_soon(
                            serve_app_through_tunnel, app, teller, stop, ownership, without_tunnel
                        )
                        with trio.move_on_after(PUBLIC_SECONDS):
                            await teller.settled.wait()
                        public_url = teller.public_url
                        if not teller.settled.is_set():
                            context.say("the tunnel is not open yet; it is tried on")
                    if not stop.is_set():
                        closed = live.room.is_closed
                        ready(ServedRoom(seat.roomId, base_url, public_url, urls, closed))
                receiving.cancel_scope.cancel()


def _remember(
    home: Home, seat: CurrentRoom, base_url: str, urls: tuple[str, ...], *, select: bool
) -> None:
    """Write down where the room is now, so that the host's other commands find it there."""
    extra = {k: v for k, v in seat.extra.items() if k not in (PUBLIC_URLS, INSECURE)}
    if urls:
        extra[PUBLIC_URLS] = list(urls)
    if not is_loopback_url(base_url):
        # Whoever said --allow-remote knows that it is plain HTTP.
        extra[INSECURE] = True
    now = msgspec.structs.replace(seat, baseUrl=base_url, extra=extra)
    if select:
        write_seat(home, now, select=True)
    else:
        update_seat(home, now)


def _public_urls(seat: CurrentRoom, serving: Serving) -> tuple[str, ...]:
    if serving.urls == NO_URLS:
        return ()
    kept = seat.extra.get(PUBLIC_URLS)
    urls: Iterable[str] = serving.urls or (kept if isinstance(kept, list) else ())
    if not urls and not is_loopback_url(seat.baseUrl):
        # `room start --url` named where others find it.
        urls = (seat.baseUrl,)
    try:
        return tuple(normalise_base_url(url) for url in urls)
    except ValueError as error:
        raise Misused(f"--url: {error}") from None
