"""What the proxy in front of a broker costs: Caddy with the Caddyfile that is shipped, and TLS.

Two rooms at one broker. The one has nothing in front: its host and its participants are at
the broker's port, as in ``tunnel``. The other's host has its link through Caddy, and so have
its participants, as it is on a server. Both are measured in turns, by the same load.
"""

import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.clients import resident_kib
from tests.bench.figures import Figure, Row, Rows, load_figures
from tests.bench.front_load import NAME
from tests.bench.processes import client, cpu_seconds, free_port, median_of, room_of, served
from tests.bench.public import LIFTED, Broker, brokered, hosted, until_public
from tests.bench.streams import streamed
from tests.end_to_end.public.caddy import Caddy, look_for_caddy

PROXY = ("--trusted-proxy", "loopback")
WAITS = 150
COMMANDS = 300
WITHOUT, WITH = "without", "through"
TWICE = "Caddy twice, there and along the link; with 32 at once the cores are full"


class Way(NamedTuple):
    """How a room is reached: ``authority`` is ``-`` where there is no TLS."""

    name: str
    slug: str
    port: int
    authority: str

    def load(self, what: str, *arguments: object) -> dict[str, float]:
        return client(self.authority, what, self.port, *arguments, module="front_load")

    def taken(self, path: str) -> tuple[float, float]:
        """Take a streamed answer; give its bytes and the seconds that it took."""
        result = self.load("stream", path)
        return result["bytes"], result["seconds"]


def measure_front(*, quick: bool) -> Rows:
    if look_for_caddy() is None:
        yield Row("through Caddy, with TLS", note="not measured: no Caddy here; CADDY=…")
        return
    with (
        TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder,
        ExitStack() as on,
    ):
        state = Path(folder)
        port = free_port()
        front = Caddy(state, port=free_port(), broker_port=port, name=NAME)
        options = (*LIFTED, *PROXY, "--public-url", front.url)
        broker = on.enter_context(brokered(state / "one", *options, port=port))
        on.callback(front.end)
        front.start()
        on.enter_context(trusting(front))
        yield from measure_rooms(front, broker, quick=quick)
        yield from measure_streams(front, broker)


@contextmanager
def trusting(front: Caddy) -> Iterator[None]:
    """Let the processes that are started meanwhile take Caddy's certificate for good."""
    before = dict(os.environ)
    os.environ.update(front.trust)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure_rooms(front: Caddy, broker: Broker, *, quick: bool) -> Rows:
    ways = (
        Way(WITHOUT, "bare", broker.port, "-"),
        Way(WITH, "fronted", front.port, str(front.authority)),
    )
    with ExitStack() as on:
        for way in ways:
            url = broker.url if way.name == WITHOUT else front.url
            home = on.enter_context(room_of(1_000))
            on.enter_context(served(home, "--tunnel", url, "--subdomain", way.slug))
            until_public(broker, way.slug)
        yield from measure_requests(ways, front, quick=quick)
        yield from measure_waits(ways, front, broker, quick=quick)


def measure_requests(ways: tuple[Way, ...], front: Caddy, *, quick: bool) -> Rows:
    seconds, turns = (1, 1) if quick else (1.5, 3)
    page = "/messages?since_id=0&limit=1"
    for connections in (1, 32):
        for name, what, path in (("`GET /messages?limit=1`", "gets", page), ("posts", "posts", "")):
            runs: dict[str, list[dict[str, float]]] = {way.name: [] for way in ways}
            used: list[float] = []
            for _ in range(turns):
                for way in ways:
                    before = cpu_seconds(front.pid)
                    result = way.load(what, connections, seconds, f"/{way.slug}{path}")
                    runs[way.name].append(result)
                    if way.name == WITH:
                        count = result["per_second"] * seconds
                        used.append(1000 * (cpu_seconds(front.pid) - before) / count)
            for way in ways:
                figures = load_figures(median_of(runs[way.name]))
                # Where others use the machine too, the best run is the one to compare.
                best = max(run["per_second"] for run in runs[way.name])
                figures.append(Figure("best", best, "/s"))
                if way.name == WITH:
                    figures.append(Figure("Caddy's CPU for each", min(used), "ms"))
                what = f"{name}, {connections} at once, {way.name} Caddy"
                yield Row(what, tuple(figures), TWICE if way.name == WITH else "")
    for way in ways:
        results = [
            way.load("commands", 50 if quick else COMMANDS, f"/{way.slug}{page}")
            for _ in range(turns)
        ]
        figure = median_of(results)
        best = min(result["p50_ms"] for result in results)
        yield Row(
            f"a GET on a connection of its own, {way.name} Caddy",
            (
                Figure("p50", figure["p50_ms"], "ms"),
                Figure("p99", figure["p99_ms"], "ms"),
                Figure("best p50", best, "ms"),
            ),
            "a TLS handshake, at both its ends" if way.name == WITH else "",
        )


def measure_waits(ways: tuple[Way, ...], front: Caddy, broker: Broker, *, quick: bool) -> Rows:
    for way in ways:
        before_kib = resident_kib(front.pid)
        result = way.load(
            *("waits", broker.metrics_port, broker.process.pid, 3 if quick else 9, WAITS, way.slug)
        )
        grown = (resident_kib(front.pid) - before_kib) / WAITS
        figures = [
            Figure("first answer", result["first_ms"], "ms"),
            Figure("last", result["last_ms"], "ms"),
            Figure("the post itself", result["post_ms"], "ms"),
            Figure("worst", result["worst_post_ms"], "ms"),
        ]
        if way.name == WITH:
            figures.append(Figure("memory of each at Caddy", grown, "KiB"))
        limit = "a TLS connection and one to the broker for each" if way.name == WITH else ""
        yield Row(f"a post to {WAITS} waits, {way.name} Caddy", tuple(figures), limit)


def measure_streams(front: Caddy, broker: Broker) -> Rows:
    """By a host that does nothing else; which legs are through Caddy is told apart."""
    for host_through, ours_through in ((False, False), (False, True), (True, True)):
        slug = f"stream-{host_through:d}{ours_through:d}"
        url = front.url if host_through else None
        way = Way("", slug, front.port, str(front.authority))
        if not ours_through:
            way = Way("", slug, broker.port, "-")
        with hosted(broker, 1, slug, url=url) as hosts:
            hosts.until_open(1)
            pids = {
                "Caddy": front.pid,
                "the broker": broker.process.pid,
                "the host": hosts.process.pid,
            }
            rates, costs = streamed(way.taken, f"{slug}-0", pids)
        legs = {
            (False, False): "neither leg",
            (False, True): "the participant",
            (True, True): "both legs",
        }
        yield Row(
            f"one streamed answer, {legs[host_through, ours_through]} through Caddy",
            (
                Figure("", statistics.median(rates), "MB/s"),
                Figure("best", max(rates), "MB/s"),
                *costs,
            ),
            "the cores of all that the answer passes",
        )
