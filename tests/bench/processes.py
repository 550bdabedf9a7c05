"""Rooms to measure on, servers of them as processes, and the load on them."""

import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.clients import connect, get_request
from tests.bench.seeds import seed_home

REPOSITORY = Path(__file__).resolve().parents[2]
ROOT = Path(os.environ.get("AGENTGATHER_BENCH_ROOT", REPOSITORY))
"""The folder whose ``agentgather`` is measured; ``compare`` names others."""
AGENTGATHER = [sys.executable, "-m", "agentgather"]
SCRIPT = [str(Path(sys.executable).with_name("agentgather"))]
"""The command as users have it: a little quicker than ``-m``."""


def environment_of(home: Path) -> dict[str, str]:
    """Give what a process of the measured program needs, whatever is installed."""
    return {**os.environ, "AGENTGATHER_HOME": str(home), "PYTHONPATH": str(ROOT)}


def cpu_seconds(pid: int) -> float:
    """Give the CPU that a process of ours has used, its ended threads included.

    The kernel's clock of the process (clock_getcpuclockid(3)): /proc counts in 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(home: Path, *options: str) -> Iterator[tuple[int, subprocess.Popen[bytes], float]]:
    """Serve the home's room; gives the port, the process and the seconds until it answered."""
    port = free_port()
    start = time.perf_counter()
    server = subprocess.Popen(
        [*AGENTGATHER, "room", "serve", "--port", str(port), "--max-messages", "5000000", *options],
        env=environment_of(home),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if options else None,
    )
    try:
        until_answered(port, server)
        yield port, server, time.perf_counter() - start
    finally:
        end(server)


def until_answered(port: int, server: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            with connect(port) as connection:
                # A room listens before it has read the log, and answers afterwards.
                connection.sendall(get_request(port, "/healthz", 0))
                connection.recv(1 << 16)
            return
        except ConnectionRefusedError:
            if server.poll() is not None:
                raise SystemExit("the server ended") from None
            time.sleep(0.002)


def end(process: subprocess.Popen[bytes]) -> None:
    # A stopped one hears of its end when it goes on.
    process.send_signal(signal.SIGCONT)
    process.terminate()
    process.wait()


@contextmanager
def room_of(messages: int, seed: Callable[[Path, int], None] = seed_home) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        seed(home, messages)
        yield home


def client(
    *arguments: object, module: str = "clients", server: int | None = None
) -> dict[str, float]:
    """Run a load to its end and give what it has found.

    With a ``server``, its process id, ``cpu_us`` is what that has used for each request: much
    less noisy than the time that a request takes, where others use the machine too.
    """
    before = cpu_seconds(server) if server else 0.0
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    result: dict[str, float] = json.loads(done.stdout)
    if server:
        result["cpu_us"] = 1e6 * (cpu_seconds(server) - before) / result["count"]
    return result


def median_of(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}
