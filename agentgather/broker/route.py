"""One slug, its owner, and what becomes of it."""

from enum import Enum
from typing import Final

import trio

from agentgather.broker.bodies import BodyBudget
from agentgather.broker.hosts import Host
from agentgather.link.allowance import Allowance

REMEMBERED_SECONDS: Final = 3600
"""How long a route that is over is told from one that never was."""


class Status(Enum):
    """What has become of a route."""

    ACTIVE = "active"
    EXPIRED = "expired"
    CLOSED = "closed"


class Route:
    """One slug and its owner. ``idle_since`` is None while its host is there.

    ``requests`` and ``waits`` are what is in progress at this moment, ``strangers`` those of
    the requests that are strangers', ``bodies`` what of them is on its way to the host. What
    its hosts may send without reason is one ``allowance``, on however many links one after
    the other. ``claims`` are on their way to the disk; once ``is_kept`` the lease is there.
    """

    __slots__ = (
        *("allowance", "bodies", "claims", "client", "created", "hash", "host", "idle_since"),
        *("is_kept", "over_since", "owner", "requests", "slug", "status", "strangers", "waits"),
    )

    def __init__(
        self, slug: str, owner: bytes, client: str, slug_hash: str, created: float
    ) -> None:
        self.slug = slug
        self.owner = owner
        self.client = client
        self.hash = slug_hash
        self.created = created
        self.idle_since: float | None = trio.current_time()
        self.over_since = 0.0
        self.status = Status.ACTIVE
        self.host: Host | None = None
        self.is_kept = False
        self.bodies = BodyBudget()
        self.allowance = Allowance(trio.current_time())
        self.claims = self.requests = self.waits = self.strangers = 0
