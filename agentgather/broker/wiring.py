"""The parts of one broker, wired together, and what is noted of what they do."""

import os
import time
from functools import lru_cache, partial
from typing import Final

import trio

from agentgather.broker.access_log import AccessLog, Event, RawStream, encode_line
from agentgather.broker.app import BrokerApp
from agentgather.broker.door import Door
from agentgather.broker.durable_leases import DurableLeases
from agentgather.broker.gate import Gate
from agentgather.broker.handshakes import Handshakes
from agentgather.broker.hashes import route_hash, slug_hash
from agentgather.broker.leases import Terms
from agentgather.broker.links import Links
from agentgather.broker.metrics import Metrics
from agentgather.broker.older_hosts import OlderHosts
from agentgather.broker.quota import RequestQuota, Trust
from agentgather.broker.registration_quota import RegistrationQuota, ReturnQuota
from agentgather.broker.relay import Relay
from agentgather.broker.routes import Routes
from agentgather.broker.settings import BrokerSettings
from agentgather.broker.state import State
from agentgather.broker.visit import Tally
from agentgather.edge.clients import ClientAddresses
from agentgather.edge.origins import Served
from agentgather.edge.rates import CoarseWindow
from agentgather.wire.limits import HOSTS_BACK_PER_SECOND, UNCOUNTED_LINES_PER_WINDOW
from agentgather.wire.names import is_route_slug

SWEEP_SECONDS: Final = 5
"""Between two looks at what has expired; whoever asks for a route looks as well."""
HASHES_KEPT: Final = 256
"""Of routes in the log; a slug that somebody made up has at most ``MAX_TARGET_BYTES``."""
LAST_ANSWERS_SECONDS: Final = 2
"""What of ``BROKER_DRAIN_SECONDS`` answers have before their links end."""


class Broker:
    """One broker, without its sockets."""

    def __init__(self, settings: BrokerSettings, state: State, log: RawStream) -> None:
        self.metrics = Metrics()
        self.log = AccessLog(log, self.metrics.count_dropped)
        self._uncounted = CoarseWindow(UNCOUNTED_LINES_PER_WINDOW)
        # New at each start: what is noted today can't be put together with yesterday's.
        key = os.urandom(32)
        # A busy route's is asked for with each request.
        self._route_hash = lru_cache(HASHES_KEPT)(partial(route_hash, key))
        leases = DurableLeases(state, settings.lifetime_seconds)
        quotas = settings.quotas
        terms = Terms(
            settings.idle_seconds, settings.lifetime_seconds, per_client=quotas.routes_per_client
        )
        self.routes = Routes(
            leases, partial(slug_hash, state.key), terms=terms, known=leases.load()
        )
        self.relay = Relay(
            streams_per_route=quotas.streams_per_route, waits_per_route=quotas.waits_per_route
        )
        served = Served(
            settings.base_url,
            public_urls=settings.public_urls,
            allow_remote=settings.allow_remote,
        )
        count_refused = self.metrics.count_rate_limited

        gate = Gate(
            self.routes,
            RegistrationQuota(quotas, count_refused),
            ReturnQuota(count_refused),
            served.advertised(served.base_url),
            check_token=leases.is_token if settings.needs_token else None,
            count=self.metrics.count_registration,
            note=self._note_registration,
        )
        self.links = Links(
            gate,
            self.routes,
            Handshakes(partial(count_refused, "handshake")),
            entropy=os.urandom,
            note=self._note_link,
        )
        self.older_hosts = (
            OlderHosts(gate, self.routes, entropy=os.urandom, wall=time.time, note=self._note_link)
            if settings.has_older_hosts
            else None
        )
        trust = Trust(os.urandom(32))
        self.app = BrokerApp(
            door=Door(served, ClientAddresses(settings.trusted_proxies)),
            routes=self.routes,
            relay=self.relay,
            links=self.links,
            older_hosts=self.older_hosts,
            quota=RequestQuota(quotas, trust, count_refused),
            trust=trust,
            note=self._note_request,
        )
        self.metrics.links.set_function(lambda: len(self.links))
        self.metrics.older_hosts.set_function(lambda: len(self.older_hosts or ()))
        self.metrics.streams.set_function(lambda: self.links.streams)
        self.metrics.waits.set_function(lambda: self.relay.held)
        self.metrics.routes.set_function(lambda: len(self.routes))

    def release(self) -> None:
        """Answer everything that is held, and take nothing new."""
        self.app.is_stopping = True
        self.relay.release()
        if self.older_hosts is not None:
            self.older_hosts.release()

    async def let_hosts_go(self) -> None:
        """Tell each host when to come back, let it finish what it was asked, and go."""
        self.links.go_away(lambda number: 1000 + number * 1000 // HOSTS_BACK_PER_SECOND)
        with trio.move_on_after(LAST_ANSWERS_SECONDS):
            await self.links.wait_idle()
        self.links.end()

    async def sweep(self) -> None:
        """Expire what is due, for ever."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            await self.routes.sweep()
            if self.older_hosts is not None:
                self.older_hosts.sweep()

    def _note_request(self, tally: Tally) -> None:
        seconds = trio.current_time() - tally.started
        self.metrics.count_request(
            tally.path_class,
            tally.status,
            seconds,
            bytes_in=tally.bytes_in,
            bytes_out=tally.bytes_out,
            error=tally.error,
        )
        if not tally.is_counted and not self._uncounted.take(tally.client, trio.current_time()):
            return
        duration_ms = round(seconds * 1000)
        self.log.write(
            encode_line(
                "request",
                route_hash=self._route_hash(tally.slug) if tally.slug else None,
                method=tally.method,
                path_class=tally.path_class,
                status=tally.status,
                duration_ms=duration_ms,
                bytes_in=tally.bytes_in,
                bytes_out=tally.bytes_out,
                wait_held_ms=duration_ms if tally.is_wait else None,
                error=tally.error,
            )
        )

    def _note_link(self, event: Event, slug: str, code: str | None) -> None:
        hashed = self._route_hash(slug) if slug else None
        self.log.write(encode_line(event, route_hash=hashed, error=code))

    def _note_registration(self, slug: str, code: str | None, seconds: float | None) -> None:
        self.log.write(
            encode_line(
                "register",
                # Whoever claims what is no slug may have written anything into it.
                route_hash=self._route_hash(slug) if is_route_slug(slug) else None,
                duration_ms=None if seconds is None else round(seconds * 1000),
                error=code,
            )
        )
