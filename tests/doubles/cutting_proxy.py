"""A TCP proxy on which the network fails: it cuts, forsakes, delays and goes silent.

It knows no protocol. What is cut is closed with a reset, as by a machine that restarted.
"""

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

CHUNK: Final = 64 * 1024
# SO_LINGER with no time: what is unsent is dropped, and the peer gets a reset.
_RESET: Final = struct.pack("ii", 1, 0)


class _Pair:
    """One connection: ``near`` is of whoever came, ``far`` is to the target."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        self.near = near
        self.far = far
        self.is_forsaken = False


class CuttingProxy:
    """What may happen to connections. ``port`` is where it listens.

    ``passed`` counts the connections that it has passed on, ``delay_seconds`` is how long
    each piece takes.
    """

    def __init__(self, target_port: int, port: int) -> None:
        self.port = port
        self.passed = 0
        self.delay_seconds = 0.0
        self._target_port = target_port
        self._pairs: set[_Pair] = set()
        self._flows = trio.Event()
        self._flows.set()

    def __len__(self) -> int:
        """Count the connections that are whole."""
        return sum(not pair.is_forsaken for pair in self._pairs)

    def cut(self) -> None:
        """Break every connection, at both ends."""
        for pair in self._pairs:
            _reset(pair.near)
            _reset(pair.far)

    def forsake(self) -> None:
        """Break every connection at its near end. The far end hears nothing, of this or more."""
        for pair in self._pairs:
            pair.is_forsaken = True
            _reset(pair.near)

    def stall(self) -> None:
        """Take everything and pass nothing on: a lost network, of which nobody is told."""
        if self._flows.is_set():
            self._flows = trio.Event()

    def mend(self) -> None:
        """Pass everything on again, and what was kept back."""
        self.delay_seconds = 0.0
        self._flows.set()

    async def serve(self, near: trio.SocketStream) -> None:
        """Pass one connection on until it ends at either side."""
        await self._flows.wait()
        with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            async with near, await trio.open_tcp_stream("127.0.0.1", self._target_port) as far:
                self.passed += 1
                pair = _Pair(near, far)
                self._pairs.add(pair)
                try:
                    async with trio.open_nursery() as passing:
                        passing.start_soon(self._pass_on, near, far, pair, passing)
                        passing.start_soon(self._pass_on, far, near, pair, passing)
                finally:
                    self._pairs.discard(pair)

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, pair: _Pair, passing: trio.Nursery
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(CHUNK):
                if self.delay_seconds:
                    await trio.sleep(self.delay_seconds)
                await self._flows.wait()
                if not pair.is_forsaken:
                    await sink.send_all(data)
        # Of a forsaken connection the far end alone says when it is over.
        if not (pair.is_forsaken and source is pair.near):
            passing.cancel_scope.cancel()


async def fail(proxy: CuttingProxy, number: int) -> None:
    """Let the network fail in one of the ways that it has, by a number, and mend it."""
    how = number % 5
    if how == 1:
        proxy.stall()
        await trio.sleep(0.1)
    elif how == 2:
        proxy.delay_seconds = 0.05
        await trio.sleep(0.1)
    if how == 3:
        # The broker does not hear of it; the next link takes the place of this one.
        proxy.forsake()
    else:
        proxy.cut()
    proxy.mend()


async def serve_cutting_proxy(
    target_port: int, *, task_status: trio.TaskStatus[CuttingProxy]
) -> None:
    """Run a proxy to a port of this machine, until it is cancelled; starts with the proxy."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=64)
    proxy = CuttingProxy(target_port, listeners[0].socket.getsockname()[1])
    task_status.started(proxy)
    await trio.serve_listeners(proxy.serve, listeners)


@asynccontextmanager
async def open_cutting_proxy(target_port: int) -> AsyncIterator[CuttingProxy]:
    """Run a proxy to a port of this machine, for the length of the block."""
    async with trio.open_nursery() as serving:
        yield await serving.start(serve_cutting_proxy, target_port)
        serving.cancel_scope.cancel()


def _reset(stream: trio.SocketStream) -> None:
    with suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    stream.socket.close()
