"""How often somebody may ask a broker, counted by what nobody can choose.

That is the client's address, as long as no host has said 2xx to the credential that the
client shows; a credential is what anybody can make up. Then it is the route, which is the
host's. A client that makes up credentials or slugs uses up its own address's share.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from agentgather.edge.rates import CoarseWindow
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    CLIENT_REQUESTS_PER_WINDOW,
    MAX_STREAMS,
    MAX_TRUSTED,
    MAX_WAITS_PER_ROUTE,
    REGISTRATIONS_PER_HOUR,
    ROUTE_REQUESTS_PER_WINDOW,
    ROUTES_PER_CLIENT,
    TRUST_SECONDS,
)

# What a host says of a credential that it does not take, or no longer.
_REFUSING: Final = frozenset({401, 403, 410})
_TAG_BYTES: Final = 16


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """The limits that an operator may change. A client is an address, or an IPv6 /64."""

    client_requests: int = CLIENT_REQUESTS_PER_WINDOW
    """A minute, of a client whose credential no host has accepted."""
    route_requests: int = ROUTE_REQUESTS_PER_WINDOW
    """A minute, to one route. Strangers have half of them."""
    routes_per_client: int = ROUTES_PER_CLIENT
    registrations_per_client: int = REGISTRATIONS_PER_HOUR
    """An hour: claims of new slugs, and failed ones."""
    streams_per_route: int = MAX_STREAMS
    waits_per_route: int = MAX_WAITS_PER_ROUTE


class Trust:
    """What hosts have answered with 2xx: credentials, each at one route.

    And, for the page that a participant's browser loads without a credential, the clients
    that showed them, also each at one route. What is unused for ``TRUST_SECONDS``, and
    beyond ``MAX_TRUSTED`` what was unused the longest, is forgotten. It keeps no
    credential: ``key`` makes its tags, and is this process's own.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used_at: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        """Count what is trusted."""
        return len(self._used_at)

    def has_credential(self, route: str, credential: bytes, now: float) -> bool:
        """Say whether the route's host has accepted the credential, and has not refused it."""
        return self._use(self._tag(b"credential", route, credential), now)

    def has_client(self, route: str, client: str, now: float) -> bool:
        """Say whether the route's host has accepted a credential of the client."""
        return self._use(self._tag(b"client", route, client.encode()), now)

    def note(
        self, route: str, client: str, credential: bytes | None, status: int, now: float
    ) -> None:
        """Learn from a host's answer to a request with a credential."""
        if credential is None:
            return
        tag = self._tag(b"credential", route, credential)
        if 200 <= status <= 299:
            self._put(tag, now)
            self._put(self._tag(b"client", route, client.encode()), now)
        elif status in _REFUSING:
            self._used_at.pop(tag, None)

    def _use(self, tag: bytes, now: float) -> bool:
        used_at = self._used_at.get(tag)
        if used_at is None:
            return False
        if now - used_at >= TRUST_SECONDS:
            del self._used_at[tag]
            return False
        self._put(tag, now)
        return True

    def _put(self, tag: bytes, now: float) -> None:
        self._used_at[tag] = now
        self._used_at.move_to_end(tag)
        # The first was unused the longest. One for each use keeps up with what is new.
        oldest = next(iter(self._used_at.values()))
        if now - oldest >= TRUST_SECONDS or len(self._used_at) > MAX_TRUSTED:
            self._used_at.popitem(last=False)

    def _tag(self, kind: bytes, route: str, subject: bytes) -> bytes:
        text = b"\0".join((kind, route.encode(), subject))
        return blake2b(text, key=self._key, digest_size=_TAG_BYTES).digest()


class RequestQuota:
    """Requests by client and by route."""

    def __init__(
        self, quotas: Quotas, trust: Trust, on_refused: Callable[[str], None] = lambda _: None
    ) -> None:
        self._trust = trust
        self._on_refused = on_refused
        self._by_client = CoarseWindow(quotas.client_requests)
        self._by_route = CoarseWindow(quotas.route_requests)
        self._of_strangers = CoarseWindow(max(1, quotas.route_requests // 2))

    def admit(
        self,
        client: str,
        route: str | None,
        credential: bytes | None,
        now: float,
        *,
        is_page: bool = False,
    ) -> bool:
        """Count a request, or refuse it, which is not counted. False: it is a stranger's.

        ``route`` is None where there is none of that slug, and for what the broker answers
        itself. ``is_page`` is true for the page and its assets.

        Strangers, in all, cannot use up a route: its participants have the other half.

        Raises:
            Unavailable: ``rate_limited``.

        """
        if route is None:
            self._check(self._by_client, client, now, "client")
            self._by_client.record(client, now)
            return False
        is_trusted = self._is_trusted(client, route, credential, now, is_page=is_page)
        if is_trusted:
            self._check(self._by_route, route, now, "route")
        else:
            self._check(self._by_client, client, now, "client")
            self._check(self._of_strangers, route, now, "strangers")
            self._check(self._by_route, route, now, "route")
            self._by_client.record(client, now)
            self._of_strangers.record(route, now)
        self._by_route.record(route, now)
        return is_trusted

    def _is_trusted(
        self, client: str, route: str, credential: bytes | None, now: float, *, is_page: bool
    ) -> bool:
        if is_page:
            # A header that nobody has looked at says nothing here.
            return self._trust.has_client(route, client, now)
        return credential is not None and self._trust.has_credential(route, credential, now)

    def _check(self, window: CoarseWindow, key: str, now: float, kind: str) -> None:
        seconds = window.wait_seconds(key, now)
        if seconds:
            self._on_refused(kind)
            raise Unavailable("rate_limited", retry_after=seconds)
