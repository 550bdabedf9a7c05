"""Where a server of this command line listens."""

import errno
import ipaddress
import socket
from typing import Final

from agentgather.cli.failures import Refused
from agentgather.edge.origins import LOOPBACK_NAMES, parse_authority
from agentgather.edge.serve import open_listener

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound


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
                f"port {port} is taken, perhaps by another room; choose one with --port, "
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
