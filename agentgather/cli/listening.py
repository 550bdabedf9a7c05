"""Where a server of this command line listens."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from agentgather.cli.failures import Misused, Refused, Unreachable
from agentgather.edge.origins import LOOPBACK_NAMES, parse_authority
from agentgather.edge.serve import open_listener
from agentgather.storage.home import Home
from agentgather.storage.lock import read_holder
from agentgather.storage.stored_room import LOCK_FILE

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


class Listening(NamedTuple):
    """Sockets on which connections come in, and the base URL of them for this machine."""

    sockets: list[socket.socket]
    base_url: str


@contextmanager
def open_listening(
    home: Home, room: str, host: str, port: int, *, allow_remote: bool = False
) -> Iterator[Listening]:
    """Listen for a room for the length of the block; the room need not be there yet.

    Raises:
        Misused: others could reach it, which nobody has allowed.
        Unreachable: the port is taken, and the room is served already.
        Refused: the port is taken, or nobody can listen there.

    """
    if not (is_loopback(host) or allow_remote):
        raise Misused(
            f"{host or 'that address'} is reachable from other machines, and HTTP is not "
            "encrypted; put an SSH tunnel or an HTTPS proxy in front and name it with --url, or "
            "say --allow-remote"
        )
    with ExitStack() as stack:
        try:
            sockets = listen(host, port)
        except Refused:
            # Most likely by the room itself, and then another port is no help.
            if read_holder(home.room_path(room) / LOCK_FILE) is None:
                raise
            raise Unreachable(locked(home, room)) from None
        for listener in sockets:
            stack.callback(listener.close)
        yield Listening(sockets, base_url_of(host, sockets))


def locked(home: Home, room: str) -> str:
    """Say that another process owns a room, and which."""
    holder = read_holder(home.room_path(room) / LOCK_FILE)
    who = f" by process {holder}" if holder else ""
    return (
        f"{room} is already served{who}; end that one first, or use the room through it "
        f"(agentgather room use {room})"
    )


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen, or say why that is not possible.

    Raises:
        Refused: see there.

    """
    try:
        return open_listener(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} is taken, perhaps by another room or broker; choose one with --port, "
                "or --port 0 for a free one"
            ) from None
        raise Refused(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def base_url_of(host: str, sockets: list[socket.socket]) -> str:
    """Give the base URL at which this machine reaches what listens on ``host``."""
    port = sockets[0].getsockname()[1]
    name = "127.0.0.1" if host in _ANY_ADDRESS else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Say whether an address, or ``localhost``, is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    """Say whether a URL leads to this machine."""
    authority = parse_authority(url.partition("://")[2].partition("/")[0])
    return authority is not None and authority.name in LOOPBACK_NAMES
