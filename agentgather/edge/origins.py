"""Where a room is served, and which pages may speak to it.

A Host outside the list is refused before anything else is looked at: that is what stops
DNS rebinding. An Origin must be one of ours: that is what stops other pages.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from agentgather.wire.errors import Rejected

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# A host name or address with an optional port, and nothing a URL parser could read
# in two ways: no user info, no path, no trailing dot.
_AUTHORITY: Final = re.compile(
    r"(?P<name>[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
# It stands in commands that are pasted into shells. Clients take `..` away, and ask elsewhere.
_BASE_PATH: Final = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._~-]+)*/?", re.ASCII)


class Authority(NamedTuple):
    """A Host header's value, in lower case. ``port`` is None where none was given."""

    name: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Read a Host header's value; None where it is not one."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    port = int(match["port"]) if match["port"] is not None else None
    if port is not None and not 1 <= port <= 65535:
        return None
    return Authority(match["name"], port)


def normalise_base_url(url: str) -> str:
    """Give a base URL without a trailing slash, query or fragment.

    Raises:
        ValueError: it is not an absolute http or https URL without user info. The text
            is for a person.

    """
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.netloc:
        raise ValueError(f"not an http(s) URL: {url!r}")
    if parts.query or parts.fragment or parse_authority(parts.netloc) is None:
        raise ValueError(f"a base URL has a host, a port and a path, nothing else: {url!r}")
    # urlsplit drops line ends and tabs wherever they are.
    if not url.isprintable() or _BASE_PATH.fullmatch(parts.path) is None:
        raise ValueError(f"a base URL's path has letters, digits and - . _ ~ only, no ..: {url!r}")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def origin_of(url: str) -> str | None:
    """Give ``scheme://host[:port]`` of a URL, without a default port; None if it has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    authority = parse_authority(parts.netloc)
    if parts.scheme not in DEFAULT_PORTS or authority is None:
        return None
    if authority.port in (None, DEFAULT_PORTS[parts.scheme]):
        return f"{parts.scheme}://{authority.name}"
    return f"{parts.scheme}://{authority.name}:{authority.port}"


class Served:
    """The places a room is served at.

    ``base_url`` is how the host's own machine reaches it; ``public_urls`` are further
    base URLs, each with its own path prefix or none; a tunnel's comes first while there is
    one. With ``allow_remote`` any address literal is a good Host too: a name can be
    rebound, an address can't.
    """

    def __init__(
        self, base_url: str, *, public_urls: tuple[str, ...] = (), allow_remote: bool = False
    ) -> None:
        self.base_url = normalise_base_url(base_url)
        self._allow_remote = allow_remote
        self._chosen_urls = tuple(normalise_base_url(url) for url in public_urls)
        self.look: Callable[[], None] = lambda: None
        """May call :meth:`set_tunnel`; asked where a tunnel of this moment would matter."""
        self.set_tunnel(None)

    def set_tunnel(self, url: str | None) -> None:
        """Take the public URL of a tunnel, in normal form, or that there is none any more."""
        self._tunnel_url = url
        self.public_urls = self._chosen_urls if url is None else (url, *self._chosen_urls)
        urls = (self.base_url, *self.public_urls)
        self._by_authority: dict[str, str] = {
            authority: url for url in reversed(urls) for authority in _authorities(url)
        }
        self._prefixes = sorted({urlsplit(url).path for url in urls} - {""}, key=len, reverse=True)
        port = urlsplit(self.base_url).port
        origins = {origin_of(url) for url in urls}
        origins |= {origin_of(f"http://{name}:{port or 80}") for name in LOOPBACK_NAMES}
        self._origins: frozenset[str | None] = frozenset(origins) - {None}

    def is_tunnel(self, base_url: str) -> bool:
        """Say whether a base URL of :meth:`base_for` is a tunnel's."""
        return base_url == self._tunnel_url

    def base_for(self, host: str | None) -> str:
        """Give the base URL that a caller with this Host header uses.

        Raises:
            Rejected: ``insecure_remote``: the room is not served there.

        """
        known = self._by_authority.get(host) if host is not None else None
        if known is not None and known != self._tunnel_url:
            return known
        authority = parse_authority(host) if host is not None else None
        if authority is None or host is None:
            raise Rejected("insecure_remote", _INSECURE)
        self.look()
        known = self._by_authority.get(host.lower())
        if known is not None:
            return known
        if authority.name in LOOPBACK_NAMES or (self._allow_remote and _is_address(authority.name)):
            # Any port: a person may reach the room through an SSH forward of their own.
            return f"http://{host.lower()}"
        raise Rejected("insecure_remote", _INSECURE)

    def advertised(self, base_url: str) -> str:
        """Give the base URL for somebody who may be elsewhere; the caller's own if none is."""
        self.look()
        return self.public_urls[0] if self.public_urls else base_url

    def strip_prefix(self, path: str) -> str:
        """Take away the path prefix of a public URL whose proxy left it on: the longest."""
        for prefix in self._prefixes:
            if path.startswith(prefix + "/"):
                return path[len(prefix) :]
        return path

    def check_origin(self, headers: Mapping[bytes, bytes], base_url: str, *, page: bool) -> None:
        """Refuse what a page of another origin sent.

        ``page`` is true for the static page and its assets. A person may follow a link
        to the page from anywhere, so there the browser's own word that this is a
        navigation outweighs where it came from; no data is in the page.

        Raises:
            Rejected: ``bad_origin``.

        """
        origin = headers.get(b"origin")
        if origin is not None and not self._is_ours(origin.decode("latin-1"), base_url):
            raise Rejected("bad_origin")
        site = headers.get(b"sec-fetch-site")
        if page and headers.get(b"sec-fetch-mode") == b"navigate":
            return
        if site == b"cross-site" and not page:
            raise Rejected("bad_origin")
        referer = headers.get(b"referer")
        if referer is not None and not self._is_ours(
            origin_of(referer.decode("latin-1")) or "", base_url
        ):
            raise Rejected("bad_origin")

    def _is_ours(self, origin: str, base_url: str) -> bool:
        return origin in self._origins or origin == origin_of(base_url)


def _authorities(url: str) -> set[str]:
    """Give the Host values that a client or a proxy sends for a base URL."""
    parts = urlsplit(url)
    authority = parse_authority(parts.netloc)
    default = DEFAULT_PORTS[parts.scheme]
    if authority is None or authority.port not in (None, default):
        return {parts.netloc}
    return {authority.name, f"{authority.name}:{default}"}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


_INSECURE: Final = (
    "this room is not served under that Host; use the URL that the host gave you, "
    "or ask the host to serve it with --url"
)
