"""Serve a room from the command line: one process, until a signal.

The first SIGINT, SIGTERM or SIGHUP stops it in order: held waits get their answer, what
was acknowledged is on disk. A second one ends the process at once.
"""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import trio

from agentgather.cli.context import Context
from agentgather.cli.failures import Misused, Refused, Unreachable
from agentgather.cli.render import one_line
from agentgather.edge.origins import LOOPBACK_NAMES, Served
from agentgather.edge.serve import open_listener
from agentgather.server.service import open_live_room, serve_room
from agentgather.storage.lock import RoomLocked, read_holder
from agentgather.storage.seats import write_seat
from agentgather.storage.stored_room import LOCK_FILE
from agentgather.wire.limits import MAX_LOG_MESSAGES
from agentgather.wire.records import CurrentRoom

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


@dataclass(frozen=True)
class Serving:
    """Where and how to serve."""

    port: int
    host: str = "127.0.0.1"
    urls: tuple[str, ...] = ()
    allow_remote: bool = False
    max_messages: int = MAX_LOG_MESSAGES


def serve_seat(
    context: Context, seat: CurrentRoom, serving: Serving, ready: Callable[[str], None]
) -> int:
    """Serve the room of a seat; ``ready`` is told the base URL once it answers.

    Raises:
        Misused, Refused, Unreachable: it cannot be served; the text says why.

    """
    name = f"[{serving.host}]" if ":" in serving.host else serving.host
    if name not in LOOPBACK_NAMES and not serving.allow_remote:
        raise Misused(
            f"{serving.host or 'that address'} is reachable from other machines, and HTTP is not "
            "encrypted; put an SSH tunnel or an HTTPS proxy in front, or say --allow-remote"
        )
    if not context.home.has_room(seat.roomId):
        raise Refused(f"{seat.roomId} is not hosted in this home; its host serves it")
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", level=logging.WARNING)
    try:
        trio.run(_serve, context, seat, serving, ready)
    except RoomLocked:
        holder = read_holder(context.home.room_path(seat.roomId) / LOCK_FILE)
        raise Unreachable(
            f"{seat.roomId} is already served" + (f" by process {holder}" if holder else "")
        ) from None
    return 0


async def _serve(
    context: Context, seat: CurrentRoom, serving: Serving, ready: Callable[[str], None]
) -> None:
    stop = trio.Event()
    async with open_live_room(context.home, seat.roomId, max_messages=serving.max_messages) as live:
        for warning in live.warnings:
            context.say(f"warning: {one_line(warning)}")
        sockets = _listen(serving)
        base_url = _base_url(serving.host, sockets)
        try:
            served = Served(base_url, public_urls=serving.urls, allow_remote=serving.allow_remote)
        except ValueError as error:
            raise Misused(str(error)) from None
        if base_url != seat.baseUrl:
            # So that the host's other commands find the room where it is now.
            write_seat(context.home, msgspec.structs.replace(seat, baseUrl=base_url), select=True)
        async with trio.open_nursery() as signals:
            signals.start_soon(_stop_on_signal, stop)
            async with trio.open_nursery() as serving_room:
                await serving_room.start(
                    partial(serve_room, live, sockets, served=served, stop=stop)
                )
                ready(base_url)
            signals.cancel_scope.cancel()


def _listen(serving: Serving) -> list[socket.socket]:
    try:
        return open_listener(serving.host, serving.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(f"port {serving.port} is taken; choose another with --port") from None
        raise Refused(
            f"cannot listen on {serving.host}, port {serving.port}: {error.strerror}"
        ) from None


def _base_url(host: str, sockets: list[socket.socket]) -> str:
    port = sockets[0].getsockname()[1]
    name = "127.0.0.1" if host in _ANY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


async def _stop_on_signal(stop: trio.Event) -> None:
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        async for number in signals:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()
