"""How often hosts may be registered: new ones by the client's address, returns by the route."""

from collections.abc import Callable
from math import ceil
from typing import NoReturn

from agentgather.broker.quota import Quotas
from agentgather.broker.route import Route
from agentgather.edge.rates import CoarseWindow
from agentgather.wire.errors import Unavailable
from agentgather.wire.limits import (
    FAULT_PAUSE_SECONDS,
    NOTES_PER_REGISTRATION,
    REGISTRATION_WINDOW_SECONDS,
    RETURNS_PER_WINDOW,
)


class RegistrationQuota:
    """Claims of new slugs, and failed registrations, by client. An owner's return is free."""

    def __init__(self, quotas: Quotas, on_refused: Callable[[str], None] = lambda _: None) -> None:
        self._on_refused = on_refused
        most = quotas.registrations_per_client
        self._by_client = CoarseWindow(most, REGISTRATION_WINDOW_SECONDS)
        self._noted = CoarseWindow(NOTES_PER_REGISTRATION * most, REGISTRATION_WINDOW_SECONDS)

    def check(self, client: str, now: float) -> None:
        """Refuse a client that has had its share.

        Raises:
            Unavailable: ``rate_limited``.

        """
        seconds = self._by_client.wait_seconds(client, now)
        if seconds:
            self._on_refused("registration")
            raise Unavailable(
                "rate_limited",
                "too many registrations from this address; see Retry-After",
                retry_after=seconds,
            )

    def record(self, client: str, now: float) -> None:
        """Count a claim of a new slug, or a registration that failed."""
        self._by_client.record(client, now)

    def takes_note(self, client: str, now: float) -> bool:
        """Say whether a registration may have a line in the access log, and count the line.

        A refusal and a return cost their client nothing, so without a bound of their own
        they could fill the operator's disk.
        """
        if self._noted.wait_seconds(client, now):
            return False
        self._noted.record(client, now)
        return True


class ReturnQuota:
    """How often the owner of a route may come back, and when after a fault of its host."""

    def __init__(self, on_refused: Callable[[str], None] = lambda _: None) -> None:
        self._on_refused = on_refused
        self._by_route = CoarseWindow(RETURNS_PER_WINDOW)

    def check(self, route: Route, now: float) -> None:
        """Refuse an owner that is to stay away for now.

        Raises:
            Unavailable: ``rate_limited``.

        """
        if now < route.quiet_until:
            self._refuse("your last link was ended for a fault of yours", route.quiet_until - now)
        seconds = self._by_route.wait_seconds(route.hash, now)
        if seconds:
            self._refuse("too many links of this room in one minute", seconds)

    def record(self, route: Route, now: float) -> None:
        """Count a return."""
        self._by_route.record(route.hash, now)

    def pause(self, route: Route, now: float) -> None:
        """Keep the owner away: the broker has ended its link for the host's fault."""
        route.quiet_until = now + FAULT_PAUSE_SECONDS

    def _refuse(self, why: str, seconds: float) -> NoReturn:
        self._on_refused("return")
        raise Unavailable("rate_limited", why, retry_after=ceil(seconds))
