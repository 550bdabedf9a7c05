"""Serve a room from the command line: one process, until a signal.

The first SIGINT, SIGTERM or SIGHUP stops it in order: held waits get their answer, what
was acknowledged is on disk. A second one ends the process at once.
"""

import errno
import ipaddress
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Refused, Unreachable
from agentgather.cli.seat_keys import INSECURE, PUBLIC_URLS
from agentgather.cli.signals import heeded, signals_deferred
from agentgather.edge.origins import LOOPBACK_NAMES, Served, normalise_base_url, parse_authority
from agentgather.edge.serve import open_listener
from agentgather.server.service import open_live_room, serve_room
from agentgather.storage.home import Home
from agentgather.storage.lock import RoomLocked, read_holder
from agentgather.storage.seats import write_seat
from agentgather.storage.stored_room import LOCK_FILE
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import CurrentRoom

NO_URLS: Final = ("none",)
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


@dataclass(frozen=True)
class Serving:
    """Where and how to serve. Without ``urls`` those of the last time hold on."""

    port: int
    host: str = "127.0.0.1"
    urls: tuple[str, ...] = ()
    allow_remote: bool = False
    max_messages: int = MAX_LOG_MESSAGES


def serve_seat(
    context: Context, seat: CurrentRoom, serving: Serving, ready: Callable[[str], None]
) -> None:
    """Serve the room of a seat; ``ready`` is told the base URL once it answers.

    Raises:
        Misused, Refused, Unreachable: it cannot be served; the text says why.

    """
    if not (_is_loopback(serving.host) or serving.allow_remote):
        raise Misused(
            f"{serving.host or 'that address'} is reachable from other machines, and HTTP is not "
            "encrypted; put an SSH tunnel or an HTTPS proxy in front and name it with --url, or "
            "say --allow-remote"
        )
    if not context.home.has_room(seat.roomId):
        raise Refused(
            f"{seat.roomId} is not hosted in this home; its host serves it. Make a room with "
            "`agentgather room start`, or select one with `agentgather room use`"
        )
    urls = _public_urls(seat, serving)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    sockets = _listen(serving)
    try:
        # An exception out of a signal's handler would break Trio while it starts.
        with signals_deferred() as came:
            trio.run(_serve, context, seat, serving, urls, sockets, ready, came)
    except RoomLocked:
        raise Unreachable(locked(context.home, seat.roomId)) from None
    finally:
        for listener in sockets:
            listener.close()


def locked(home: Home, room: str) -> str:
    """Say that another process owns a room, and which."""
    holder = read_holder(home.room_path(room) / LOCK_FILE)
    who = f" by process {holder}" if holder else ""
    return f"{room} is already served{who}; end that one first, or use the room through it"


async def _serve(
    context: Context,
    seat: CurrentRoom,
    serving: Serving,
    urls: tuple[str, ...],
    sockets: list[socket.socket],
    ready: Callable[[str], None],
    came: list[int],
) -> None:
    base_url = _base_url(serving.host, sockets)
    served = Served(base_url, public_urls=urls, allow_remote=serving.allow_remote)
    stop = trio.Event()
    # Outermost, so that a signal while a long log is read waits for its end.
    with trio.open_signal_receiver(*heeded()) as signals:
        if came:
            return
        async with open_live_room(
            context.home, seat.roomId, max_messages=serving.max_messages
        ) as live:
            for warning in live.warnings:
                context.say(f"warning: {warning}")
            _remember(context.home, seat, base_url, urls)
            async with trio.open_nursery() as receiving:
                receiving.start_soon(_stop_on_signal, signals, stop)
                async with trio.open_nursery() as serving_room:
                    await serving_room.start(
                        partial(serve_room, live, sockets, served=served, stop=stop)
                    )
                    ready(base_url)
                receiving.cancel_scope.cancel()


def _remember(home: Home, seat: CurrentRoom, base_url: str, urls: tuple[str, ...]) -> None:
    """Write down where the room is now, so that the host's other commands find it there."""
    extra = {k: v for k, v in seat.extra.items() if k not in (PUBLIC_URLS, INSECURE)}
    if urls:
        extra[PUBLIC_URLS] = list(urls)
    if not _is_loopback_url(base_url):
        # Whoever said --allow-remote knows that it is plain HTTP.
        extra[INSECURE] = True
    now = msgspec.structs.replace(seat, baseUrl=base_url, extra=extra)
    write_seat(home, now, select=True)


def _public_urls(seat: CurrentRoom, serving: Serving) -> tuple[str, ...]:
    if serving.urls == NO_URLS:
        return ()
    kept = seat.extra.get(PUBLIC_URLS)
    urls: Iterable[str] = serving.urls or (kept if isinstance(kept, list) else ())
    if not urls and not _is_loopback_url(seat.baseUrl):
        # `room start --url` named where others find it.
        urls = (seat.baseUrl,)
    try:
        return tuple(normalise_base_url(url) for url in urls)
    except ValueError as error:
        raise Misused(f"--url: {error}") from None


def _listen(serving: Serving) -> list[socket.socket]:
    try:
        return open_listener(serving.host, serving.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {serving.port} is taken, perhaps by another room; choose one with --port, "
                "or --port 0 for a free one"
            ) from None
        raise Refused(
            f"cannot listen on {serving.host}, port {serving.port}: {error.strerror}"
        ) from None


def _base_url(host: str, sockets: list[socket.socket]) -> str:
    port = sockets[0].getsockname()[1]
    name = "127.0.0.1" if host in _ANY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_loopback_url(url: str) -> bool:
    authority = parse_authority(url.partition("://")[2].partition("/")[0])
    return authority is not None and authority.name in LOOPBACK_NAMES


async def _stop_on_signal(signals: AsyncIterator[int], stop: trio.Event) -> None:
    async for number in signals:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()
