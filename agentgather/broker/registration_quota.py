"""How often hosts may be registered: new ones by the client's address, returns by the route."""

from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from typing import NoReturn

from agentgather.broker.quota import Quotas
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
        return self._noted.take(client, now)


class ReturnQuota:
    """How often the owner of a route may come back, and when after a fault of its host.

    It goes by the keyed hash of the slug: giving a route up and claiming it again, or letting
    it expire, starts nothing afresh.
    """

    def __init__(self, on_refused: Callable[[str], None] = lambda _: None) -> None:
        self._on_refused = on_refused
        self._by_route = CoarseWindow(RETURNS_PER_WINDOW)
        self._quiet_until: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """Count the owners that are to stay away, and have not been forgotten."""
        return len(self._quiet_until)

    def check(self, route_hash: str, now: float) -> None:
        """Refuse an owner that is to stay away for now.

        Raises:
            Unavailable: ``rate_limited``.

        """
        pause = self._quiet_until.get(route_hash, now) - now
        if pause > 0:
            self._refuse("your last link was ended for a fault of yours", pause)
        seconds = self._by_route.wait_seconds(route_hash, now)
        if seconds:
            self._refuse("too many links of this room in one minute", seconds)

    def record(self, route_hash: str, now: float) -> None:
        """Count a return."""
        self._by_route.record(route_hash, now)

    def pause(self, route_hash: str, now: float) -> None:
        """Keep the owner away: the broker has ended its link for the host's fault."""
        self._quiet_until[route_hash] = now + FAULT_PAUSE_SECONDS
        self._quiet_until.move_to_end(route_hash)
        # All pauses have one length, so the first of them ends first.
        while next(iter(self._quiet_until.values())) <= now:
            self._quiet_until.popitem(last=False)

    def _refuse(self, why: str, seconds: float) -> NoReturn:
        self._on_refused("return")
        raise Unavailable("rate_limited", why, retry_after=ceil(seconds))
