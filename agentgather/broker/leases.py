"""Leases of slugs: their terms, where they are kept, and those of the time before this start."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import trio

from agentgather.wire.limits import (
    MAX_ROUTES,
    ROUTE_IDLE_SECONDS,
    ROUTE_LIFETIME_SECONDS,
    ROUTES_PER_CLIENT,
)


class Terms(NamedTuple):
    """How long routes live, in seconds, and how many there may be."""

    idle_seconds: float = ROUTE_IDLE_SECONDS
    lifetime_seconds: float = ROUTE_LIFETIME_SECONDS
    per_client: int = ROUTES_PER_CLIENT
    in_all: int = MAX_ROUTES


DEFAULT_TERMS: Final = Terms()


class Lease(NamedTuple):
    """Whose a slug is, and since when on Trio's clock, which may be before this start."""

    owner: bytes
    created: float


class LeaseStore(Protocol):
    """What makes leases durable, by keyed hashes of slugs."""

    async def keep(self, slug_hash: str, owner: bytes) -> None:
        """Make a new lease durable. Raises Unavailable where it could not be."""

    async def drop(self, slug_hash: str) -> None:
        """Forget a lease. That it comes back after a crash hurts nobody for long."""


class KnownLeases:
    """Leases by the keyed hashes of their slugs: the slugs themselves are on no disk.

    A host is given the idle time from this start to come back, however long the broker was
    down, but not more than the rest of its route's life.
    """

    def __init__(self, leases: Mapping[str, Lease], terms: Terms) -> None:
        self._leases = dict(leases)
        self._terms = terms
        self._started = trio.current_time()

    def __len__(self) -> int:
        """Count them."""
        return len(self._leases)

    def get(self, slug_hash: str) -> Lease | None:
        """Give a lease that has not ended."""
        lease = self._leases.get(slug_hash)
        if lease is None:
            return None
        now = trio.current_time()
        is_idle = now - self._started >= self._terms.idle_seconds
        return None if is_idle or now - lease.created >= self._terms.lifetime_seconds else lease

    def remove(self, slug_hash: str) -> None:
        """Forget one, if it is there: its host has come back."""
        self._leases.pop(slug_hash, None)

    def remove_ended(self) -> set[str]:
        """Forget those that have ended, and give their hashes."""
        ended = {slug_hash for slug_hash in self._leases if self.get(slug_hash) is None}
        for slug_hash in ended:
            del self._leases[slug_hash]
        return ended
