"""The public way: a broker, rooms that are public through it, and everything as a process.

Direct and public figures are of the same room server, taken in turns. The broker's limits
are lifted by its flags, but for the flood. Its access log goes to a file.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.bench.clients import connect, download, get_request, is_whole, resident_kib
from tests.bench.processes import (
    AGENTGATHER,
    REPOSITORY,
    client,
    end,
    free_port,
    median_of,
    room_of,
    served,
    until_answered,
)

Figures = Iterator[tuple[str, str]]

LIFTED = [
    *("--client-requests", "100000000", "--route-requests", "100000000"),
    *("--routes-per-client", "10000", "--registrations-per-client", "100000000"),
]
SLUG = "bench"
WAITS = 150
ROUTES = 10
WAITS_PER_ROUTE = 100
HOSTS = 500
FLOOD = 100_000
STREAM_MIB = 200
PATIENCE_SECONDS = 60


class Broker(NamedTuple):
    port: int
    metrics_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def measure_public_way(*, quick: bool) -> Figures:
    with TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        state = Path(folder)
        with brokered(state / "one", *LIFTED) as broker:
            yield from measure_requests(broker, quick=quick)
            yield from measure_waits_of_rooms(broker, quick=quick)
            yield from measure_streams(broker)
        yield from measure_many_hosts(state / "many", quick=quick)
        yield from measure_flood(state / "flood", quick=quick)


# --- Processes ------------------------------------------------------------------------


@contextmanager
def brokered(state: Path, *options: str, port: int = 0, metrics_port: int = 0) -> Iterator[Broker]:
    port, metrics_port = port or free_port(), metrics_port or free_port()
    command = [
        *(*AGENTGATHER, "broker", "serve", "--port", str(port)),
        *("--metrics-port", str(metrics_port), "--state-dir", str(state)),
    ]
    with state.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options], cwd=REPOSITORY, stdout=log, stderr=subprocess.DEVNULL
        )
    try:
        until_answered(port, process)
        yield Broker(port, metrics_port, process)
    finally:
        end(process)


@contextmanager
def hosted(
    broker: Broker, count: int, name: str, *, url: str | None = None
) -> Iterator["LightHosts"]:
    """Run so many hosts; ``url`` is the broker's, where that is not its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hosts", url or str(broker.port), str(count), name],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        yield LightHosts(process)
    finally:
        end(process)


class LightHosts(NamedTuple):
    process: subprocess.Popen[bytes]

    def until_open(self, count: int) -> float:
        """Return when so many links are open, with the time of the change that made it so."""
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, b""):
            change = json.loads(line)
            if change["open"] == count:
                return float(change["at"])
        raise SystemExit("the hosts ended")


def room_served(
    broker: Broker, home: Path, slug: str
) -> AbstractContextManager[tuple[int, subprocess.Popen[bytes], float]]:
    return served(home, "--tunnel", broker.url, "--subdomain", slug)


def ask(port: int, path: str) -> bytes:
    """Give a whole answer, or what came of one; b"" where nobody listens."""
    data = b""
    try:
        with connect(port) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.sendall(get_request(path, 1))
            while not is_whole(data):
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                data += piece
    except (ConnectionError, TimeoutError):
        pass
    return data


def until(is_so: Callable[[], bool], pause: float = 0.005) -> float:
    """Return when it is so, and say when that was."""
    give_up = time.perf_counter() + PATIENCE_SECONDS
    while not is_so():
        if time.perf_counter() > give_up:
            raise SystemExit("it takes too long")
        time.sleep(pause)
    return time.perf_counter()


def until_public(broker: Broker, slug: str) -> float:
    return until(lambda: ask(broker.port, f"/{slug}/messages?limit=1").startswith(b"HTTP/1.1 200"))


def is_connected(broker: Broker, slug: str) -> bool:
    return b'"host_connected":true' in ask(broker.port, f"/{slug}")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- One room -------------------------------------------------------------------------


def measure_requests(broker: Broker, *, quick: bool) -> Figures:
    seconds = 1 if quick else 2
    with room_of(1_000) as home, room_served(broker, home, SLUG) as (port, server, _):
        until_public(broker, SLUG)
        for connections in (1, 32):
            for name, what, path in (
                ("GET /messages?limit=1", "gets", "/messages?since_id=0&limit=1"),
                ("POST /messages", "posts", ""),
            ):
                direct, public = [], []
                for _ in range(1 if quick else 3):
                    direct.append(client(what, port, connections, seconds, path))
                    public.append(client(what, broker.port, connections, seconds, f"/{SLUG}{path}"))
                for where, runs in (("direct", direct), ("public", public)):
                    result = median_of(runs)
                    yield (
                        f"{name}, {connections} connections, {where}",
                        f"{result['per_second']:,.0f}/s, p50 {result['p50_ms']:.2f} ms, "
                        f"p99 {result['p99_ms']:.1f} ms",
                    )
        result = client(
            *("waits", broker.port, broker.metrics_port, broker.process.pid),
            *(3 if quick else 9, WAITS, SLUG),
            module="public_load",
        )
        yield f"post to {WAITS} waits held through one link", waits_figure(result)
        yield from measure_returns(broker, home, server)


