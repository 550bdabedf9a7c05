"""Tell systemd how a service does: that it is ready, that it goes on, that it stops.

systemd names in the environment the socket where it wants to hear it, and how often. The
messages are those of sd_notify(3). Without such a name nobody is told anything.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Self

import trio

TELL_SECONDS: Final = 5
"""A message waits no longer for its place in the queue: systemd may be busy with itself."""


class ServiceManager:
    """Whoever started this process as a service. A context manager, for use under Trio."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is abstract: for the kernel a NUL stands there.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sends = address.startswith(("/", "@"))
        self._feed_seconds = _watchdog_seconds(environ) / 2 if self._sends else 0
        if self._sends:
            # Kept open: a process that has no descriptor left is to be heard, too.
            self._socket = trio.socket.from_stdlib_socket(
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sends:
            self._socket.close()

    async def tell(self, state: str) -> None:
        """Send ``READY=1`` or ``STOPPING=1``. One that does not hear it is no reason to fail."""
        if self._sends:
            with trio.move_on_after(TELL_SECONDS), suppress(OSError):
                # Connected, because no other socket of datagrams can be waited for when the
                # queue is full; anew each time, because systemd may have made another one.
                await self._socket.connect(self._address)
                await self._socket.send(state.encode())

    async def feed_watchdog(self) -> None:
        """Say for ever that the event loop goes round; return at once where nobody asks.

        It is said twice in the time that systemd gives, as sd_watchdog_enabled(3) advises.
        """
        while self._feed_seconds:
            await self.tell("WATCHDOG=1")
            await trio.sleep(self._feed_seconds)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    # A process that a service has started inherits the variables, and is not meant.
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    given = environ.get("WATCHDOG_USEC", "")
    return int(given) / 1_000_000 if given.isascii() and given.isdigit() else 0
