"""Serve an ASGI application over HTTP/1, until told to stop.

Tasks, outermost first; each outlives those below it:

* ``application``: the ASGI lifespan.
* ``connections``: one task per connection. They raise nothing.
* ``accepting``: one accept loop per socket. First to end.

Stopping is a sequence: accept no more; let the application release what it holds; close
idle connections; wait for the answers in flight, for so long; cut the rest.
"""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.utils import parse_socket_addr

from agentgather.edge.acceptor import accept_connections, client_of
from agentgather.edge.bounds import DEFAULT_BOUNDS, Bounds
from agentgather.edge.connection import Connection
from agentgather.edge.exchange import App
from agentgather.edge.line import Line
from agentgather.edge.peer import Peer
from agentgather.edge.traffic import Traffic, raise_descriptor_limit
from agentgather.wire.limits import BACKLOG, DRAIN_SECONDS, UNREAD_ANSWER_SECONDS

logger: Final = logging.getLogger("agentgather.edge")

LIFESPAN_SECONDS: Final = 60
"""The application's own start and end; hypercorn's default."""
UNSENT_BYTES: Final = 256 * 1024
"""What the kernel takes of an answer before the network does: a page, at most. What is more
waits with us, where it has a deadline."""

# A machine without IPv6 may still know ::1 by name.
_NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


def open_listener(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of ``host``; port 0 takes a free one, the same for all.

    What is accepted inherits the options: dead peers are found by keep-alive, peers that
    take no data are dropped, and none of it cuts a held wait, which has no data to take.

    Raises:
        OSError: the address is taken, not ours, or not known.

    """
    sockets: list[socket.socket] = []
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    missing: OSError | None = None
    try:
        for family, _, _, _, address in infos:
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listen(family, (address[0], chosen, *address[2:])))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _listen(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Otherwise an IPv4 peer would have a second address, ::ffff:192.0.2.1.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_NODELAY", 1),
            ("TCP_KEEPIDLE", 30),
            ("TCP_KEEPINTVL", 10),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", UNREAD_ANSWER_SECONDS * 1000),
            ("TCP_NOTSENT_LOWAT", UNSENT_BYTES),
        ):
            if hasattr(socket, name):  # not every system has each of them
                listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        listener.setblocking(False)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


async def serve_http(
    app: App,
    sockets: Sequence[socket.socket],
    *,
    stop: trio.Event,
    on_stop: Callable[[], None] = lambda: None,
    drain_seconds: float = DRAIN_SECONDS,
    bounds: Bounds = DEFAULT_BOUNDS,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` on listening sockets, which are closed on the way out.

    ``on_stop`` is where the application releases what it holds, so that it is answered.
    Returns at most ``drain_seconds`` and a moment after ``stop``, whatever peers do.
    Cancelling cuts everybody at once.

    Raises:
        ExceptionGroup: the application's lifespan failed or took too long.

    """
    config = build_config(bounds)
    context = WorkerContext(None)
    traffic = Traffic(bounds, raise_descriptor_limit())
    lifespan = Lifespan(ASGIWrapper(app), config, {})

    async def serve(sock: socket.socket, address: Any) -> None:
        try:
            client = parse_socket_addr(sock.family, address)
            server = parse_socket_addr(sock.family, sock.getsockname())
            line = Line(Peer(sock), bounds)
            await Connection(app, config, context, line, client, server, traffic).run()
        except OSError:
            sock.close()  # It was lost before it began.
        finally:
            traffic.leave(client_of(address))

    async with trio.open_nursery() as application:
        await application.start(lifespan.handle_lifespan)
        # An application that has no lifespan may have returned by now.
        if not lifespan.startup.is_set():
            await lifespan.wait_for_startup()
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in sockets:
                    listener.setblocking(False)
                    accepting.start_soon(accept_connections, listener, serve, traffic, connections)
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            on_stop()
            traffic.stop()
            with trio.move_on_after(drain_seconds):
                await traffic.drain()
            connections.cancel_scope.cancel()
        if not lifespan.shutdown.is_set():
            await lifespan.wait_for_shutdown()
        application.cancel_scope.cancel()


def build_config(bounds: Bounds) -> Config:
    """Give what hypercorn's own classes need to know."""
    config = Config()
    config.include_server_header = False
    config.include_date_header = False
    config.accesslog = None
    config.errorlog = logger
    config.startup_timeout = LIFESPAN_SECONDS
    config.shutdown_timeout = LIFESPAN_SECONDS
    config.websocket_ping_interval = None
    config.websocket_max_message_size = bounds.websocket_message_bytes
    return config
