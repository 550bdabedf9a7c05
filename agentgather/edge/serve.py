"""Serve an ASGI application over HTTP/1, until told to stop.

Tasks, outermost first; each outlives those below it:

* the application's lifespan.
* ``connections``: one task per connection. They raise nothing.
* ``accepting``: one accept loop per socket. First to end.

Stopping is a sequence: accept no more; let the application release what it holds; close
idle connections; wait for the answers in flight, for so long; cut the rest.
"""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext

from agentgather.edge.answers import encode_last_answer, refusal
from agentgather.edge.connection import App, Connection
from agentgather.edge.traffic import Traffic
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    BACKLOG,
    DRAIN_SECONDS,
    UNREAD_ANSWER_SECONDS,
)

logger: Final = logging.getLogger(__name__)

ACCEPT_BURST: Final = 64
"""Connections taken in one turn of the accept loop; one a turn made a storm of them slow."""
NO_DESCRIPTORS_SECONDS: Final = 0.2
_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_OVERLOADED: Final = encode_last_answer(
    refusal(Unavailable("overloaded", "too many connections", retry_after=5))
)


def open_listener(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of ``host``; port 0 takes a free one.

    What is accepted inherits the options: dead peers are found by keep-alive, peers that
    take no data are dropped, and none of it cuts a held wait, which has no data to take.

    Raises:
        OSError: the address is taken, not ours, or not known.

    """
    sockets: list[socket.socket] = []
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    try:
        for family, kind, protocol, _, address in dict.fromkeys(infos):
            if sockets and port == 0:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            listener = socket.socket(family, kind, protocol)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _set_tcp_options(listener)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _set_tcp_options(listener: socket.socket) -> None:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", 30),
        ("TCP_KEEPINTVL", 10),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", UNREAD_ANSWER_SECONDS * 1000),
    ):
        option = getattr(socket, name, None)  # not every system has each of them
        if option is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


async def serve_http(
    app: App,
    sockets: Sequence[socket.socket],
    *,
    stop: trio.Event,
    on_stop: Callable[[], None] = lambda: None,
    drain_seconds: float = DRAIN_SECONDS,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` on listening sockets, which are closed on the way out.

    ``on_stop`` is where the application releases what it holds, so that it is answered.
    Returns at most ``drain_seconds`` and a moment after ``stop``, whatever peers do.
    """
    config = _config()
    context = WorkerContext(None)
    lifespan = Lifespan(ASGIWrapper(app), config, {})
    traffic = Traffic()
    async with trio.open_nursery() as application:
        await application.start(lifespan.handle_lifespan)
        # An application without a lifespan may have returned already.
        with suppress(trio.ClosedResourceError):
            await lifespan.wait_for_startup()
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                for listener in sockets:
                    accepting.start_soon(
                        _accept, listener, app, config, context, traffic, connections
                    )
                task_status.started()
                await stop.wait()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            on_stop()
            for scope in list(traffic.idle):
                scope.cancel()
            with trio.move_on_after(drain_seconds):
                await traffic.drain()
            connections.cancel_scope.cancel()
        with suppress(trio.ClosedResourceError):
            await lifespan.wait_for_shutdown()
        application.cancel_scope.cancel()


def _config() -> Config:
    config = Config()
    config.include_server_header = False
    config.include_date_header = False
    config.keep_alive_max_requests = 1 << 62
    config.websocket_max_message_size = 1 << 20
    config.accesslog = None
    config.errorlog = None
    config.startup_timeout = 60
    return config


async def _accept(
    listener: socket.socket,
    app: App,
    config: Config,
    context: WorkerContext,
    traffic: Traffic,
    handler_nursery: trio.Nursery,
) -> None:
    with listener:
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPT_BURST):
                try:
                    sock, address = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _NO_DESCRIPTORS:
                        logger.warning("no descriptors for more connections")
                        await trio.sleep(NO_DESCRIPTORS_SECONDS)
                    break  # else: the peer left before it was accepted
                sock.setblocking(False)
                client = str(address[0]) if address else ""
                if not traffic.admits(client):
                    _turn_away(sock)
                    continue
                handler_nursery.start_soon(
                    _serve_connection, app, config, context, sock, client, address, traffic
                )


def _turn_away(sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.send(_OVERLOADED)


async def _serve_connection(
    app: App,
    config: Config,
    context: WorkerContext,
    sock: socket.socket,
    client: str,
    address: tuple[str, int],
    traffic: Traffic,
) -> None:
    with traffic.counted(client):
        await Connection(app, config, context, sock, address[:2], traffic).run()
