"""Measure the real server as a process, and print a table: `make bench`.

    python tests/bench/run.py [--quick] [part …]      parts: start posts waits reads shutdown cli
                                                            page tunnel front built

The load generator is a process of its own on the same machine. Figures are medians of
three where a part is short enough to repeat; machines are noisy, so compare ratios.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from tests.bench.built import measure_built_program  # noqa: E402
from tests.bench.clients import connect, get_request, is_whole, last_id, resident_kib  # noqa: E402
from tests.bench.floods import measure_hostile_hosts  # noqa: E402
from tests.bench.front import measure_front as measure_through_front  # noqa: E402
from tests.bench.page import measure_visits  # noqa: E402
from tests.bench.processes import AGENTGATHER, client, median_of, room_of, served  # noqa: E402
from tests.bench.seeds import seed_conversation, token  # noqa: E402
from tests.bench.tunnel import measure_public_way  # noqa: E402

PARTS = ("start", "posts", "waits", "reads", "shutdown", "cli", "page", "tunnel", "front", "built")


def main() -> None:
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    parts = [name for name in arguments if name in PARTS] or list(PARTS)
    show("machine", f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for part in parts:
        globals()[f"measure_{part}"](quick=quick)


def show(what: str, figure: str) -> None:
    print(f"{what:58} {figure}", flush=True)


def measure_start(*, quick: bool) -> None:
    for messages in (0, 40_000, 400_000):
        with room_of(messages) as home:
            times = []
            for _ in range(1 if quick else 3):
                with served(home) as (_, server, seconds):
                    times.append(seconds)
                    kib = resident_kib(server.pid)
            show(
                f"start with {messages:,} messages",
                f"{statistics.median(times):.2f} s, {kib / 1024:.0f} MiB resident",
            )


def measure_posts(*, quick: bool) -> None:
    for messages in (0, 40_000, 400_000):
        with room_of(messages) as home, served(home) as (port, _, _):
            for connections in (1, 8, 32):
                runs = [
                    client("posts", port, connections, 2 if quick else 4)
                    for _ in range(1 if quick else 3)
                ]
                result = median_of(runs)
                show(
                    f"posts acknowledged, {messages:,} in the log, {connections} connections",
                    f"{result['per_second']:,.0f}/s, p50 {result['p50_ms']:.2f} ms, "
                    f"p99 {result['p99_ms']:.1f} ms",
                )


def measure_waits(*, quick: bool) -> None:
    with room_of(1_000) as home, served(home) as (port, _, _):
        result = client("latency", port, 100 if quick else 500)
        show(
            "post to the answer of one held wait",
            f"p50 {result['p50_ms']:.2f} ms, p99 {result['p99_ms']:.2f} ms",
        )
    for count in (1, 32, 200, 1_000, 2_000, 5_000, 10_000):
        with room_of(1_000) as home, served(home) as (port, server, _):
            result = client("waits", port, count, 3 if quick or count > 2_000 else 7, server.pid)
            show(
                f"post to {count:,} held waits",
                f"first {result['first_ms']:.1f} ms, last {result['last_ms']:.1f} ms, "
                f"bystander p99 {result['bystander_p99_ms']:.1f} ms, "
                f"{result['kib_per_wait']:.1f} KiB each, opened in {result['open_s']:.1f} s",
            )


def measure_reads(*, quick: bool) -> None:
    seconds = 2 if quick else 4
    raw = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.raw_stack"], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert raw.stdout is not None
    raw_port = int(raw.stdout.readline())
    with room_of(1_000) as home, served(home) as (port, _, _):
        for name, at, path in (
            ("our HTTP server, plain ASGI, nothing else", raw_port, "/"),
            ("GET /messages?limit=1", port, "/messages?since_id=0&limit=1"),
            ("GET /wait with news", port, "/wait?since_id=999"),
            ("GET /brief (through quart)", port, "/brief"),
        ):
            for connections in (1, 32):
                result = client("gets", at, connections, seconds, path)
                show(
                    f"{name}, {connections} connections",
                    f"{result['per_second']:,.0f}/s, p50 {result['p50_ms']:.2f} ms",
                )
    raw.terminate()
    raw.wait()
    with tempfile.TemporaryDirectory(prefix="agentgather-bench-", dir="/var/tmp") as folder:
        home = Path(folder) / "home"
        environment = {**os.environ, "AGENTGATHER_HOME": str(home)}
        subprocess.run(
            [*AGENTGATHER, "room", "start", "small"],
            env=environment,
            cwd=REPOSITORY,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with served(home) as (port, _, _):
            seat = json.loads((home / "current-room.json").read_text())
            result = client("gets", port, 32, seconds, "/status", seat["token"])
            show("GET /status, one participant, 32 connections", f"{result['per_second']:,.0f}/s")


def measure_shutdown(*, quick: bool) -> None:
    del quick
    with room_of(10) as home, served(home) as (port, server, _):
        since = last_id(connect(port))
        waiting = [connect(port) for _ in range(1_000)]
        for index, connection in enumerate(waiting):
            connection.sendall(get_request(f"/wait?since_id={since}", 1 + index // 4))
        time.sleep(1.5)
        start = time.perf_counter()
        server.send_signal(signal.SIGTERM)
        server.wait()
        seconds = time.perf_counter() - start
        answered = sum(is_whole(connection.recv(1 << 16)) for connection in waiting)
    show("SIGTERM with 1,000 held waits", f"{answered} answered, out after {seconds:.2f} s")


def measure_cli(*, quick: bool) -> None:
    with room_of(10) as home, served(home) as (port, _, _):
        seat = {
            "roomId": "bench",
            "alias": "host",
            "token": token(0),
            "baseUrl": f"http://127.0.0.1:{port}",
        }
        (home / "current-room.json").write_text(json.dumps(seat))
        command = [str(Path(sys.executable).with_name("agentgather"))]
        for name, arguments in (
            ("agentgather --version", ["--version"]),
            ("agentgather send", ["send", "p1", "hello"]),
        ):
            times = []
            for _ in range(5 if quick else 15):
                start = time.perf_counter()
                subprocess.run(
                    [*command, *arguments],
                    env={**os.environ, "AGENTGATHER_HOME": str(home)},
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                times.append(time.perf_counter() - start)
            show(name, f"{1000 * statistics.median(times):.0f} ms")


def measure_page(*, quick: bool) -> None:
    with room_of(10_000, seed_conversation) as home, served(home) as (port, _, _):
        for what, figure in measure_visits(port, quick=quick):
            show(what, figure)


def measure_tunnel(*, quick: bool) -> None:
    for measure in (measure_public_way, measure_hostile_hosts):
        for what, figure in measure(quick=quick):
            show(what, figure)


def measure_front(*, quick: bool) -> None:
    for what, figure in measure_through_front(quick=quick):
        show(what, figure)


def measure_built(*, quick: bool) -> None:
    for what, figure in measure_built_program(quick=quick):
        show(what, figure)


if __name__ == "__main__":
    main()
