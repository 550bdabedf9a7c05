"""Three network namespaces in a row, where the kernel lets us: host, router, broker.

    host 198.18.2.1 -- 198.18.2.254 router 198.18.1.254 -- 198.18.1.1 broker

A router that forwards no more is a black hole: packets are gone, and nobody is told.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

BROKER_ADDRESS: Final = "198.18.1.1"
"""Of the block for tests of networks: RFC 2544."""
_FORWARD: Final = "/proc/sys/net/ipv4/ip_forward"


class NoNamespaces(Exception):
    """This machine allows none. The text says why."""


class Namespaces:
    """The three. ``at_host`` and ``at_broker`` go before a command that is to run there."""

    def __init__(self) -> None:
        name = f"agt{os.getpid()}"
        self.names = {part: f"{name}{part[0]}" for part in ("host", "router", "broker")}
        self.at_host = ("ip", "netns", "exec", self.names["host"])
        self.at_broker = ("ip", "netns", "exec", self.names["broker"])

    def forward(self, *, on: bool) -> None:
        """Let packets through, or swallow them."""
        command = f"echo {int(on)} > {_FORWARD} && test $(cat {_FORWARD}) = {int(on)}"
        _run("ip", "netns", "exec", self.names["router"], "sh", "-c", command)

    def make(self) -> None:
        for name in self.names.values():
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        self._join("broker", 1)
        self._join("host", 2)
        self.forward(on=True)

    def _join(self, part: str, network: int) -> None:
        here, router = self.names[part], self.names["router"]
        near, far = f"{part}0", f"to-{part}"
        _run("ip", "link", "add", near, "netns", here, "type", "veth", "peer", far, "netns", router)
        for name, device, number in ((here, near, 1), (router, far, 254)):
            _run("ip", "-n", name, "address", "add", f"198.18.{network}.{number}/24", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")
        _run("ip", "-n", here, "route", "add", "default", "via", f"198.18.{network}.254")

    def remove(self) -> None:
        """Remove what there is of them."""
        for name in self.names.values():
            # Where they could not be made there is nothing to remove, and perhaps no `ip`.
            with suppress(NoNamespaces):
                _run("ip", "netns", "del", name)


@contextmanager
def open_namespaces() -> Iterator[Namespaces]:
    """Have them for the length of the block; what runs in them has to end before.

    Raises:
        NoNamespaces: see there.

    """
    namespaces = Namespaces()
    try:
        namespaces.make()
        yield namespaces
    finally:
        namespaces.remove()


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise NoNamespaces(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        raise NoNamespaces(f"{' '.join(command)}: {done.stderr.strip()}")
