"""Whose request it is: the address that a limit counts for.

A proxy in front of us is the peer of every connection. It names the client in
X-Forwarded-For, and so can anybody who reaches us without it: the header counts only where
the peer is one of the proxies that the operator named, and in it only what such a proxy
added, from the right.

    client, 203.0.113.9, 10.0.0.2      peer 10.0.0.1
    forged  the client   a proxy of ours, as is the peer
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_FORWARDED_HOPS: Final = 16
"""Proxies of ours in a row that are believed; no chain is a third as long."""
CLIENT_PREFIX_BITS: Final = 64
"""What one IPv6 subscriber has at least: RFC 6177. Within it anybody picks any address."""
MAX_ADDRESS_CHARS: Final = 64
"""45 of the longest address, ``%``, and 15 of an interface's name."""
ADDRESSES_KEPT: Final = 1024
"""Texts that need not be read again: a proxy's, and those of clients that ask on."""

_LOOPBACK: Final = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))
_FORWARDED_FOR: Final = b"x-forwarded-for"


class ClientAddresses:
    """Tells clients apart behind the proxies in ``trusted``."""

    def __init__(self, trusted: tuple[Network, ...] = ()) -> None:
        self._trusted = trusted

    def of(self, peer: tuple[str, int] | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Give whom a request counts for, as text; "" for a peer that has no address.

        ``peer`` and ``headers`` are those of the ASGI scope: the header may be there more
        than once, which is one list.
        """
        address = _parse(peer[0]) if peer is not None else None
        if address is None:
            return ""
        if self._is_trusted(address):
            values = [value for name, value in headers if name == _FORWARDED_FOR]
            if values:
                address = self._forwarded(address, b",".join(values).decode("latin-1"))
        return _key(address)

    def _forwarded(self, peer: Address, value: str) -> Address:
        """Give the right-most address that is no proxy of ours, or the last that was good."""
        client = peer
        for text in reversed(value.rsplit(",", MAX_FORWARDED_HOPS)[-MAX_FORWARDED_HOPS:]):
            hop = _parse(_without_port(text.strip(" \t")))
            if hop is None:
                break
            client = hop
            if not self._is_trusted(hop):
                break
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read addresses, networks such as ``10.0.0.0/8``, and the word ``loopback``.

    Raises:
        ValueError: one of them is none of these, or all addresses there are. The text is
            for a person.

    """
    networks: list[Network] = []
    for text in texts:
        if text == "loopback":
            networks += _LOOPBACK
            continue
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise ValueError(
                f"{text!r} is no address, no network such as 10.0.0.0/8, and not loopback"
            ) from None
        if network.prefixlen == 0:
            raise ValueError(f"{text} is everybody, and then anybody can pass for anybody else")
        networks.append(network)
    return tuple(networks)


def _parse(text: str) -> Address | None:
    return _parse_short(text) if len(text) <= MAX_ADDRESS_CHARS else None


@lru_cache(ADDRESSES_KEPT)
def _parse_short(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    # An interface's name behind a link-local address is free text.
    return address.ipv4_mapped or ipaddress.IPv6Address(int(address))


def _without_port(text: str) -> str:
    """Take away what some proxies add: ``192.0.2.1:50123``, ``[2001:db8::1]:50123``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _key(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address), CLIENT_PREFIX_BITS), strict=False))
