"""Brokers, hosts and rooms behind them, as processes.

A broker's limits are lifted by ``LIFTED``, where it is told so. Its access log goes to a file.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.clients import connect, get_request, is_whole
from tests.bench.processes import (
    AGENTGATHER,
    ROOT,
    end,
    environment_of,
    free_port,
    served,
    until_answered,
)

LIFTED: Final = (
    *("--client-requests", "100000000", "--route-requests", "100000000"),
    *("--routes-per-client", "10000", "--registrations-per-client", "100000000"),
)
PATIENCE_SECONDS: Final = 60


class Broker(NamedTuple):
    port: int
    metrics_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def brokered(state: Path, *options: str, port: int = 0, metrics_port: int = 0) -> Iterator[Broker]:
    port, metrics_port = port or free_port(), metrics_port or free_port()
    command = [
        *(*AGENTGATHER, "broker", "serve", "--port", str(port)),
        *("--metrics-port", str(metrics_port), "--state-dir", str(state)),
    ]
    with state.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options],
            env=environment_of(state),
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.DEVNULL,
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
        cwd=ROOT,
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    try:
        yield LightHosts(process)
    finally:
        end(process)
        assert process.stdout is not None
        process.stdout.close()


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
            connection.sendall(get_request(port, path, 1))
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
