"""Which slug is whose, and where its host is. Every decision is synchronous.

    claim --> active <-- attach, detach --> active, its host away
    active --idle or at the end of its life--> expired     the slug is free
           --on the owner's word-------------> closed      it is free after the idle time

A slug belongs to the owner who claimed it first, until its lease ends: ``idle_seconds``
after its host was last there, and at most ``lifetime_seconds`` after the claim. The lease
is on the disk before the host is told of it, so that a restart gives no slug away. Times
are Trio's: a wall clock that is set frees nothing and expires nothing.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import trio

from agentgather.broker.answering import AWAY_RETRY_SECONDS
from agentgather.broker.hosts import Host
from agentgather.broker.leases import DEFAULT_TERMS, KnownLeases, Lease, LeaseStore, Terms
from agentgather.broker.route import REMEMBERED_SECONDS, Route, Status
from agentgather.broker.slugs import check_slug
from agentgather.edge.counts import Counts
from agentgather.wire.errors import Rejected, Unavailable


class Routes:
    """All routes of a broker.

    ``hash_of`` is a keyed hash; ``known`` are the leases of the time before this start, by it.
    """

    def __init__(
        self,
        store: LeaseStore,
        hash_of: Callable[[str], str],
        *,
        terms: Terms = DEFAULT_TERMS,
        known: Mapping[str, Lease] = MappingProxyType({}),
    ) -> None:
        self.terms: Final = terms
        self._store = store
        self.hash_of: Final = hash_of
        self._known = KnownLeases(known, terms)
        self._by_slug: dict[str, Route] = {}
        self._over: OrderedDict[str, Route] = OrderedDict()
        self._by_client = Counts()
        self._dropped: set[str] = set()

    def __len__(self) -> int:
        """Count the active routes."""
        return len(self._by_slug) - len(self._over)

    def find(self, slug: str) -> Route:
        """Give an active route.

        Raises:
            Rejected: ``route_not_found``, ``route_expired``, ``route_closed``.
            Unavailable: ``host_unavailable``: its host has not come back since the start.

        """
        route = self._by_slug.get(slug)
        if route is None:
            if self._known.get(self.hash_of(slug)) is None:
                raise Rejected("route_not_found")
            raise Unavailable("host_unavailable", retry_after=AWAY_RETRY_SECONDS)
        self._settle(route)
        if route.status is Status.ACTIVE:
            return route
        raise Rejected("route_expired" if route.status is Status.EXPIRED else "route_closed")

    def is_owner(self, slug: str, owner: bytes) -> bool:
        """Say whether a slug is leased to this owner, who then claims nothing new."""
        lease = self._lease(slug)
        return lease is not None and hmac.compare_digest(lease.owner, owner)

    async def claim(self, slug: str, owner: bytes, client: str) -> Route:
        """Give a slug to its owner, durably. A claim that is cancelled is none.

        Raises:
            Rejected: ``invalid_registration``, ``route_slug_taken``, ``rate_limited``.
            Unavailable: ``overloaded``, or the disk failed.

        """
        check_slug(slug)
        lease = self._lease(slug)
        if lease is not None and not hmac.compare_digest(lease.owner, owner):
            raise Rejected("route_slug_taken")
        route = self._by_slug.get(slug)
        if route is None or route.status is not Status.ACTIVE:
            route = self._begin(slug, owner, client, lease)
        # It may have moved, as laptops do: it counts where it is now.
        self._by_client.take(route.client)
        self._by_client.add(client)
        route.client = client
        if not route.is_kept:
            route.claims += 1
            try:
                await self._store.keep(route.hash, owner)
                route.is_kept = True
            finally:
                route.claims -= 1
                # Also where it was cancelled: what is on no disk is nobody's.
                if not (route.is_kept or route.claims) and route.status is Status.ACTIVE:
                    self._finish(route, Status.EXPIRED)
        return route

    def attach(self, route: Route, host: Host) -> None:
        """Make a host the one that answers; the one before is over."""
        if route.status is not Status.ACTIVE:
            host.end("route_expired")  # while its registration was on its way
            return
        before, route.host, route.idle_since = route.host, host, None
        if before is not None:
            before.end("superseded")

    def detach(self, route: Route, host: Host) -> None:
        """Note that a host is gone, if it is still the one that answers."""
        if route.host is host:
            route.host = None
            route.idle_since = trio.current_time()

    def close(self, route: Route) -> None:
        """Give a route up, on its owner's word. It stays the owner's for the idle time."""
        if route.status is Status.ACTIVE:
            self._finish(route, Status.CLOSED)

    async def sweep(self) -> None:
        """Expire what is due, and forget what has been over for long enough."""
        now = trio.current_time()
        for route in list(self._by_slug.values()):
            self._settle(route)
        while self._over:
            slug, route = next(iter(self._over.items()))
            if now - route.over_since <= REMEMBERED_SECONDS:
                break
            self._forget(slug)
        dropped, self._dropped = self._dropped | self._known.remove_ended(), set()
        for slug_hash in dropped:
            await self._store.drop(slug_hash)

    # --- Leases --------------------------------------------------------------------
    def _lease(self, slug: str) -> Lease | None:
        """Give whose a slug is, and since when."""
        route = self._by_slug.get(slug)
        if route is None:
            return self._known.get(self.hash_of(slug))
        self._settle(route)
        if route.status is Status.EXPIRED:
            return None
        return Lease(route.owner, route.created)

    def _begin(self, slug: str, owner: bytes, client: str, lease: Lease | None) -> Route:
        if lease is None and self._by_client.of(client) >= self.terms.per_client:
            raise Unavailable("rate_limited", "too many rooms of one address", retry_after=60)
        if len(self._by_slug) + len(self._known) >= self.terms.in_all and slug not in self._over:
            if not self._over:
                raise Unavailable("overloaded", retry_after=60)
            self._forget(next(iter(self._over)))
        since = trio.current_time() if lease is None else lease.created
        route = Route(slug, owner, client, self.hash_of(slug), since)
        route.is_kept = lease is not None
        self._known.remove(route.hash)
        self._over.pop(slug, None)
        self._dropped.discard(route.hash)
        self._by_slug[slug] = route
        self._by_client.add(client)
        return route

    def _settle(self, route: Route) -> None:
        """Expire a route that is due."""
        now = trio.current_time()
        idle = self.terms.idle_seconds
        if route.status is Status.ACTIVE:
            is_idle = route.idle_since is not None and now - route.idle_since >= idle
            if is_idle or now - route.created >= self.terms.lifetime_seconds:
                self._finish(route, Status.EXPIRED)
        elif route.status is Status.CLOSED and now - route.over_since >= idle:
            route.status = Status.EXPIRED
            self._dropped.add(route.hash)

    def _finish(self, route: Route, status: Status) -> None:
        route.status = status
        route.over_since = trio.current_time()
        self._over[route.slug] = route
        self._by_client.take(route.client)
        if status is Status.EXPIRED:
            self._dropped.add(route.hash)
        if route.host is not None:
            host, route.host = route.host, None
            host.end("route_expired" if status is Status.EXPIRED else "route_closed")

    def _forget(self, slug: str) -> None:
        route = self._over.pop(slug)
        del self._by_slug[slug]
        if route.status is Status.CLOSED:
            self._dropped.add(route.hash)