def measure_returns(broker: Broker, home: Path, server: subprocess.Popen[bytes]) -> Figures:
    server.kill()
    server.wait()
    start = time.perf_counter()
    with room_served(broker, home, SLUG):
        seconds = until_public(broker, SLUG) - start
    yield "a room server killed, and started again", f"public again after {seconds:.2f} s"


def waits_figure(result: dict[str, float]) -> str:
    return (
        f"opened in {result['open_s']:.2f} s, first {result['first_ms']:.0f} ms, "
        f"last {result['last_ms']:.0f} ms, the post itself {result['post_ms']:.1f} ms (worst "
        f"{result['worst_post_ms']:.0f} ms), {result['kib_per_wait']:.1f} KiB each at the broker"
    )


# --- Several rooms --------------------------------------------------------------------


def measure_waits_of_rooms(broker: Broker, *, quick: bool) -> Figures:
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
    yield (
        f"{ROUTES} posts to {ROUTES * WAITS_PER_ROUTE:,} waits, {ROUTES} links",
        waits_figure(result),
    )


# --- Streams --------------------------------------------------------------------------


def measure_streams(broker: Broker) -> Figures:
    with hosted(broker, 1, "stream") as hosts:
        hosts.until_open(1)
        rates = []
        for _ in range(3):
            hosts_cpu, broker_cpu = cpu_seconds(hosts.process.pid), cpu_seconds(broker.process.pid)
            with connect(broker.port) as connection:
                size, seconds = download(connection, f"/stream-0/stream?{STREAM_MIB}")
            assert size > STREAM_MIB << 20, "the stream broke off"
            rates.append(size / seconds / 1e6)
            hosts_cpu = cpu_seconds(hosts.process.pid) - hosts_cpu
            broker_cpu = cpu_seconds(broker.process.pid) - broker_cpu
        yield (
            "one answer streamed by a host that does nothing else",
            f"{statistics.median(rates):.0f} MB/s; of a core, the broker "
            f"{broker_cpu / seconds:.0%}, the host {hosts_cpu / seconds:.0%}",
        )
    with room_of(200_000) as home, room_served(broker, home, "large") as (port, _, _):
        until_public(broker, "large")
        for where, at, prefix in (("direct", port, ""), ("public", broker.port, "/large")):
            with connect(at) as connection:
                size, seconds = download(connection, f"{prefix}/export?format=json")
            yield (
                f"/export of 200,000 messages, {where}",
                f"{size / 1e6:.0f} MB in {seconds:.2f} s, {size / seconds / 1e6:.0f} MB/s",
            )


# --- Many hosts -----------------------------------------------------------------------


def measure_many_hosts(state: Path, *, quick: bool) -> Figures:
    with ExitStack() as stack:
        broker = stack.enter_context(brokered(state, *LIFTED))
        pid = broker.process.pid
        before_kib = resident_kib(pid)
        start = time.perf_counter()
        hosts = stack.enter_context(hosted(broker, HOSTS, "idle"))
        seconds = hosts.until_open(HOSTS) - start
        kib = (resident_kib(pid) - before_kib) / HOSTS
        yield f"{HOSTS} hosts claim a name each", f"{seconds:.1f} s, {kib:.0f} KiB each"
        other = stack.enter_context(hosted(broker, 1, "stopped"))
        other.until_open(1)
        other.process.send_signal(signal.SIGSTOP)
        stopped = time.perf_counter()
        idle_seconds = 10 if quick else 20
        before = cpu_seconds(pid)
        time.sleep(idle_seconds)
        share = (cpu_seconds(pid) - before) / idle_seconds
        yield f"{HOSTS} idle links", f"{share:.1%} of a core at the broker"
        gone = until(lambda: not is_connected(broker, "stopped-0"), pause=0.1)
        yield "a host that stopped is known to be gone", f"after {gone - stopped:.1f} s"
        for how, end_it in (
            ("was killed", subprocess.Popen.kill),
            ("was restarted in order", subprocess.Popen.terminate),
        ):
            start = time.perf_counter()
            end_it(broker.process)
            broker.process.wait()
            again = brokered(state, *LIFTED, port=broker.port, metrics_port=broker.metrics_port)
            broker = stack.enter_context(again)
            up = time.perf_counter()
            # What the hosts have said up to now begins with their losses.
            hosts.until_open(0)
            back = hosts.until_open(HOSTS)
            yield (
                f"{HOSTS} hosts after the broker {how}",
                f"it listened after {up - start:.2f} s, all were back after {back - start:.1f} s",
            )


# --- A flood --------------------------------------------------------------------------


def measure_flood(state: Path, *, quick: bool) -> Figures:
    """With the limits that a broker has by default."""
    count = FLOOD // 10 if quick else FLOOD
    with ExitStack() as stack:
        broker = stack.enter_context(brokered(state, "--trusted-proxy", "loopback"))
        stack.enter_context(hosted(broker, 1, "flood")).until_open(1)
        result = client(
            *("flood", broker.port, broker.process.pid, count, "flood-0"), module="public_load"
        )
    yield (
        f"a flood of {count:,} addresses, slugs and tokens",
        f"{result['per_second']:,.0f}/s, + {result['mib']:.1f} MiB at the broker",
    )
