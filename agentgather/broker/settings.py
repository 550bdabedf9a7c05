"""What an operator decides about a broker."""

from dataclasses import dataclass, field

from agentgather.broker.quota import Quotas
from agentgather.edge.clients import Network
from agentgather.wire.limits import ROUTE_IDLE_SECONDS, ROUTE_LIFETIME_SECONDS


@dataclass(frozen=True, kw_only=True)
class BrokerSettings:
    """The decisions. URLs are normalised; durations are in seconds."""

    base_url: str
    """How this machine reaches it."""
    public_urls: tuple[str, ...] = ()
    """How others do; hosts are told the first one, or ``base_url``."""
    trusted_proxies: tuple[Network, ...] = ()
    needs_token: bool = False
    """Whether a host needs a registration token."""
    has_older_hosts: bool = True
    """Whether hosts of versions 0.1.0 to 0.2.5 may attach."""
    allow_remote: bool = False
    """Whether it may be asked at any address of this machine, in plain HTTP."""
    idle_seconds: float = ROUTE_IDLE_SECONDS
    lifetime_seconds: float = ROUTE_LIFETIME_SECONDS
    quotas: Quotas = field(default_factory=Quotas)
