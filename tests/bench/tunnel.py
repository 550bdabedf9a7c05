"""The public way: a broker, rooms that are public through it, and everything as a process.

Direct and public figures are of the same room server, taken in turns. The broker's limits
are lifted by its flags, but for the flood.
"""

import statistics
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.clients import connect, download
from tests.bench.figures import Figure, Row, Rows, load_figures
from tests.bench.processes import client, cpu_seconds, median_of, room_of
from tests.bench.public import LIFTED, Broker, brokered, hosted, room_served, until_public
from tests.bench.streams import streamed

SLUG: Final = "bench"
WAITS: Final = 150
ROUTES: Final = 10
WAITS_PER_ROUTE: Final = 100


def measure_public_way(*, quick: bool) -> Rows:
    with (
        TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder,
        brokered(Path(folder) / "one", *LIFTED) as broker,
    ):
        yield from measure_requests(broker, quick=quick)
        yield from measure_waits_of_rooms(broker, quick=quick)
        yield from measure_streams(broker)


def measure_requests(broker: Broker, *, quick: bool) -> Rows:
    seconds = 1 if quick else 2
    with room_of(1_000) as home, room_served(broker, home, SLUG) as (port, server, _):
        until_public(broker, SLUG)
        for connections in (1, 32):
            for name, what, path in (
                ("`GET /messages?limit=1`", "gets", "/messages?since_id=0&limit=1"),
                ("posts", "posts", ""),
            ):
                direct, public = [], []
                for _ in range(1 if quick else 3):
                    load = what, port, connections, seconds, path
                    direct.append(client(*load, server=server.pid))
                    before = cpu_seconds(server.pid)
                    load = what, broker.port, connections, seconds, f"/{SLUG}{path}"
                    public.append(client(*load, server=broker.process.pid))
                    taken = cpu_seconds(server.pid) - before
                    public[-1]["room_cpu_us"] = 1e6 * taken / public[-1]["count"]
                yield from compared(name, connections, median_of(direct), median_of(public))
        result = client(
            *("waits", broker.port, broker.metrics_port, broker.process.pid),
            *(3 if quick else 9, WAITS, SLUG),
            module="public_load",
        )
        yield waits_row(
            f"a post to {WAITS} waits held through one link", result, last_ms=250, post_ms=50
        )
        yield from measure_returns(broker, home, server)


def measure_returns(broker: Broker, home: Path, server: subprocess.Popen[bytes]) -> Rows:
    server.kill()
    server.wait()
    start = time.perf_counter()
    with room_served(broker, home, SLUG):
        seconds = until_public(broker, SLUG) - start
    yield Row(
        "a room's server killed and started again is public",
        (Figure("after", seconds, "s", 5),),
        "the start of the process",
    )


def compared(
    name: str, connections: int, direct: dict[str, float], public: dict[str, float]
) -> Rows:
    yield Row(f"{name}, {connections} at once, direct", tuple(load_figures(direct)))
    wanted = 1_000 if name == "posts" and connections > 1 else None
    figures = load_figures(public, wanted)
    figures.append(Figure("and of the room", public["room_cpu_us"], "µs"))
    if connections == 1:
        more = public["p50_ms"] - direct["p50_ms"]
        figures.append(Figure("more at p50", more, "ms", 2))
    limit = (
        "the way through two processes more, one frame each way"
        if connections == 1
        else "the broker's core"
    )
    yield Row(f"{name}, {connections} at once, public", tuple(figures), limit)


def waits_row(
    what: str, result: dict[str, float], *, last_ms: float | None, post_ms: float | None
) -> Row:
    """``last_ms`` and ``post_ms`` are what is wanted of the last answer and of the posts."""
    return Row(
        what,
        (
            Figure("first answer", result["first_ms"], "ms"),
            Figure("last", result["last_ms"], "ms", last_ms),
            Figure("the post itself", result["post_ms"], "ms", post_ms),
            Figure("worst", result["worst_post_ms"], "ms"),
            Figure("all held after", result["open_s"], "s"),
            Figure("memory of each at the broker", result["kib_per_wait"], "KiB", 32),
        ),
        "the broker, 0.2 ms for each answer; of the memory, the connection and its task",
    )


def measure_waits_of_rooms(broker: Broker, *, quick: bool) -> Rows:
    slugs = [f"room-{number}" for number in range(ROUTES)]
    with ExitStack() as stack:
        for slug in slugs:
            home = stack.enter_context(room_of(10))
            stack.enter_context(room_served(broker, home, slug))
        for slug in slugs:
            until_public(broker, slug)
        result = client(
            *("waits", broker.port, broker.metrics_port, broker.process.pid),
            *(2 if quick else 5, WAITS_PER_ROUTE, *slugs),
            module="public_load",
        )
    what = f"{ROUTES} posts to {ROUTES * WAITS_PER_ROUTE:,} waits, {ROUTES} links"
    yield waits_row(what, result, last_ms=None, post_ms=None)


def measure_streams(broker: Broker) -> Rows:
    with hosted(broker, 1, "stream") as hosts:
        hosts.until_open(1)
        pids = {"the broker": broker.process.pid, "the host": hosts.process.pid}

        def take(path: str) -> tuple[float, float]:
            with connect(broker.port) as connection:
                return download(connection, path)

        rates, costs = streamed(take, "stream-0", pids)
        yield Row(
            "one answer streamed by a host that does nothing else",
            (
                Figure("", statistics.median(rates), "MB/s", 100),
                *costs,
            ),
            "both ends' cores: WebSocket masks, copies",
        )
    with room_of(200_000) as home, room_served(broker, home, "large") as (port, _, _):
        until_public(broker, "large")
        for where, at, prefix in (("direct", port, ""), ("public", broker.port, "/large")):
            with connect(at) as connection:
                size, seconds = download(connection, f"{prefix}/export?format=json")
            yield Row(
                f"`/export` of 200,000 messages, {where}",
                (Figure("", size / seconds / 1e6, "MB/s"), Figure("all", size / 1e6, "MB")),
                "the room's core, which makes the pages" + " and masks them" * bool(prefix),
            )
