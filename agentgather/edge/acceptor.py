"""Taking connections off a listening socket: in bursts, up to a cap, through droughts."""

import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Any, Final

import trio

from agentgather.edge.answers import encode_last_answer, refusal
from agentgather.edge.traffic import Traffic
from agentgather.wire.errors import Unavailable

logger: Final = logging.getLogger("agentgather.edge")

ACCEPT_BURST: Final = 4
"""Connections taken in one turn. One a turn made a storm of them wait for each other, and each
costs all others half a millisecond: with 64, a flood of connections held a request for 100 ms,
with 4 for 8 ms. 2,000 that come at once are answered in 0.41 s, and were in 0.36 s."""
NO_DESCRIPTORS_SECONDS: Final = 0.1
"""The pause when none can be taken; trio's own accept loop has the same."""

_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_OVERLOADED: Final = encode_last_answer(
    refusal(Unavailable("overloaded", "too many connections", retry_after=5))
)

WARN_EVERY_SECONDS: Final = 60
"""Between two warnings about it."""

Serve = Callable[[socket.socket, Any], Awaitable[None]]


async def accept_connections(
    listener: socket.socket, serve: Serve, traffic: Traffic, handler_nursery: trio.Nursery
) -> None:
    """Start ``serve(sock, address)`` for each connection, until cancelled.

    ``serve`` owns its socket, raises nothing, and calls ``traffic.leave``. ``listener`` is
    closed on the way out: a socket that nobody accepts from would go on collecting peers.
    """
    warned_at = -inf
    with listener:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPT_BURST):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    # Any other error is one of that connection, which left before.
                    if error.errno in _NO_DESCRIPTORS:
                        if trio.current_time() - warned_at > WARN_EVERY_SECONDS:
                            logger.warning("no descriptors are left; connections have to wait")
                            warned_at = trio.current_time()
                        await trio.sleep(NO_DESCRIPTORS_SECONDS)
                    break
                sock.setblocking(False)
                if traffic.enter(client_of(address)):
                    handler_nursery.start_soon(serve, sock, address)
                else:
                    _turn_away(sock)


def client_of(address: Any) -> str:
    """Give whom a connection counts for: its host, whatever the port."""
    return str(address[0]) if isinstance(address, tuple) else ""


def _turn_away(sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.send(_OVERLOADED)
