"""How an older host names its route, and what it is told of it. Pure but for the clock.

route_id            rte_<slug>: found again by a broker that has forgotten all routes
host_connection_id  conn_<48 hex digits>: the secret; the broker keeps its hash
"""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import trio

from agentgather.broker.leases import Terms
from agentgather.broker.route import Route
from agentgather.wire.errors import Rejected
from agentgather.wire.older import Credentials, OlderRoute

SECRET_BYTES: Final = 24
_PREFIX: Final = "rte_"


def new_credentials(slug: str, entropy: Callable[[int], bytes]) -> Credentials:
    """Give a new host of a slug its names."""
    return Credentials(_PREFIX + slug, f"conn_{entropy(SECRET_BYTES).hex()}")


def owner_of(credentials: Credentials) -> bytes:
    """Give the owner that a secret stands for, which is never that of a host with a link."""
    secret = credentials.host_connection_id.encode()
    return sha256(b"agentgather older host\0" + secret).digest()


def slug_of(credentials: Credentials) -> str:
    """Give the slug of a route.

    Raises:
        Rejected: ``route_not_found``: no broker of ours has named it.

    """
    if not credentials.route_id.startswith(_PREFIX):
        raise Rejected("route_not_found")
    return credentials.route_id.removeprefix(_PREFIX)


def describe(route: Route, credentials: Credentials, terms: Terms, wall: float) -> OlderRoute:
    """Tell a host of its route. ``wall`` is the wall clock in seconds."""
    now = trio.current_time()
    expires = min(now + terms.idle_seconds, route.created + terms.lifetime_seconds)
    seen = _iso(wall)
    return OlderRoute(
        route_slug=route.slug,
        route_id=credentials.route_id,
        host_connection_id=credentials.host_connection_id,
        created_at=_iso(wall + route.created - now),
        last_seen_at=seen,
        last_heartbeat_at=seen,
        expires_at=_iso(wall + expires - now),
    )


def _iso(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return when.replace("+00:00", "Z")
